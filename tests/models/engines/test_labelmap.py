"""From label maps of others to vertebrae: on label maps that lie beside the repository, and on built ones."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest

from models.anatomy import Anchor, Level, Region
from models.engine import Numbering, SpineSegmentation
from models.engines.labelmap import LabelMap, read_label_map
from models.engines.structures import structure_of
from models.label_ids import CORD_ID, ID_OF, RIB_IDS, SACRUM_ID
from models.vertebrae.evaluation.references import read_volume
from models.volume.grid import Axis, Grid
from models.volume.orientation import Oriented
from tests.models import built

HPL = np.array([[0.0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
"""Axes towards head, back and left in LPS coordinates."""


def as_read(volume: hd.Volume, drop: tuple[int, ...] = ()) -> SpineSegmentation:
    """What is made of a label map with TotalSegmentator's ids."""
    turned = Oriented.of(volume)
    labels = np.ascontiguousarray(turned.volume.array).astype(np.int64)
    labels[np.isin(labels, RIB_IDS)] = RIB_IDS[0]
    labels[~np.isin(labels, [*ID_OF.values(), SACRUM_ID, RIB_IDS[0], CORD_ID]) | np.isin(labels, drop)] = 0
    found = LabelMap(labels.astype(np.uint8), np.full(labels.shape, 230, np.uint8), turned.grid)
    return read_label_map(volume, turned, found)


def built_volume(labels: np.ndarray) -> hd.Volume:
    return hd.Volume(labels, HPL @ np.diag([built.SPACING] * 3 + [1.0]), coordinate_system="PATIENT")


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return float(2 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second)))


@pytest.mark.data
def test_bodies_split_from_a_real_label_map_are_those_of_its_reference(shared_data: Path) -> None:
    folder = shared_data / "ct" / "lumbar_3mm"
    volume = read_volume(folder / "vertebrae.nii.gz")
    bodies = read_volume(folder / "bodies.nii.gz").array == 1
    result = as_read(volume)
    assert [v.level for v in result.vertebrae] == [Level.T12, *(Level(f"L{i}") for i in range(1, 6)), Level.S1]
    assert (result.numbering, result.anchors) == (Numbering.ANCHORED, (Anchor.SACRUM,))
    assert [v.complete for v in result.vertebrae] == [False, *[True] * 6]  # the field of view begins within T12
    for vertebra in result.vertebrae[:-1]:
        whole = result.labels.array == vertebra.number
        assert dice(whole, volume.array == ID_OF[vertebra.level]) > 0.97
        assert dice(whole & (result.regions.array == Region.BODY), whole & bodies) > 0.93


@pytest.mark.data
def test_hole_that_the_arches_leave_stands_in_for_a_canal_that_the_network_does_not_know(shared_data: Path) -> None:
    volume = read_volume(shared_data / "labels" / "s0012_labels.nii.gz")
    known, guessed = as_read(volume), as_read(volume, drop=(CORD_ID,))
    levels = [*(Level(f"T{i}") for i in range(8, 13)), *(Level(f"L{i}") for i in range(1, 6)), Level.S1]
    assert [v.level for v in guessed.vertebrae] == [v.level for v in known.vertebrae] == levels
    assert dice(known.regions.array == Region.BODY, guessed.regions.array == Region.BODY) > 0.98


def test_names_without_an_anchor_in_view_are_a_hypothesis() -> None:
    result = as_read(built_volume(built.label_map()))
    assert [v.level for v in result.vertebrae] == [Level.L1, Level.L2, Level.L3, Level.L4]
    assert result.numbering is Numbering.AMBIGUOUS
    # How sure the network is of its voxels says how sure the outline is, and nothing of the name.
    assert all(v.complete and v.outline == pytest.approx(230 / 255) for v in result.vertebrae)
    assert all(v.confidence == 0.5 for v in result.vertebrae)


def test_two_vertebrae_under_one_label_put_the_count_in_doubt() -> None:
    """A network that knows no L6 calls both of the lowest vertebrae of six L5."""
    labels = built.label_map()
    for old, new in (("L2", "L4"), ("L3", "L5"), ("L4", "L5"), ("L1", "L3")):
        labels[built.label_map() == ID_OF[Level(old)]] = ID_OF[Level(new)]
    labels[:6][labels[:6] == 120] = SACRUM_ID
    result = as_read(built_volume(labels))
    assert [str(v.level) for v in result.vertebrae] == ["L3", "L4", "L5"]
    assert result.numbering is Numbering.AMBIGUOUS
    assert any("L5: two separate pieces" in remark for remark in result.remarks)


def test_levels_that_do_not_follow_each_other_are_ambiguous_and_said() -> None:
    labels = built.label_map()
    labels[labels == ID_OF[Level.L2]] = ID_OF[Level.L3] + 0  # one label for two vertebrae: the larger piece stays
    labels[labels == ID_OF[Level.L4]] = ID_OF[Level.L5]
    result = as_read(built_volume(labels))
    assert result.numbering is Numbering.AMBIGUOUS
    assert any("do not follow each other" in remark for remark in result.remarks)


def test_levels_from_the_feet_to_the_head_put_the_orientation_in_doubt() -> None:
    upside_down = built.label_map()[::-1].copy()
    result = as_read(built_volume(upside_down))
    assert result.numbering is Numbering.AMBIGUOUS
    assert any("orientation" in remark for remark in result.remarks)


def test_only_the_vertebra_at_the_border_is_cut_off() -> None:
    top = built.PITCH * built.COUNT
    result = as_read(built_volume(built.label_map()[: top + 3].copy()))
    assert [v.complete for v in result.vertebrae] == [False, True, True, True]


def test_specks_are_no_vertebrae() -> None:
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[5:9, 5:9, 5:9] = ID_OF[Level.T5]
    result = as_read(built_volume(labels))
    assert result.vertebrae == ()
    assert result.numbering is Numbering.NONE
    assert result.remarks


@pytest.mark.parametrize(
    ("name", "number"),
    [("vertebrae_L5", 27), ("vertebrae_C1", 50), ("T12", 32), ("sacrum", 25), ("rib_left_12", 92), ("liver", None)],
)
def test_names_of_totalsegmentator_mean_its_ids(name: str, number: int | None) -> None:
    assert structure_of(name) == number


def test_grid_of_the_network_may_lie_anywhere_in_the_volume() -> None:
    labels = built.label_map()
    volume = built_volume(labels)
    part = labels[6:, 4:76, 8:]
    axes = [Axis(start * built.SPACING, built.SPACING, n) for start, n in zip((6, 4, 8), part.shape, strict=True)]
    found = LabelMap(np.where(part == 120, 0, part), np.full(part.shape, 255, np.uint8), Grid(*axes))
    result = read_label_map(volume, Oriented.of(volume), found)
    assert dice(result.labels.array > 0, (labels >= 28) & (labels <= 31)) > 0.99
