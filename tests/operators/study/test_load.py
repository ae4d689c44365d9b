from __future__ import annotations

import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import Dataset

from operators.reading.case import Case
from operators.reading.errors import PermanentError, Refusal
from operators.reading.job import Job
from operators.reading.provenance import Provenance
from operators.study.load import age_at_study, load_volume
from operators.study.receive import receive_study
from operators.study.select import select_series
from tests.operators import ct_files
from tests.operators.study.test_select import with_uids
from tests.phantoms.ct_series import CTHeader, write_ct_series, write_enhanced_ct
from tests.phantoms.spine import SpinePhantom
from tests.phantoms.truth import Phantom

BY = Provenance(pipeline="0", engine="none", engine_version="0", engine_digest="0")


def load(folder: Path) -> Case:
    job = Job(study=folder, out=folder, at=datetime(2026, 1, 2, tzinfo=UTC))
    return load_volume(job, select_series(receive_study(folder)), BY)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return SpinePhantom().build(pixel_spacing=2.0, slice_spacing=4.0)


def test_hounsfield_and_geometry_are_those_that_simpleitk_reads(phantom: Phantom, tmp_path: Path) -> None:
    paths = write_ct_series(phantom.volume, tmp_path)

    volume = load(tmp_path).volume

    peer = sitk.ReadImage([str(path) for path in reversed(paths)])
    for index in [(0, 0, 0), (3, 10, 20), (volume.shape[0] - 1, 30, 7), (12, 60, 90)]:
        point = volume.map_indices_to_reference(np.array([index]))[0]
        place = peer.TransformPhysicalPointToIndex([float(v) for v in point])
        assert peer.GetPixel(place) == volume.array[index]
        np.testing.assert_allclose(peer.TransformIndexToPhysicalPoint(place), point, atol=1e-3)


def test_slices_and_planes_of_the_volume_belong_together(phantom: Phantom, tmp_path: Path) -> None:
    write_ct_series(phantom.volume, tmp_path, CTHeader(shuffled=True))

    case = load(tmp_path)

    corners = case.volume.map_indices_to_reference(np.array([[k, 0, 0] for k in range(len(case.slices))]))
    written = np.array([[float(v) for v in s.ImagePositionPatient] for s in case.slices])
    np.testing.assert_allclose(corners, written, atol=1e-3)
    assert all("PixelData" not in s for s in case.slices)


@pytest.mark.parametrize(
    "syntax",
    [
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2.5",
        "1.2.840.10008.1.2.4.80",
        "1.2.840.10008.1.2.4.90",
    ],
    ids=["implicit", "explicit", "RLE", "JPEG-LS", "JPEG 2000"],
)
def test_every_transfer_syntax_gives_the_same_numbers_and_the_same_digest(
    phantom: Phantom, tmp_path: Path, syntax: str
) -> None:
    write_ct_series(phantom.volume, tmp_path / "plain")
    write_ct_series(phantom.volume, tmp_path / "coded", CTHeader(transfer_syntax=syntax))

    plain, coded = load(tmp_path / "plain"), load(tmp_path / "coded")

    np.testing.assert_array_equal(plain.volume.array, coded.volume.array)
    assert plain.reading.source.content_digest == coded.reading.source.content_digest


def test_enhanced_ct_gives_the_numbers_of_the_single_frames(phantom: Phantom, tmp_path: Path) -> None:
    write_ct_series(phantom.volume, tmp_path / "single")
    write_enhanced_ct(phantom.volume, tmp_path / "enhanced")

    single, enhanced = load(tmp_path / "single"), load(tmp_path / "enhanced")

    np.testing.assert_array_equal(single.volume.array, enhanced.volume.array)
    np.testing.assert_allclose(single.volume.affine, enhanced.volume.affine, atol=1e-3)
    assert (enhanced.reading.source.kvp, enhanced.reading.source.slice_thickness) == (120.0, 4.0)
    assert len(enhanced.slices) == 1


def test_each_slice_has_its_own_rescaling(tmp_path: Path) -> None:
    def rescale(dataset: Dataset, index: int) -> None:
        dataset.RescaleSlope = 2 if index % 2 else 1

    ct_files.write(tmp_path, ct_files.series(20, change=rescale))

    volume = load(tmp_path).volume

    # The volume runs from the head down, so its first plane is slice 19: 1019 * 2 - 1024.
    assert [float(plane.mean()) for plane in volume.array[:2]] == [1019 * 2 - 1024, 1018 - 1024]


def test_padding_becomes_air_in_signed_pixels(tmp_path: Path) -> None:
    def pad(dataset: Dataset, index: int) -> None:
        dataset.PixelRepresentation = 1
        dataset.RescaleIntercept = 0
        dataset.add_new("PixelPaddingValue", "SS", -2000)
        stored = np.full((16, 16), 40, dtype=np.int16)
        stored[0] = -2000
        ct_files.set_pixels(dataset, stored)

    ct_files.write(tmp_path, ct_files.series(20, change=pad))

    volume = load(tmp_path).volume

    assert set(np.unique(volume.array[:, 0])) == {-1024.0}
    assert set(np.unique(volume.array[:, 1:])) == {40.0}


