"""What is no spine, no person or not as its header says: empty or flagged, with a reason, within the memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest

from models.engine import Numbering, SpineSegmentation
from models.vertebrae.engine import VertebraNetwork
from models.vertebrae.evaluation.references import read_volume
from tests.conftest import ROOT

WITHHELD = (Numbering.AMBIGUOUS, Numbering.NONE)


@pytest.fixture(scope="module")
def engine() -> VertebraNetwork:
    return VertebraNetwork()


@pytest.fixture(scope="module")
def lumbar(shared_data: Path) -> hd.Volume:
    """Axes towards head, back and left, 3 mm."""
    return read_volume(shared_data / "ct" / "lumbar_3mm" / "ct.nii.gz").to_patient_orientation("HPL")


def simple(array: np.ndarray, spacing: float = 3.0) -> hd.Volume:
    axes = np.array([[0, 0, spacing, 0], [0, spacing, 0, 0], [spacing, 0, 0, 0], [0, 0, 0, 1]])
    return hd.Volume(array, axes, coordinate_system="PATIENT")


def cylinder(depth: int, side: int) -> np.ndarray:
    """A body of water in air, ``(depth, side, side)``."""
    y, x = np.mgrid[:side, :side] - side / 2
    return np.broadcast_to(np.where(y**2 + x**2 < (0.45 * side) ** 2, 0, -1000), (depth, side, side)).astype(np.int16)


def remark(result: SpineSegmentation, part: str) -> bool:
    return any(part in sentence for sentence in result.remarks)


@pytest.mark.data
@pytest.mark.parametrize(
    ("tags", "said"),
    [((1, 1, -1), "head and feet"), ((1, -1, 1), "front and back"), ((-1, -1, 1), "front and back")],
    ids=["upside down", "back to front", "turned by half"],
)
def test_wrong_orientation_tags_are_seen_and_the_names_withheld(
    engine: VertebraNetwork, lumbar: hd.Volume, tags: tuple[int, int, int], said: str
) -> None:
    wrong = hd.Volume(lumbar.array, np.diag([*tags, 1]) @ lumbar.affine, coordinate_system="PATIENT")
    result = engine.segment(wrong)
    assert result.numbering in WITHHELD
    assert remark(result, "orientation") or not result.vertebrae
    assert remark(result, said) or not result.vertebrae
    assert said in result.misoriented or not result.vertebrae


@pytest.mark.data
def test_right_tags_and_a_mirrored_person_raise_no_doubt(engine: VertebraNetwork, lumbar: hd.Volume) -> None:
    mirrored = hd.Volume(lumbar.array, np.diag([-1, 1, 1, 1]) @ lumbar.affine, coordinate_system="PATIENT")
    for volume in (lumbar, mirrored):
        result = engine.segment(volume)
        assert result.numbering is Numbering.ANCHORED
        assert result.misoriented == ""
        assert [sentence for sentence in result.remarks if not sentence.startswith("The names rest on")] == []


@pytest.mark.data
def test_two_people_side_by_side_are_said_and_withheld(engine: VertebraNetwork, lumbar: hd.Volume) -> None:
    gap = np.full((lumbar.spatial_shape[0], lumbar.spatial_shape[1], 4), -1000, lumbar.array.dtype)
    both = np.concatenate([lumbar.array, gap, lumbar.array], axis=2)
    result = engine.segment(hd.Volume(both, lumbar.affine, coordinate_system="PATIENT"))
    assert result.numbering in WITHHELD
    assert remark(result, "Two spines")


@pytest.mark.data
def test_half_a_vertebra_is_never_named_with_certainty(engine: VertebraNetwork, lumbar: hd.Volume) -> None:
    result = engine.segment(lumbar[72:79])
    assert len(result.vertebrae) <= 1
    assert result.numbering in WITHHELD
    assert all(not vertebra.complete for vertebra in result.vertebrae)


@pytest.mark.data
def test_thighs_give_nothing(engine: VertebraNetwork, shared_data: Path) -> None:
    whole = read_volume(shared_data / "ct" / "s0029" / "ct.nii.gz").to_patient_orientation("HPL")
    result = engine.segment(whole[:40])
    assert result.vertebrae == ()
    assert result.remarks


@pytest.mark.data
def test_head_with_gantry_tilt_is_never_named_with_certainty(engine: VertebraNetwork, shared_data: Path) -> None:
    files = sorted((shared_data / "dicom" / "gantry_tilt").rglob("*.dcm"))
    slices = sorted((pydicom.dcmread(file) for file in files), key=lambda one: float(one.ImagePositionPatient[2]))
    hu = np.stack([one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept) for one in slices])
    result = engine.segment(simple(hu.astype(np.float32)[:, ::4, ::4], 2.5))
    assert result.numbering in WITHHELD
    assert result.remarks or result.vertebrae


@pytest.mark.data
def test_voxels_that_are_no_numbers_are_said(engine: VertebraNetwork, lumbar: hd.Volume) -> None:
    holed = lumbar.array.astype(np.float32)
    holed[:, :, :12] = np.nan
    holed[0, 0, 20] = np.inf
    result = engine.segment(lumbar.with_array(holed))
    assert remark(result, "10% of the voxels are no numbers")
    assert len(result.vertebrae) >= 6


@pytest.mark.data
def test_numbers_that_are_no_hu_are_never_named_with_certainty(engine: VertebraNetwork, lumbar: hd.Volume) -> None:
    result = engine.segment(lumbar.with_array(lumbar.array + np.int16(1024)))  # the intercept was forgotten
    assert result.numbering in WITHHELD
    assert result.remarks


def test_phantom_with_rods_is_never_named_with_certainty(engine: VertebraNetwork) -> None:
    hu = cylinder(60, 100).copy()
    y, x = np.mgrid[:100, :100]
    for row, column, value in ((30, 50, 100), (50, 70, 300), (70, 50, 800), (50, 30, 200)):
        hu[:, (y - row) ** 2 + (x - column) ** 2 < 36] = value
    result = engine.segment(simple(hu))
    assert len(result.vertebrae) <= 1
    assert result.numbering in WITHHELD
    assert result.remarks


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 2, 2), (1, 40, 40), (3, 3, 500)], ids=str)
def test_tiny_volumes_give_nothing_and_keep_their_grid(engine: VertebraNetwork, shape: tuple[int, int, int]) -> None:
    result = engine.segment(simple(np.full(shape, 40, np.int16)))
    assert result.vertebrae == ()
    assert result.remarks
    assert result.labels.spatial_shape == result.regions.spatial_shape == shape


LONG = """
import resource, sys
import highdicom as hd, numpy as np
from models.vertebrae.engine import VertebraNetwork
from tests.models.vertebrae.test_bad_input import cylinder, simple
depth, side, spacing = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
volume = simple(np.ascontiguousarray(cylinder(depth, side)), spacing)
VertebraNetwork().segment(volume)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@pytest.mark.parametrize(
    ("depth", "side", "spacing"), [(2000, 200, 1.0), (24, 1024, 0.8)], ids=["2,000 slices", "1024 matrix"]
)
def test_memory_stays_within_two_and_a_half_gib(depth: int, side: int, spacing: float) -> None:
    asked = [sys.executable, "-c", LONG, str(depth), str(side), str(spacing)]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) < 2.5
