from __future__ import annotations

import numpy as np

from models.anatomy import Level, Region
from models.vertebrae.landmarks import Landmarks, find_landmarks
from models.vertebrae.levels import LEVELS

CENTRES = [np.array([z, 20.0, 24.0]) for z in (50.0, 40.0, 30.0, 20.0)]
"""Four vertebrae 30 mm apart, from head to feet, on a grid of 60 × 48 × 48 voxels of 3 mm."""


def classes(ribs_at: list[int], sacrum_below: float | None = None) -> np.ndarray:
    result = np.zeros((7, 60, 48, 48), np.float32)
    for index in ribs_at:
        z = int(CENTRES[index][0])
        result[Region.RIB, z - 1 : z + 2, 22:26, 14:18] = 1.0
    if sacrum_below is not None:
        top = int(CENTRES[-1][0] - sacrum_below / 3.0)
        result[Region.SACRUM, max(0, top - 9) : top, 14:28, 16:32] = 1.0
    return result


def test_last_vertebra_with_ribs_is_t12_and_the_next_one_l1() -> None:
    found = find_landmarks(classes([0, 1]), CENTRES)
    assert [mark.ribs for mark in found] == [True, True, False, False]
    assert [mark.below_ribs for mark in found] == [None, 0, 1, None]
    assert LEVELS[int(found[1].evidence().argmax())] is Level.T12
    assert LEVELS[int(found[2].evidence().argmax())] is Level.L1


def test_a_rib_that_only_passes_by_makes_no_thoracic_vertebra() -> None:
    """The twelfth rib comes down beside L1, above the middle of its body."""
    maps = classes([0, 1])
    z = int(CENTRES[2][0])
    maps[Region.RIB, z + 2 : z + 7, 24:34, 9:13] = 1.0
    found = find_landmarks(maps, CENTRES)
    assert [mark.ribs for mark in found] == [True, True, False, False]


def test_ribs_are_looked_for_along_a_bent_spine() -> None:
    """In a kyphosis the ribs' way beside the body turns with the spine."""
    centres = [np.array([50.0 - 8.0 * i, 12.0 + 6.0 * i, 24.0]) for i in range(4)]
    maps = np.zeros((7, 60, 60, 48), np.float32)
    for index in (0, 1):
        z, y, _ = (int(v) for v in centres[index])
        maps[Region.RIB, z - 5 : z - 1, y + 2 : y + 8, 12:16] = 1.0
    assert [mark.ribs for mark in find_landmarks(maps, centres)] == [True, True, False, False]


def test_sacrum_makes_the_vertebra_above_it_the_last_lumbar_one() -> None:
    found = find_landmarks(classes([], sacrum_below=21.0), CENTRES)
    evidence = found[-1].evidence()
    assert evidence[Level.L5.rank] > evidence[Level.L4.rank] + 8.0
    assert found[-2].evidence()[Level.L5.rank] < 0


def test_sacrum_at_the_upper_end_is_none() -> None:
    found = find_landmarks(classes([], sacrum_below=21.0), CENTRES[::-1])
    assert all(np.isinf(mark.sacrum) for mark in found)


def test_nothing_seen_says_only_that_no_thirteenth_ribs_were_seen() -> None:
    evidence = Landmarks(None, float("inf")).evidence()
    assert evidence[Level.T13.rank] < 0
    assert not np.delete(evidence, Level.T13.rank).any()
