from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import SecondaryCaptureImageStorage

from operators.reading.errors import PermanentError, Refusal
from operators.study.receive import receive_study
from operators.study.select import Selection, is_sharp, select_series
from tests.operators import ct_files


def select(folder: Path) -> Selection:
    return select_series(receive_study(folder))


def positions(selection: Selection) -> list[float]:
    return [float(i.header.ImagePositionPatient[2]) for i in selection.stack.instances]


def test_slices_come_in_the_order_of_their_positions_not_of_their_numbers(tmp_path: Path) -> None:
    ct_files.write(tmp_path, ct_files.series(30, spacing=2.5))

    selection = select(tmp_path)

    # highdicom's order for an axial series: from the head down.
    assert positions(selection) == [100.0 + 2.5 * index for index in range(29, -1, -1)]
    assert selection.stack.spacing == pytest.approx(2.5)


def localizer(dataset: Dataset, index: int) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def projection(dataset: Dataset, index: int) -> None:
    dataset.ImageType = ["DERIVED", "SECONDARY", "AXIAL", "MIP"]


def secondary_capture(dataset: Dataset, index: int) -> None:
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage


def coronal(dataset: Dataset, index: int) -> None:
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    dataset.ImagePositionPatient = [-8.0, 2.5 * index, 100.0]


def not_rescaled(dataset: Dataset, index: int) -> None:
    del dataset.RescaleSlope


def other_units(dataset: Dataset, index: int) -> None:
    dataset.RescaleType = "MGML"


def tilted(dataset: Dataset, index: int) -> None:
    angle = np.radians(18.5)
    dataset.ImageOrientationPatient = [1, 0, 0, 0, float(np.cos(angle)), float(-np.sin(angle))]


def uneven(dataset: Dataset, index: int) -> None:
    dataset.ImagePositionPatient = [-8.0, -8.0, 100.0 + 2.0 * index + 0.04 * index**2]


