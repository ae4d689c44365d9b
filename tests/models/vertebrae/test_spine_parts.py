"""A spine that a destroyed vertebra cuts in two is read on both sides of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from models.anatomy import Level
from models.engine import Numbering
from models.vertebrae.engine import VertebraNetwork
from models.vertebrae.evaluation.references import read_reference
from models.vertebrae.names.spine_parts import continued


def piece(rows: range, y: int = 30, x: int = 40) -> np.ndarray:
    """Body voxels of 3 mm, 24 mm deep and wide, around a place in each of some rows."""
    return np.array([(z, y + dy, x + dx) for z in rows for dy in range(-4, 4) for dx in range(-4, 4)])


def test_parts_above_and_below_a_gap_belong_together_in_any_order() -> None:
    pieces = {1: piece(range(60, 80)), 2: piece(range(20, 50)), 3: piece(range(5, 10), y=34)}
    assert sorted(continued(pieces, 2)) == [1, 2, 3]


@pytest.mark.parametrize(
    "other",
    [piece(range(25, 45), x=80), piece(range(60, 80), x=70), piece(range(95, 110))],
    ids=["beside it", "far to the side", "too far above"],
)
def test_what_does_not_go_on_with_the_spine_is_left(other: np.ndarray) -> None:
    assert continued({1: piece(range(20, 50)), 2: other}, 1) == [1]


@pytest.mark.data
@pytest.mark.parametrize("level", ["L2", "L3"])
def test_vertebrae_beyond_a_destroyed_one_keep_their_names(shared_data: Path, level: str) -> None:
    """A vertebra of a real CT with its discs becomes soft tissue, as a tumour leaves it."""
    reference = read_reference(shared_data, "lumbar_3mm")
    hu = np.array(reference.volume.array)
    gone = ndimage.binary_dilation(reference.labels[Level(level)], iterations=2)
    hu[gone] = np.random.default_rng(0).normal(40.0, 15.0, np.count_nonzero(gone)).astype(hu.dtype)
    result = VertebraNetwork(fine=False).segment(reference.volume.with_array(hu))
    names = ["T12", "L1", "L2", "L3", "L4", "L5", "S1"]
    assert [str(v.level) for v in result.vertebrae] == [name for name in names if name != level]
    assert result.numbering is Numbering.ANCHORED
    above, below = (names[names.index(level) + step] for step in (-1, 1))
    assert f"Not found between {above} and {below}: {level}." in result.remarks
