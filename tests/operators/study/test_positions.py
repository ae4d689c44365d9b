"""Where slices lie: written numbers are rounded and jitter, slices are missing or doubled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.valuerep import DSfloat

from operators.reading.errors import PermanentError
from operators.study.receive import receive_study
from operators.study.select import Selection, select_series
from tests.operators import ct_files


def select(folder: Path, slices: list[Dataset]) -> Selection:
    return select_series(receive_study(ct_files.write(folder, slices)))


def at(height: Callable[[int], str]) -> Callable[[Dataset, int], None]:
    def change(dataset: Dataset, index: int) -> None:
        dataset.ImagePositionPatient = ["-8", "-8", height(index)]

    return change


@pytest.mark.parametrize("spacing", [0.625, 0.6, 0.75, 1.25, 2.5, 3.27])
@pytest.mark.parametrize("start", [0.0, 0.04, -733.3])
@pytest.mark.parametrize("digits", [1, 2, 3])
def test_rounded_positions_are_one_even_stack(tmp_path: Path, spacing: float, start: float, digits: int) -> None:
    slices = ct_files.series(90, change=at(lambda index: f"{start + spacing * index:.{digits}f}"))

    selection = select(tmp_path, slices)

    assert selection.stack.slices == 90
    assert selection.stack.spacing == pytest.approx(spacing, abs=0.002)
    assert selection.remarks == ()


def test_positions_without_decimals_of_25_tenths(tmp_path: Path) -> None:
    selection = select(tmp_path, ct_files.series(60, change=at(lambda index: f"{2.5 * index:.0f}")))

    assert selection.stack.slices == 60
    assert selection.stack.spacing == pytest.approx(2.5, abs=0.01)


def test_two_spacings_are_not_taken_for_rounding(tmp_path: Path) -> None:
    def height(index: int) -> str:
        return f"{0.6 * index if index < 30 else 18 + 0.7 * (index - 30):.1f}"

    selection = select(tmp_path, ct_files.series(120, change=at(height)))

    assert selection.stack.spacing == pytest.approx(0.7, abs=0.005)
    assert 88 <= selection.stack.slices <= 92  # rounding hides where exactly it changes
    assert "spacing of the slices changes within the series" in " ".join(selection.remarks)


def turned(dataset: Dataset, index: int) -> None:
    angle = 0.0005 + (0.00002 if index % 2 else -0.00002)
    dataset.ImageOrientationPatient = [DSfloat(v, auto_format=True) for v in (1, angle, 0, -angle, 1, 0)]


def test_directions_that_jitter_about_a_rounding_border_are_one(tmp_path: Path) -> None:
    selection = select(tmp_path, ct_files.series(40, change=turned))

    assert selection.stack.slices == 40
    assert selection.stack.spacing == pytest.approx(2.5, abs=1e-3)


def scaled(factor: float) -> Callable[[Dataset, int], None]:
    def change(dataset: Dataset, index: int) -> None:
        dataset.ImageOrientationPatient = [factor, 0, 0, 0, factor, 0]

    return change


def test_vectors_within_a_hundredth_of_unit_length_are_normalised(tmp_path: Path) -> None:
    selection = select(tmp_path, ct_files.series(40, change=scaled(0.995)))

    np.testing.assert_allclose(selection.stack.orientation, [1, 0, 0, 0, 1, 0], atol=1e-6)


def sheared(dataset: Dataset, index: int) -> None:
    dataset.ImageOrientationPatient = [1, 0, 0, 0.05, float(np.sqrt(1 - 0.05**2)), 0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (scaled(0.97), r"bad-orientation: .* no pair of perpendicular unit vectors \(lengths 0\.97 and 0\.97\)"),
        (sheared, r"bad-orientation: .* no pair of perpendicular unit vectors \(87\.1 degrees between them\)"),
    ],
)
def test_vectors_that_are_none_are_refused_with_their_fault(
    tmp_path: Path, change: Callable[[Dataset, int], None], words: str
) -> None:
    with pytest.raises(PermanentError, match=words):
        select(tmp_path, ct_files.series(40, change=change))


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        (("PixelSpacing",), r"\(no-position: Pixel Spacing is missing \(40 images\)\)"),
        (("ImageOrientationPatient",), r"\(no-position: Image Orientation \(Patient\) is missing \(40 images\)\)"),
        (("ImagePositionPatient",), r"\(no-position: Image Position \(Patient\) is missing \(40 images\)\)"),
        (("ImagePositionPatient", "PixelSpacing"), r"Image Position \(Patient\) and Pixel Spacing are missing"),
    ],
)
def test_absent_attributes_are_named_and_no_others(tmp_path: Path, keywords: tuple[str, ...], words: str) -> None:
    def strip(dataset: Dataset, index: int) -> None:
        for keyword in keywords:
            delattr(dataset, keyword)

    with pytest.raises(PermanentError, match=words):
        select(tmp_path, ct_files.series(40, change=strip))


def test_a_missing_slice_is_named_by_its_instance_number(tmp_path: Path) -> None:
    slices = ct_files.series(60)

    selection = select(tmp_path, slices[:20] + slices[21:])

    assert selection.stack.slices == 39
    # Instance numbers run against the index: slice 20 is 1000 - 20.
    assert "1 slice is missing (Instance Number 980)" in " ".join(selection.remarks)
    assert "Send the study again" in " ".join(selection.remarks)


def test_missing_slices_are_named_by_place_where_numbers_do_not_tell(tmp_path: Path) -> None:
    slices = ct_files.series(60)
    kept = slices[:20] + slices[22:]
    for number, dataset in enumerate(kept):
        dataset.InstanceNumber = number

    selection = select(tmp_path, kept)

    # Slices 20 and 21 lie at 100 + 2.5 * 20 and 21.
    assert "2 slices are missing (at z = 152.5, 150.0 mm)" in " ".join(selection.remarks)


def test_where_most_would_be_lost_the_missing_slices_are_the_reason_of_the_refusal(tmp_path: Path) -> None:
    slices = [dataset for index, dataset in enumerate(ct_files.series(80)) if index not in (20, 40, 60)]

    with pytest.raises(PermanentError, match=r"gaps: 3 slices are missing \(Instance Number 940, 960, 980\): send the"):
        select(tmp_path, slices)


def test_one_slice_twice_with_other_pixels_is_left_out_and_named(tmp_path: Path) -> None:
    slices = ct_files.series(60)
    twin = ct_files.plain_slice(30)
    twin.SOPInstanceUID = twin.file_meta.MediaStorageSOPInstanceUID = "2.25.999"
    twin.InstanceNumber, twin.PixelData = 5000, bytes(len(twin.PixelData))

    selection = select(tmp_path, [*slices, twin])

    assert selection.stack.slices == 60
    assert "2.25.999" not in {str(i.header.SOPInstanceUID) for i in selection.stack.instances}
    assert "1 slice (Instance Number 5000) left out: another slice lies at the same position" in selection.remarks[0]


def test_faults_of_some_images_are_counted_and_named_where_nothing_is_left(tmp_path: Path) -> None:
    slices = ct_files.series(40)
    for dataset in slices[:35]:
        del dataset.PixelSpacing

    with pytest.raises(PermanentError, match=r"too-few-slices: it has 5 axial .*; 35 files of the series left out"):
        select(tmp_path, slices)


def test_the_commonest_fault_names_its_images(tmp_path: Path) -> None:
    slices = ct_files.series(40)
    for dataset in slices:
        del dataset.PixelSpacing
    del slices[0].ImagePositionPatient

    with pytest.raises(PermanentError, match=r"Pixel Spacing is missing \(39 of 40 images\) \(Instance Number 961"):
        select(tmp_path, slices)
