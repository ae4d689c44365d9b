from __future__ import annotations

import numpy as np
import pytest

from models.anatomy import Anchor, Level, Region
from models.vertebrae.names.landmarks import Landmarks, contradictions, counted_from_below, find_anchors, find_landmarks

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


def test_the_sacrum_is_measured_from_every_vertebra() -> None:
    found = find_landmarks(classes([], sacrum_below=21.0), CENTRES)
    assert [mark.sacrum for mark in found] == pytest.approx([114.0, 84.0, 54.0, 24.0], abs=3.0)


def test_sacrum_at_the_upper_end_is_none() -> None:
    found = find_landmarks(classes([], sacrum_below=21.0), CENTRES[::-1])
    assert all(np.isinf(mark.sacrum) for mark in found)


def lumbar(names: list[str], sacrum: float = 21.0) -> list[tuple[Level, Landmarks]]:
    """Vertebrae without ribs above a sacrum, under names that may be wrong."""
    far = [sacrum + 33.0 * (len(names) - 1 - i) for i in range(len(names))]
    return [(Level(name), Landmarks(None, distance)) for name, distance in zip(names, far, strict=True)]


@pytest.mark.parametrize("names", [["L3", "L4", "L5"], ["L4", "L5", "L6"], ["L4", "L5", "S1"]])
def test_a_sacrum_anchors_names_that_go_with_it(names: list[str]) -> None:
    beside = lumbar(names)
    assert find_anchors(beside) == (Anchor.SACRUM,)
    assert contradictions(beside) == []


def test_a_sacrum_under_a_chain_that_is_one_level_off_is_no_anchor_but_a_doubt() -> None:
    beside = lumbar(["T12", "L1", "L2", "L3", "L4"])
    assert find_anchors(beside) == ()
    assert contradictions(beside) == ["The sacrum follows a vertebra that was named L4: the count may be wrong."]


def thoracolumbar(last: str, sacrum: bool) -> list[tuple[Level, Landmarks]]:
    """T9 to L5, the last ribs where it is said."""
    names = ["T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5"]
    end = names.index(last)
    return [
        (
            Level(name),
            Landmarks(
                i <= end,
                21.0 + 30.0 * (len(names) - 1 - i) if sacrum else float("inf"),
                i - end if 0 <= i - end <= 1 else None,
            ),
        )
        for i, name in enumerate(names)
    ]


def test_the_lowest_ribs_anchor_a_chain_that_ends_them_at_t12() -> None:
    beside = thoracolumbar("T12", sacrum=False)
    assert find_anchors(beside) == (Anchor.LOWEST_RIB,)
    assert contradictions(beside) == []


@pytest.mark.parametrize("sacrum", [False, True])
def test_lowest_ribs_under_another_name_are_a_doubt(sacrum: bool) -> None:
    """Twelfth ribs can be missing, and then there are six vertebrae below the last ribs as with a sixth lumbar one."""
    assert contradictions(thoracolumbar("T11", sacrum)) == [
        "The lowest ribs belong to a vertebra that was named T11: the count may be wrong."
    ]


def test_a_lumbar_vertebra_with_ribs_is_a_doubt_even_above_a_sacrum() -> None:
    assert contradictions(thoracolumbar("L1", sacrum=True))[0].startswith("A vertebra that was named lumbar has ribs")


def test_names_alone_never_make_an_anchor() -> None:
    """No network was trained on C2, so that a vertebra of this name fixes nothing."""
    assert find_anchors([(Level(f"C{i}"), Landmarks(None, float("inf"))) for i in range(1, 8)]) == ()


def test_levels_that_were_never_seen_are_said_to_be_counted() -> None:
    far = Landmarks(None, float("inf"))
    assert "above C5" in counted_from_below([(Level.C4, far), (Level.C5, far)])
    assert counted_from_below([(Level.C5, far), (Level.C6, far)]) == ""
    assert counted_from_below([]) == ""