def damaged(path: Path) -> None:
    """Overwrite the start of the compressed image: the file is as long as it says."""
    content = path.read_bytes()
    start = content.index(b"\xff\xd8\xff")
    path.write_bytes(content[:start] + bytes(40) + content[start + 40 :])


def test_a_broken_compressed_slice_is_left_out_and_named(phantom: Phantom, tmp_path: Path) -> None:
    paths = write_ct_series(phantom.volume, tmp_path, CTHeader(transfer_syntax="1.2.840.10008.1.2.4.80"))
    damaged(paths[4])

    case = load(tmp_path)

    assert len(case.slices) == len(paths) - 5  # the longest even run lies below it
    (said,) = [remark for remark in case.reading.remarks if "cannot be decoded" in remark]
    assert "1 file of the series left out (Instance Number 5)" in said


def test_where_every_slice_is_broken_the_study_is_refused_by_them(phantom: Phantom, tmp_path: Path) -> None:
    for path in write_ct_series(phantom.volume, tmp_path, CTHeader(transfer_syntax="1.2.840.10008.1.2.4.80")):
        damaged(path)

    with pytest.raises(PermanentError, match="cannot be decoded") as caught:
        load(tmp_path)

    assert caught.value.code == Refusal.UNREADABLE_PIXELS


def test_jpeg_2000_of_a_siemens_scanner_is_decoded(shared_data: Path, tmp_path: Path) -> None:
    case = load(with_uids(shared_data / "dicom" / "siemens_20_slices", tmp_path))

    assert case.volume.spatial_shape == (20, 512, 512)
    assert case.reading.source.kernel == "Br38f"
    assert case.reading.source.contrast_recorded
    assert case.reading.source.age_years is None  # birth date and age are blank: never a default
    assert -1024 <= case.volume.array.min() < -900  # air


def test_another_patient_name_is_another_content(tmp_path: Path) -> None:
    def rename(dataset: Dataset, index: int) -> None:
        dataset.PatientName = "CORRECTED^NAME"

    ct_files.write(tmp_path / "a", ct_files.series(20))
    ct_files.write(tmp_path / "b", ct_files.series(20, change=rename))

    digests = {load(tmp_path / name).reading.source.content_digest for name in "ab"}

    assert len(digests) == 2


@pytest.mark.parametrize(
    ("born", "studied", "age", "expected"),
    [
        ("19560101", "20260101", None, 70.0),
        ("", "20260101", "067Y", 67.0),
        ("", "20260101", "018M", 1.5),
        ("", "20260101", "", None),
        ("20270101", "20260101", "", None),
        ("1956", "20260101", "064Y", 64.0),
    ],
)
def test_age_is_never_a_default(born: str, studied: str, age: str | None, expected: float | None) -> None:
    header = Dataset()
    header.PatientBirthDate, header.StudyDate, header.PatientAge = born, studied, age

    found = age_at_study(header)

    assert found == (None if expected is None else pytest.approx(expected, abs=0.05))


def test_directions_and_spacings_that_jitter_become_those_of_the_stack(tmp_path: Path) -> None:
    """The encoders refuse source images that do not lie on one grid."""

    def jitter(dataset: Dataset, index: int) -> None:
        turn = 0.0005 + (0.00002 if index % 2 else -0.00002)
        dataset.ImageOrientationPatient = [1, turn, 0, -turn, 1, 0]
        dataset.PixelSpacing = [0.8, 0.7] if index % 2 else [0.8001, 0.7]

    ct_files.write(tmp_path, ct_files.series(20, change=jitter))

    case = load(tmp_path)

    assert len({(tuple(s.ImageOrientationPatient), tuple(s.PixelSpacing)) for s in case.slices}) == 1
    rows = case.volume.affine[:3, 2] / np.linalg.norm(case.volume.affine[:3, 2])
    np.testing.assert_allclose(rows, [float(v) for v in case.slices[0].ImageOrientationPatient[:3]], atol=1e-6)


def test_the_first_of_two_padding_values_is_padding(tmp_path: Path) -> None:
    def pad(dataset: Dataset, index: int) -> None:
        dataset.add_new("PixelPaddingValue", "US", [63, 63])
        stored = np.full((16, 16), 1064, dtype=np.uint16)
        stored[0] = 63
        ct_files.set_pixels(dataset, stored)

    ct_files.write(tmp_path, ct_files.series(20, change=pad))

    volume = load(tmp_path).volume

    assert set(np.unique(volume.array[:, 0])) == {-1024.0}
    assert set(np.unique(volume.array[:, 1:])) == {40.0}


def test_a_study_without_patient_id_says_that_no_message_is_made(tmp_path: Path) -> None:
    ct_files.write(tmp_path, ct_files.series(20, change=lambda dataset, _: setattr(dataset, "PatientID", "")))

    assert any("no HL7 message" in remark for remark in load(tmp_path).reading.remarks)


def test_numbers_that_are_none_are_not_known(tmp_path: Path) -> None:
    def odd(dataset: Dataset, index: int) -> None:
        dataset.SliceThickness = "NAN"
        dataset.KVP = "1e999"

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the values are meant to be odd
        ct_files.write(tmp_path, ct_files.series(20, change=odd))

    source = load(tmp_path).reading.source

    assert (source.slice_thickness, source.kvp) == (None, None)
