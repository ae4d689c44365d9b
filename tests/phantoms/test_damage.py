"""Damage is visible in the CT numbers, and where it should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from models.anatomy import Level, Region
from tests.phantoms.ct_series import write_phantom
from tests.phantoms.damage import at_kvp, shifted, with_cement, with_screws
from tests.phantoms.spine import SpinePhantom
from tests.phantoms.truth import Phantom


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    spine = SpinePhantom(levels=(Level.L1, Level.L2), noise=0)
    return spine.build(pixel_spacing=1.0, slice_spacing=1.5, field_of_view=(110, 130))


def test_screws_are_metal_in_the_pedicles_and_streak(phantom: Phantom) -> None:
    screwed = with_screws(phantom, [Level.L2])
    metal = screwed.volume.array > 3000
    label = phantom.vertebra(Level.L2).number
    volume = metal.sum() * phantom.volume.voxel_volume
    assert 1500 < volume < 6000  # two screws of some 45 mm by 5 mm with heads, mm3
    assert (phantom.labels.array[metal] == label).mean() > 0.4  # the heads and some threads are not in bone
    assert set(np.unique(phantom.labels.array[metal])) <= {0, label}
    touched = metal.any(axis=(1, 2))
    change = np.abs(screwed.volume.array - phantom.volume.array).max(axis=(1, 2))
    assert (change[touched] > 300).all()
    assert change[~touched].max() < 3000


def test_cement_lies_in_its_body(phantom: Phantom) -> None:
    cemented = with_cement(phantom, Level.L1)
    cement = cemented.volume.array > 1500
    inside = (phantom.labels.array == phantom.vertebra(Level.L1).number) & (phantom.regions.array == Region.BODY)
    assert cement.sum() * phantom.volume.voxel_volume > 800
    assert inside[cement].all()


def test_tube_voltage_changes_bone_and_not_fat(phantom: Phantom, tmp_path: Path) -> None:
    low = at_kvp(phantom, 80)
    bone = phantom.volume.array > 300
    fat = phantom.volume.array < 0
    written = pydicom.dcmread(write_phantom(low, tmp_path)[0])
    assert written.KVP == 80
    assert written.SliceThickness == 1.5
    # 60 HU of soft tissue stay; what is above grows by 1 / 0.69.
    ratio = (low.volume.array[bone] - 60) / (phantom.volume.array[bone] - 60)
    assert ratio == pytest.approx(1.449, abs=0.001)
    assert np.array_equal(low.volume.array[fat], phantom.volume.array[fat])


def test_an_offset_moves_every_value(phantom: Phantom) -> None:
    assert shifted(phantom, 25).volume.array - phantom.volume.array == pytest.approx(25, abs=1e-3)