def every_third_missing(dataset: Dataset, index: int) -> None:
    dataset.ImagePositionPatient = [-8.0, -8.0, 100.0 + 2.5 * (index + index // 2)]


def different_twins(dataset: Dataset, index: int) -> None:
    dataset.ImagePositionPatient = [-8.0, -8.0, 100.0 + 2.5 * (index // 2)]


def too_thick(dataset: Dataset, index: int) -> None:
    dataset.ImagePositionPatient = [-8.0, -8.0, 100.0 + 7.0 * index]


def no_frame_of_reference(dataset: Dataset, index: int) -> None:
    del dataset.FrameOfReferenceUID


def no_position(dataset: Dataset, index: int) -> None:
    del dataset.ImagePositionPatient


def unknown_syntax(dataset: Dataset, index: int) -> None:
    dataset.file_meta.TransferSyntaxUID = "1.2.276.0.7230010.3.99.1"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (localizer, "localizer"),
        (projection, "projection"),
        (secondary_capture, "secondary-capture"),
        (coronal, "not-axial"),
        (not_rescaled, "not-hu"),
        (other_units, "not-hu"),
        (tilted, "gantry-tilt"),
        (uneven, "uneven-spacing"),
        (every_third_missing, "gaps"),
        (different_twins, "repeated-positions"),
        (too_thick, "too-thick"),
        (no_frame_of_reference, "no-frame-of-reference"),
        (no_position, "no-position"),
        (unknown_syntax, "transfer-syntax"),
    ],
)
def test_a_series_not_taken_has_its_reason(tmp_path: Path, change: Callable[[Dataset, int], None], code: str) -> None:
    ct_files.write(tmp_path, ct_files.series(30, number=1))
    damaged = ct_files.series(30, number=2, change=change)
    for number, dataset in enumerate(damaged):
        dataset.save_as(tmp_path / f"damaged{number}.dcm", implicit_vr=False, little_endian=True)

    verdicts = select(tmp_path).verdicts

    assert [(v.series_number, v.taken) for v in verdicts] == [(1, True), (2, False)]
    assert verdicts[1].code == code
    assert verdicts[1].reason


def test_one_slice_is_too_few(tmp_path: Path) -> None:
    ct_files.write(tmp_path, ct_files.series(1))

    with pytest.raises(PermanentError, match="too-few-slices: it has 1 axial slice") as caught:
        select(tmp_path)

    assert caught.value.code == Refusal.NO_SUITABLE_SERIES


def test_a_study_without_ct_is_refused_by_its_modalities(tmp_path: Path) -> None:
    def magnetic(dataset: Dataset, index: int) -> None:
        secondary_capture(dataset, index)
        dataset.Modality = "MR"

    ct_files.write(tmp_path, ct_files.series(5, change=magnetic))

    with pytest.raises(PermanentError, match="modalities: MR") as caught:
        select(tmp_path)

    assert caught.value.code == Refusal.NO_CT


def test_missing_slices_leave_the_longest_run_and_say_so(tmp_path: Path) -> None:
    slices = ct_files.series(40)
    ct_files.write(tmp_path, slices[:12] + slices[14:])

    selection = select(tmp_path)

    assert positions(selection) == [100.0 + 2.5 * index for index in range(39, 13, -1)]
    assert "slices are missing" in " ".join(selection.remarks)


def test_repeated_slices_with_the_same_pixels_count_once(tmp_path: Path) -> None:
    slices = ct_files.series(30)
    twin = ct_files.plain_slice(7)
    twin.SOPInstanceUID = twin.file_meta.MediaStorageSOPInstanceUID = "2.25.999"
    ct_files.write(tmp_path, [*slices, twin])

    selection = select(tmp_path)

    assert len(positions(selection)) == 30
    assert "1 repeated slice(s)" in " ".join(selection.remarks)


def test_two_acquisitions_of_the_same_place_in_one_series_are_not_mixed(tmp_path: Path) -> None:
    def of_acquisition(number: int) -> Callable[[Dataset, int], None]:
        def change(dataset: Dataset, index: int) -> None:
            dataset.AcquisitionNumber = number
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"2.25.5{number}{index:04d}"

        return change

    first = ct_files.series(30, change=of_acquisition(1))
    second = ct_files.series(24, change=of_acquisition(2))
    ct_files.write(tmp_path, first + second)

    selection = select(tmp_path)

    assert {int(i.header.AcquisitionNumber) for i in selection.stack.instances} == {1}
    assert len(selection.stack.instances) == 30


def test_a_truncated_slice_is_left_out_like_a_missing_one(tmp_path: Path) -> None:
    ct_files.write(tmp_path, ct_files.series(40))
    top = next(p for p in tmp_path.iterdir() if _z(p) == 100.0 + 2.5 * 39)
    top.write_bytes(top.read_bytes()[:-100])

    selection = select(tmp_path)

    assert len(selection.stack.instances) == 39
    assert "1 file of the series left out (Instance Number 961): its files break off" in " ".join(selection.remarks)


def _z(path: Path) -> float:
    return float(receive_study(path).instances[0].header.ImagePositionPatient[2])


def sharp(dataset: Dataset, index: int) -> None:
    dataset.ConvolutionKernel = "LUNG"


def low_voltage(dataset: Dataset, index: int) -> None:
    dataset.KVP = 80


@pytest.mark.parametrize(
    "worse",
    [
        lambda: ct_files.series(30, number=1, change=sharp),
        lambda: ct_files.series(30, number=1, change=low_voltage),
        lambda: ct_files.series(15, number=1, spacing=5.0),
        lambda: ct_files.series(18, number=1, spacing=2.5),
    ],
    ids=["sharp kernel", "80 kVp", "thick", "short"],
)
def test_the_series_that_shows_the_spine_best_is_taken(tmp_path: Path, worse: Callable[[], list[Dataset]]) -> None:
    ct_files.write(tmp_path, worse())
    ct_files.write(tmp_path, ct_files.series(30, number=2))

    verdicts = select(tmp_path).verdicts

    assert [(v.series_number, v.taken, v.code) for v in verdicts] == [(1, False, "second-best"), (2, True, "taken")]


@pytest.mark.parametrize("kernel", ["BONE", "LUNG", "Br64f", "B70f", "FC52", "BONEPLUS", "YC"])
def test_sharp_kernels_are_known(kernel: str) -> None:
    assert is_sharp(kernel)


@pytest.mark.parametrize("kernel", ["STANDARD", "SOFT", "B30f", "Br40d", "FC08", "B", None])
def test_soft_kernels_are_not_called_sharp(kernel: str | None) -> None:
    assert not is_sharp(kernel)


class TestRealSeries:
    """Series of real scanners, each with the trait that it is in the shared data for."""

    def test_64_slices_of_5_mm_in_implicit_vr(self, shared_data: Path) -> None:
        selection = select(shared_data / "dicom" / "chest_5mm")

        assert selection.stack.slices == 64
        assert selection.stack.spacing == pytest.approx(5.0)
        assert selection.verdicts[0].taken

    def test_gantry_tilt_with_three_spacings_is_refused_by_name(self, shared_data: Path) -> None:
        with pytest.raises(PermanentError, match=r"gantry-tilt: .* 18\.5°") as caught:
            select(shared_data / "dicom" / "gantry_tilt")

        assert caught.value.code == Refusal.NO_SUITABLE_SERIES

    @pytest.mark.parametrize("name", ["coronal_average", "sagittal_average", "coronal_mpr", "axial_single"])
    def test_single_reformats_are_refused(self, shared_data: Path, name: str) -> None:
        with pytest.raises(PermanentError, match=r"not-axial|too-few-slices") as caught:
            select(shared_data / "dicom" / "reformats" / f"{name}.dcm")

        assert caught.value.code == Refusal.NO_SUITABLE_SERIES

    def test_a_folder_of_four_studies_is_refused(self, shared_data: Path) -> None:
        with pytest.raises(PermanentError) as caught:
            receive_study(shared_data / "dicom" / "reformats")

        assert caught.value.code == Refusal.MIXED_STUDIES

    def test_without_study_and_series_uid_nothing_can_be_sent_back(self, shared_data: Path) -> None:
        with pytest.raises(PermanentError, match="removed by an anonymiser") as caught:
            receive_study(shared_data / "dicom" / "siemens_20_slices")

        assert caught.value.code == Refusal.NO_DICOM

    def test_jpeg_2000_of_a_siemens_scanner(self, shared_data: Path, tmp_path: Path) -> None:
        folder = with_uids(shared_data / "dicom" / "siemens_20_slices", tmp_path)

        selection = select(folder)

        assert selection.stack.slices == 20
        assert selection.stack.spacing == pytest.approx(2.0)  # 3 mm slices that overlap


def with_uids(source: Path, target: Path) -> Path:
    """The series with the study and series UID put back that its anonymiser blanked."""
    for path in source.iterdir():
        dataset = dcmread(path)
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.11", "2.25.12"
        dataset.save_as(target / f"{path.name}.dcm")
    return target
