"""What the phantom writes is valid DICOM, and another reader finds the same CT numbers in the same places."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from models.anatomy import Level
from tests.phantoms.ct_series import (
    CTHeader,
    Plane,
    SliceStack,
    write_ct_series,
    write_enhanced_ct,
    write_localizer,
    write_reformat,
    write_secondary_capture,
)
from tests.phantoms.damage import tilted_gantry, with_duplicates, without_slices
from tests.phantoms.spine import SpinePhantom

SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless]


@pytest.fixture(scope="module")
def volume() -> hd.Volume:
    phantom = SpinePhantom(levels=(Level.L2, Level.L2)).build(
        pixel_spacing=1.5, slice_spacing=5.0, field_of_view=(90, 120)
    )
    return phantom.volume.with_array(np.rint(phantom.volume.array))


def read_back(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image: sitk.Image = reader.Execute()
    return image


def assert_same(image: sitk.Image, volume: hd.Volume) -> None:
    """ITK's image holds, at every voxel's place, the CT number that the volume holds there."""
    array = sitk.GetArrayFromImage(image)
    assert array.size == volume.array.size
    for k, i, j in [(0, 0, 0), (1, 7, 3), (array.shape[0] - 1, 5, 40)]:
        place = image.TransformIndexToPhysicalPoint((j, i, k))
        index = np.rint(volume.map_reference_to_indices(np.array([place]))[0]).astype(int)
        assert volume.map_indices_to_reference(index[None])[0] == pytest.approx(place, abs=1e-3)
        assert array[k, i, j] == volume.array[tuple(index)]
    turned = volume.to_patient_orientation("HPL").array
    assert np.array_equal(array, turned)


def errors_of(path: Path) -> list[str]:
    tool = shutil.which("dciodvfy")
    if tool is None:
        pytest.skip("dciodvfy is missing (apt install dicom3tools)")
    run = subprocess.run([tool, path], capture_output=True, text=True, check=False)
    return [line for line in (run.stdout + run.stderr).splitlines() if line.startswith("Error")]


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda s: UID(s).name)
def test_every_transfer_syntax_keeps_the_values(volume: hd.Volume, tmp_path: Path, syntax: UID) -> None:
    paths = write_ct_series(volume, tmp_path, CTHeader(transfer_syntax=syntax))
    for path, plane in zip(paths, volume.array, strict=True):
        ds = pydicom.dcmread(path)
        assert ds.file_meta.TransferSyntaxUID == syntax
        assert np.array_equal(ds.pixel_array * ds.RescaleSlope + ds.RescaleIntercept, plane)


@pytest.mark.peer
def test_jpeg_lossless_keeps_the_values(volume: hd.Volume, tmp_path: Path) -> None:
    if shutil.which("dcmcjpeg") is None:
        pytest.skip("dcmcjpeg is missing (apt install dcmtk)")
    for signed in (True, False):
        folder = tmp_path / str(signed)
        paths = write_ct_series(volume, folder, CTHeader(transfer_syntax=JPEGLosslessSV1, signed=signed))
        ds = pydicom.dcmread(paths[3])
        assert ds.file_meta.TransferSyntaxUID == JPEGLosslessSV1
        assert np.array_equal(ds.pixel_array - 1024.0, volume.array[3])


@pytest.mark.parametrize(
    "header",
    [CTHeader(), CTHeader(signed=False, shuffled=True), CTHeader(slope=0.5, intercept=-8192.0)],
    ids=["plain", "unsigned and shuffled", "other rescaling"],
)
def test_itk_reads_the_same_volume(volume: hd.Volume, tmp_path: Path, header: CTHeader) -> None:
    write_ct_series(volume, tmp_path, header)
    assert_same(read_back(tmp_path), volume)


def test_a_volume_in_any_orientation_gives_axial_slices(volume: hd.Volume, tmp_path: Path) -> None:
    sagittal = volume.permute_spatial_axes([2, 0, 1]).flip_spatial([0, 1])
    paths = write_ct_series(sagittal, tmp_path)
    first = pydicom.dcmread(paths[0])
    assert first.ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
    assert_same(read_back(tmp_path), volume)


@pytest.mark.peer
@pytest.mark.parametrize("syntax", [*SYNTAXES, None], ids=lambda s: UID(s).name if s else "with contrast")
def test_dciodvfy_finds_no_error(volume: hd.Volume, tmp_path: Path, syntax: UID | None) -> None:
    header = CTHeader(transfer_syntax=syntax) if syntax else CTHeader(contrast_agent="IOMERON 350")
    paths = write_ct_series(volume, tmp_path, header)
    assert errors_of(paths[0]) == []
    assert errors_of(paths[-1]) == []


@pytest.mark.peer
def test_dciodvfy_finds_no_error_in_the_other_objects(volume: hd.Volume, tmp_path: Path) -> None:
    header = CTHeader(contrast_agent="IOMERON 350")
    written = [
        *write_localizer(volume, tmp_path / "localizer", header),
        *write_reformat(volume, tmp_path / "reformat", header)[:2],
        *write_secondary_capture(volume, tmp_path / "capture", header),
        *write_enhanced_ct(volume, tmp_path / "enhanced", header),
    ]
    assert [errors_of(path) for path in written] == [[]] * 5


def test_names_outside_ascii_survive(volume: hd.Volume, tmp_path: Path) -> None:
    for name, character_set in [("PHÄNTOM^ÖSTEON", "ISO_IR 100"), ("ФАНТОМ^ОСТЕОН", "ISO_IR 192")]:
        path = write_ct_series(volume, tmp_path, CTHeader(patient_name=name, character_set=character_set))[0]
        assert str(pydicom.dcmread(path).PatientName) == name


def test_uids_depend_on_the_seed_alone(volume: hd.Volume, tmp_path: Path) -> None:
    def uids(folder: str, header: CTHeader) -> list[str]:
        datasets = [pydicom.dcmread(p) for p in write_ct_series(volume, tmp_path / folder, header)]
        return [str(x) for ds in datasets for x in (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)]

    first = uids("a", CTHeader(seed="one"))
    assert uids("b", CTHeader(seed="one")) == first
    assert not set(uids("c", CTHeader(seed="two"))) & set(first)
    second_series = uids("d", CTHeader(seed="one", series_number=3))
    assert second_series[0] == first[0]
    assert len(set(second_series) & set(first)) == 1
    assert len(set(first)) == volume.spatial_shape[0] + 2
    assert all(UID(x).is_valid for x in first)


def test_shuffled_instances_are_not_in_the_order_of_their_positions(volume: hd.Volume, tmp_path: Path) -> None:
    paths = write_ct_series(volume, tmp_path, CTHeader(shuffled=True))
    numbers = [int(pydicom.dcmread(p).InstanceNumber) for p in paths]
    assert sorted(numbers) == list(range(1, len(paths) + 1))
    assert numbers != sorted(numbers)
    heights = [float(pydicom.dcmread(p).ImagePositionPatient[2]) for p in paths]
    assert heights == sorted(heights, reverse=True)


def test_an_enhanced_object_holds_the_same_volume(volume: hd.Volume, tmp_path: Path) -> None:
    (path,) = write_enhanced_ct(volume, tmp_path, CTHeader(shuffled=True, transfer_syntax=JPEG2000Lossless))
    read = hd.imread(path).get_volume(apply_real_world_transform=False)
    turned = read.match_orientation(volume) if hasattr(read, "match_orientation") else read
    assert turned.affine == pytest.approx(volume.affine, abs=1e-6)
    assert np.array_equal(turned.array, volume.array)


def test_lost_repeated_and_tilted_slices(volume: hd.Volume, tmp_path: Path) -> None:
    stack = SliceStack.of(volume)
    gap = write_ct_series(without_slices(stack, [3, 4]), tmp_path / "gap")
    heights = [float(pydicom.dcmread(p).ImagePositionPatient[2]) for p in gap]
    assert max(-np.diff(heights)) == pytest.approx(15.0)
    twice = write_ct_series(with_duplicates(stack, [2]), tmp_path / "twice")
    a, b = pydicom.dcmread(twice[2]), pydicom.dcmread(twice[-1])
    assert a.ImagePositionPatient == b.ImagePositionPatient
    assert a.SOPInstanceUID != b.SOPInstanceUID
    tilted = [pydicom.dcmread(p) for p in write_ct_series(tilted_gantry(volume, 15.0), tmp_path / "tilt")]
    assert tilted[0].GantryDetectorTilt == 15
    assert tilted[0].ImageOrientationPatient[4:] == pytest.approx([0.9659258, 0.2588190], abs=1e-6)
    assert tilted[0].ImagePositionPatient[:2] == tilted[5].ImagePositionPatient[:2]


def test_a_tilted_slice_shows_what_lies_there(volume: hd.Volume) -> None:
    ramp = np.indices(volume.spatial_shape).astype(np.float32).sum(axis=0)  # linear, so interpolation is exact
    tilted = tilted_gantry(volume.with_array(ramp), -10.0)
    position, down = tilted.positions[4], np.array(tilted.orientation[3:])
    place = position + 40 * tilted.pixel_spacing[0] * down + 9 * tilted.pixel_spacing[1] * np.array([1.0, 0, 0])
    index = volume.map_reference_to_indices(place[None])[0]
    assert tilted.hu[4, 40, 9] == pytest.approx(index.sum(), abs=1e-3)


def test_reformats_localizers_and_captures_say_what_they_are(volume: hd.Volume, tmp_path: Path) -> None:
    sagittal = pydicom.dcmread(write_reformat(volume, tmp_path / "s", CTHeader(series_number=3))[0])
    assert sagittal.ImageType[0] == "DERIVED"
    assert sagittal.ImageOrientationPatient == [0, 1, 0, 0, 0, -1]
    coronal = pydicom.dcmread(write_reformat(volume, tmp_path / "c", CTHeader(series_number=4), Plane.CORONAL)[0])
    assert coronal.ImageOrientationPatient == [1, 0, 0, 0, 0, -1]
    (localizer,) = write_localizer(volume, tmp_path / "l", CTHeader(series_number=1))
    assert pydicom.dcmread(localizer).ImageType[2] == "LOCALIZER"
    (capture,) = write_secondary_capture(volume, tmp_path / "x", CTHeader(series_number=9))
    assert pydicom.dcmread(capture).SOPClassUID.name == "Secondary Capture Image Storage"


def test_values_that_do_not_fit_are_refused(volume: hd.Volume, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="do not fit into uint16"):
        write_ct_series(volume, tmp_path, replace(CTHeader(), signed=False, intercept=0.0))
