"""Worse scans made of a CT: image and reference masks go through the same change."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest

from models.anatomy import Level
from models.vertebrae.evaluation.judges import Judges, what_was_seen
from models.vertebrae.evaluation.references import Reference, trained_on
from models.vertebrae.evaluation.strata import NARROW, STRATA, THICK, bowed, narrow_view, noisy, thick_slices
from models.vertebrae.weights import COARSE_FILE, FINE_FILE, FOLDER


def block(spacing: float) -> Reference:
    """A block of 100 HU, its mask, in a volume of 60 by 180 by 180 mm stored from foot to head."""
    shape = (90, 90, round(60 / spacing))
    affine = np.diag([-2.0, -2.0, spacing, 1.0])
    mask = np.zeros(shape, bool)
    mask[35:55, 35:55, round(12 / spacing) : round(42 / spacing)] = True
    volume = hd.Volume(np.where(mask, 100, 0).astype(np.int16), affine, coordinate_system="PATIENT")
    centre = affine @ np.array([*np.argwhere(mask).mean(axis=0), 1.0])
    place = (float(centre[0]), float(centre[1]), float(centre[2]))
    return Reference("block", volume, {Level.L3: place}, {Level.L3: mask}, mask.copy(), mask.copy())


@pytest.mark.parametrize("spacing", [1.5, 2.0, 3.0])
def test_slices_are_five_millimetres_from_any_thinner_ones(spacing: float) -> None:
    thick = thick_slices(block(spacing))
    assert thick.volume.spacing[0] == pytest.approx(THICK)
    mask = thick.labels[Level.L3]
    # 30 mm of the block, to the nearest slice.
    assert abs(THICK * mask.any(axis=(1, 2)).sum() - 30.0) <= THICK
    # From one half of the block on a voxel is masked, as its HU say.
    np.testing.assert_array_equal(mask, thick.volume.array >= 50)
    index = np.argwhere(mask).mean(axis=0)
    assert (thick.volume.affine @ np.array([*index, 1.0]))[:3] == pytest.approx(thick.centres[Level.L3], abs=THICK / 2)


def test_slices_that_are_thick_already_are_left_as_they_are() -> None:
    reference = block(6.0)
    assert thick_slices(reference) is reference


def test_narrow_view_cuts_masks_and_image_alike() -> None:
    cut = narrow_view(block(2.0))
    assert cut.volume.spacing[1] * cut.volume.spatial_shape[1] <= NARROW + 2
    np.testing.assert_array_equal(cut.labels[Level.L3], cut.volume.array == 100)
    assert cut.bodies is not None
    assert np.count_nonzero(cut.bodies) == np.count_nonzero(block(2.0).labels[Level.L3])


def test_a_bowed_patient_leans_forward_with_mask_and_centre() -> None:
    reference = block(2.0)
    changed = bowed(reference)
    mask = changed.labels[Level.L3]
    assert np.count_nonzero(mask) == pytest.approx(np.count_nonzero(reference.labels[Level.L3]), rel=0.03)
    agreeing = np.mean((changed.volume.array > 50) == mask)
    assert agreeing > 0.99
    index = np.argwhere(mask).mean(axis=0)
    assert (changed.volume.affine @ np.array([*index, 1.0]))[:3] == pytest.approx(changed.centres[Level.L3], abs=1.5)
    assert bowed_pillar_lean() == pytest.approx(20.0, abs=1.5)


def bowed_pillar_lean() -> float:
    """Angle in degrees by which a thin upright pillar leans forward after the change."""
    reference = block(2.0)
    pillar = np.zeros(reference.volume.spatial_shape, bool)
    pillar[43:47, 43:47, 4:26] = True
    changed = bowed(replace(reference, labels={Level.L3: pillar}))
    # Axes towards head, back and left.
    places = np.argwhere(changed.labels[Level.L3]) * 2.0
    return float(-np.degrees(np.arctan(np.polyfit(places[:, 0], places[:, 1], 1)[0])))


def test_noise_leaves_the_masks_alone() -> None:
    reference, changed = block(2.0), noisy(block(2.0))
    np.testing.assert_array_equal(changed.labels[Level.L3], reference.labels[Level.L3])
    assert (changed.volume.array - reference.volume.array).std() == pytest.approx(40.0, rel=0.05)


@pytest.mark.parametrize("change", STRATA.values(), ids=STRATA)
def test_every_mask_stays_on_the_grid_of_the_image(change: object) -> None:
    assert callable(change)
    changed = change(block(2.0))
    for mask in (changed.labels[Level.L3], changed.bodies, changed.bones):
        assert mask.shape == changed.volume.spatial_shape


def test_weights_say_what_they_were_trained_on(tmp_path: Path) -> None:
    shipped = trained_on(FOLDER)
    assert shipped is not None
    assert "chest_2p5mm" in shipped
    assert trained_on(tmp_path) is None
    files = {"labels/s0004_labels.nii.gz": "", "ct/chest_2p5mm/ct.nii.gz": "", "ct/chest_2p5mm/labels.nii.gz": ""}
    files |= {"truth_centroids.json": "", "teacher/coarse.pt": ""}
    (tmp_path / "data.json").write_text(json.dumps(files))
    assert trained_on(tmp_path) == ("s0004", "chest_2p5mm")


def seen(folder: Path, *bodies: str) -> Path:
    """The shipped weights in a folder that says that they were trained on other bodies."""
    folder.mkdir()
    for file in (COARSE_FILE, FINE_FILE):
        (folder / file.name).symlink_to(file)
    (folder / "data.json").write_text(json.dumps({f"ct/{body}/ct.nii.gz": "" for body in bodies}))
    return folder


def test_a_ct_of_the_training_is_named_before_it_is_judged(tmp_path: Path) -> None:
    both, none = seen(tmp_path / "both", "a", "b"), seen(tmp_path / "none", "b")
    assert what_was_seen(both, ["b", "c"]).endswith("judged although trained on: b")
    assert what_was_seen(none, ["c"]).endswith("none of them is judged by it")
    assert "not known" in what_was_seen(tmp_path, ["c"])


def test_every_ct_is_judged_by_weights_that_have_not_seen_it(tmp_path: Path) -> None:
    first, second = seen(tmp_path / "first", "a", "b"), seen(tmp_path / "second", "b", "c")
    judges = Judges([first, second], fine=False)
    assert [judges.folder(ct) for ct in "abcd"] == [second, first, first, first]
    assert [judges.seen(ct) for ct in "abcd"] == [False, True, False, False]
    assert judges.engine("c") is judges.engine("d")
    assert judges.engine("a") is not judges.engine("c")
    assert [line.partition(";")[0].rpartition(" on: ")[2] for line in judges.described(["a", "b"])] == [
        "a, b",
        "b, c",
    ]
