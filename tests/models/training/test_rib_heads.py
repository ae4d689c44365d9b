"""A rib that ends before its vertebra reaches it, and takes nothing from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from models.anatomy import Region
from models.vertebrae.training.atlas import build_atlas, canonical
from tests.models import built

T10, T11 = 34, 33
LEFT_ELEVENTH, LEFT_EIGHTH = 102, 99
GAP = 6
"""Voxels between the rib's end and the body's side."""


def thorax(rib: int, gap: int = GAP) -> np.ndarray:
    """The built spine as T9 to T12, with a rib that runs to the left at the height of T11."""
    labels = built.label_map()
    spine = (labels >= built.TOP_ID - 3) & (labels <= built.TOP_ID)
    labels[spine] += 4
    z, y, x = (int(v) for v in built.centre(2))
    start = x + 15 + gap
    labels[z - 2 : z + 3, y - 2 : y + 3, start : start + 15] = rib
    return labels


def test_a_rib_is_joined_to_its_vertebra_but_for_a_joint() -> None:
    before = thorax(LEFT_ELEVENTH)
    after = build_atlas("built", before)
    added = (after.labels == LEFT_ELEVENTH) & (before != LEFT_ELEVENTH)
    assert np.all(after.regions[added] == Region.RIB)
    assert np.all(before[added] == 120)
    assert ndimage.label(after.labels == LEFT_ELEVENTH)[1] == 1
    to_bone = ndimage.distance_transform_edt(~np.isin(before, (T10, T11))) * built.SPACING
    assert 1.5 < to_bone[added].min() < 3.1
    # A band on edge all the way, about 12 mm high and 7 to 9 mm thick.
    for column in range(int(built.MIDDLE_X) + 18, int(built.MIDDLE_X) + 15 + GAP):
        voxels = np.argwhere(after.labels[:, :, column] == LEFT_ELEVENTH)
        height, thickness = (np.ptp(voxels, axis=0) + 1) * built.SPACING
        assert 10.0 <= height <= 13.5
        assert 6.0 <= thickness <= 10.5


def test_a_rib_reaches_for_its_own_vertebra_or_the_one_above_only() -> None:
    """T7 and T8 are not there."""
    before = thorax(LEFT_EIGHTH)
    assert np.all((build_atlas("built", before).labels == LEFT_EIGHTH) == (before == LEFT_EIGHTH))


def test_organs_canal_and_soft_tissue_of_a_ct_are_left_alone() -> None:
    before = thorax(LEFT_ELEVENTH)
    organ = before.copy()
    end = built.MIDDLE_X + 15 + GAP
    organ[:, :, end - 2 : end] = np.where(organ[:, :, end - 2 : end] == 120, 5, organ[:, :, end - 2 : end])
    after = build_atlas("built", organ).labels
    assert np.all((after == 5) == (organ == 5))
    soft = np.where(before == LEFT_ELEVENTH, 400.0, np.where(before == 120, 40.0, -1000.0))
    soft[(before >= 28) & (before <= 35)] = 300.0
    after = build_atlas("built", before, soft).labels
    assert np.all((after == LEFT_ELEVENTH) == (before == LEFT_ELEVENTH))


@pytest.mark.data
def test_necks_lie_where_a_real_ct_shows_bone(shared_data: Path) -> None:
    """s0328's bone of 200 HU and more, all that is known of its CT, which no rib of its label map reaches."""
    before = canonical(shared_data / "labels" / "s0328_labels.nii.gz", 0)
    image = sitk.DICOMOrient(sitk.ReadImage(str(shared_data / "labels" / "s0328_bone_hu.nrrd")), "LPS")
    # LPS and up is what an atlas has, towards head, back and left.
    bone = sitk.GetArrayFromImage(image) >= 200
    added = np.isin(build_atlas("s0328", before).labels, range(92, 116)) & ~np.isin(before, range(92, 116))
    free = np.isin(before, (0, 118, 120))
    around = ndimage.binary_dilation(added, iterations=6) & bone & free
    assert np.count_nonzero(added) > 2000
    assert bone[added].mean() > 0.35
    assert np.count_nonzero(added & around) > 0.3 * np.count_nonzero(around)
