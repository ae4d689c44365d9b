"""One series is not one volume: what is parted, what is joined, which part is read, and what is said of the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from operators.reading.errors import PermanentError
from operators.study.receive import receive_study
from operators.study.select import Selection, select_series
from tests.operators import ct_files

Slices = list[Dataset]


def select(folder: Path, *parts: Slices) -> Selection:
    for part in parts:
        ct_files.write(folder, part)
    return select_series(receive_study(folder))


def slab(first: int, last: int, *, lowered: float = 0.0, key: int = 0, **header: Any) -> Slices:
    """Slices first to last - 1 of one and the same body, 2.5 mm apart, under one Series Instance UID.

    Args:
        lowered: mm by which they lie nearer to the feet.
        key: Sets SOP Instance UIDs and pixels apart.
        **header: Attributes by keyword, None leaves one out.
    """
    slices = ct_files.series(last)[first:]
    for dataset in slices:
        place = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [place[0], place[1], float(place[2]) - lowered]
        if key:
            dataset.SOPInstanceUID += f".{key}"
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            dataset.PixelData = dataset.PixelData[:-2] + bytes([key, 0])
        for keyword, value in header.items():
            if value is None:
                dataset.pop(keyword, None)
            else:
                setattr(dataset, keyword, value)
    return slices


def read_places(selection: Selection) -> list[int]:
    """Numbers of the slices that are read, from the head down."""
    return [round((float(i.header.ImagePositionPatient[2]) - 100.0) / 2.5) for i in selection.stack.instances]


def said(selection: Selection) -> str:
    return " ".join(selection.remarks)


GRIDS: dict[str, tuple[dict[str, Any], str]] = {
    "pixel spacing": ({"PixelSpacing": [0.9, 0.9]}, "another pixel spacing (0.9 instead of 0.8 mm)"),
    "frame of reference": ({"FrameOfReferenceUID": "2.25.78"}, "another frame of reference"),
    "orientation": ({"ImageOrientationPatient": [0.999, 0.0447, 0, -0.0447, 0.999, 0]}, "another orientation"),
}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("first", [True, False], ids=["upper part", "lower part"])
def test_another_grid_within_a_series_is_parted_and_named(tmp_path: Path, name: str, first: bool) -> None:
    header, words = GRIDS[name]
    odd, even = (slab(0, 20, **header), slab(20, 60)) if first else (slab(40, 60, **header), slab(0, 40))

    selection = select(tmp_path, odd, even)

    assert len(read_places(selection)) == 40
    assert f"20 of 60 slices of the series were not read, because they have {words}" in said(selection)
    assert (selection.verdicts[0].instances, selection.verdicts[0].read) == (60, 40)


def test_the_unread_stretch_is_told_by_its_end_and_length(tmp_path: Path) -> None:
    selection = select(tmp_path, slab(0, 40), slab(40, 60, PixelSpacing=[0.9, 0.9]))

    # Slices 40 to 59 at z 200 to 247.5, half a slice beyond the last.
    assert "of the body 50 mm towards the head (z 200 to 248 mm) were not read" in said(selection)


def test_another_matrix_is_another_grid(tmp_path: Path) -> None:
    low = slab(0, 20)
    for dataset in low:
        dataset.Rows = 12
        dataset.PixelData = dataset.PixelData[: 12 * 16 * 2]

    selection = select(tmp_path, low, slab(20, 60))

    assert "another matrix (12 x 16 instead of 16 x 16)" in said(selection)
    assert "50 mm towards the feet" in said(selection)


def test_another_centre_of_the_field_is_another_grid(tmp_path: Path) -> None:
    moved = slab(0, 20)
    for dataset in moved:
        dataset.ImagePositionPatient = [12.0, -8.0, dataset.ImagePositionPatient[2]]

    selection = select(tmp_path, moved, slab(20, 60))

    assert read_places(selection) == list(range(59, 19, -1))
    assert "another field of view" in said(selection)


def late(number: int | None, time: str, **more: Any) -> dict[str, Any]:
    return {"AcquisitionNumber": number, "AcquisitionTime": time, **more}


ACQUISITIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "number": (late(1, "101500"), late(2, "101500")),
    "time": (late(None, "101500"), late(None, "101730")),
    "time in another form": (late(1, "10:15:00"), late(1, "10:17:30")),
    "time of the content": ({"ContentTime": "101500"}, {"ContentTime": "101730"}),
    "time point": ({"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}),
    "cardiac phase": ({"NominalPercentageOfCardiacPhase": 40}, {"NominalPercentageOfCardiacPhase": 75}),
    "contrast": ({}, {"ContrastBolusAgent": "Iodine"}),
    "voltage": ({"KVP": 120}, {"KVP": 80}),
    "kernel": ({"ConvolutionKernel": "Br36f"}, {"ConvolutionKernel": "Br64f"}),
    "energy": ({}, {"SeriesDescription": "VNC"}),
    "thickness": ({"SliceThickness": 2.5}, {"SliceThickness": 5.0}),
    "description": ({"SeriesDescription": "arterial"}, {"SeriesDescription": "venous"}),
}


@pytest.mark.parametrize("name", ACQUISITIONS)
@pytest.mark.parametrize("lowered", [0.0, 1.25, 0.7], ids=["same places", "half an increment", "any offset"])
def test_acquisitions_of_one_place_are_never_woven_into_one(tmp_path: Path, name: str, lowered: float) -> None:
    first, second = ACQUISITIONS[name]

    selection = select(tmp_path, slab(0, 40, **first), slab(0, 40, lowered=lowered, key=1, **second))

    assert selection.stack.slices == 40
    assert selection.stack.spacing == pytest.approx(2.5)
    assert "The series holds 2 acquisitions" in said(selection)
    assert "The other acquisition (40 slices" in said(selection)
    assert "longest" not in said(selection)


def test_what_tells_the_acquisitions_apart_and_what_decided_is_said(tmp_path: Path) -> None:
    selection = select(tmp_path, slab(0, 40, KVP=80), slab(0, 40, key=1, KVP=140, AcquisitionNumber=2))

    assert "2 acquisitions (80 kV, 140 kV); the one at 80 kV was read: both serve equally" in said(selection)


@pytest.mark.parametrize(("native", "enhanced"), [(2, 10), (10, 2)])
def test_the_native_phase_is_read_whatever_the_numbers(tmp_path: Path, native: int, enhanced: int) -> None:
    selection = select(
        tmp_path,
        slab(0, 40, AcquisitionNumber=native),
        slab(0, 40, key=1, AcquisitionNumber=enhanced, ContrastBolusAgent="Iodine"),
    )

    assert {int(i.header.AcquisitionNumber) for i in selection.stack.instances} == {native}
    assert "it is without contrast" in said(selection)


def test_numbers_of_equal_acquisitions_compare_as_numbers(tmp_path: Path) -> None:
    selection = select(tmp_path, slab(0, 40, AcquisitionNumber=10), slab(0, 40, key=1, AcquisitionNumber=2))

    assert {int(i.header.AcquisitionNumber) for i in selection.stack.instances} == {2}


def test_acquisitions_that_adjoin_are_joined(tmp_path: Path) -> None:
    selection = select(tmp_path, slab(0, 30, AcquisitionNumber=2), slab(30, 60, AcquisitionNumber=1))

    assert read_places(selection) == list(range(59, -1, -1))
    assert selection.remarks == ()


def test_one_slice_twice_where_acquisitions_adjoin_is_left_out_and_said(tmp_path: Path) -> None:
    selection = select(tmp_path, slab(0, 30, AcquisitionNumber=2), slab(29, 60, key=1, AcquisitionNumber=1))

    assert read_places(selection) == list(range(59, -1, -1))
    assert "another slice lies at the same position" in said(selection)


def test_a_scan_in_blocks_is_one(tmp_path: Path) -> None:
    blocks = [slab(4 * n, 4 * n + 4, AcquisitionNumber=n, AcquisitionTime=f"1015{3 * n:02d}") for n in range(10)]

    selection = select(tmp_path, *blocks)

    assert read_places(selection) == list(range(39, -1, -1))
    assert selection.remarks == ()


def test_an_acquisition_number_on_every_slice_counts_slices(tmp_path: Path) -> None:
    slices = slab(0, 40)
    for index, dataset in enumerate(slices):
        dataset.AcquisitionNumber, dataset.AcquisitionTime = index, f"1015{index / 2:07.4f}"

    selection = select(tmp_path, slices)

    assert len(read_places(selection)) == 40
    assert selection.remarks == ()


def test_overlapping_passes_are_chosen_between_and_the_rest_is_named(tmp_path: Path) -> None:
    upper = slab(30, 75, AcquisitionNumber=1)
    lower = slab(0, 36, lowered=1.25, key=1, AcquisitionNumber=2)

    selection = select(tmp_path, upper, lower)

    assert read_places(selection) == list(range(74, 29, -1))
    assert "it covers more of the body" in said(selection)
    # From half a slice below slice 30 (z 175) to half a slice below the lowest of the other (z 98.75).
    assert "76 mm towards the feet" in said(selection)


def picture(dataset: Dataset) -> None:
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    del dataset.ImagePositionPatient, dataset.ImageOrientationPatient, dataset.RescaleSlope


def localizer(dataset: Dataset) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]


@pytest.mark.parametrize("uid", ["1.2.3", "2.999.9"], ids=["lowest UID", "highest UID"])
@pytest.mark.parametrize(("change", "words"), [(picture, "it is not a CT image"), (localizer, "it is a localizer")])
def test_what_is_no_slice_is_left_out_and_counted(
    tmp_path: Path, change: Callable[[Dataset], None], words: str, uid: str
) -> None:
    (odd,) = slab(3, 4, InstanceNumber=77)
    change(odd)
    odd.SOPInstanceUID = odd.file_meta.MediaStorageSOPInstanceUID = uid

    selection = select(tmp_path, slab(0, 40), [odd])

    assert len(read_places(selection)) == 40
    assert f"1 file of the series left out (Instance Number 77): {words}" in said(selection)


def test_an_image_type_of_one_word_is_read_as_a_word(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="localizer: it is a localizer"):
        select(tmp_path, slab(0, 40, ImageType="LOCALIZER"))


def test_what_another_series_alone_covers_is_no_reason_to_mix(tmp_path: Path) -> None:
    """Two kernels of one scan as two series are two series: nothing is left of the one that is read."""
    sharp = ct_files.series(40, number=2, change=lambda dataset, _: setattr(dataset, "ConvolutionKernel", "LUNG"))

    selection = select(tmp_path, slab(0, 40), sharp)

    assert [v.code for v in selection.verdicts] == ["taken", "second-best"]
    assert "its kernel is softer" in selection.verdicts[1].reason
    assert selection.remarks == ()


@pytest.mark.parametrize(
    ("worse", "reason"),
    [
        ({"ContrastBolusAgent": "Iodine"}, "it is without contrast"),
        ({"KVP": 100}, "its tube voltage is 120 kV"),
        ({"SeriesDescription": "VNC"}, "its numbers are nearer to ordinary CT numbers"),
        ({"SliceThickness": 4.0}, "its slices are thinner"),
        ({"ConvolutionKernel": "LUNG"}, "its kernel is softer"),
        ({"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]}, "its pixels are original"),
        ({}, "both serve equally, and it is the first"),
    ],
)
def test_between_series_the_reason_is_said(tmp_path: Path, worse: dict[str, Any], reason: str) -> None:
    first = ct_files.series(40, number=1)
    for dataset in first:
        for keyword, value in worse.items():
            setattr(dataset, keyword, value)
    # Of equals the first is read; the other is what has to be explained.
    worse_number, better_number = (1, 2) if worse else (2, 1)

    selection = select(tmp_path, first, ct_files.series(40, number=2))

    reasons = {v.series_number: (v.code, v.reason) for v in selection.verdicts}
    assert reasons[better_number][0] == "taken"
    assert reasons[worse_number][0] == "second-best"
    assert reason in reasons[worse_number][1]


def other_series(first: int, last: int, **header: Any) -> Slices:
    slices = ct_files.series(last, number=2)[first:]
    for dataset in slices:
        for keyword, value in header.items():
            setattr(dataset, keyword, value)
    return slices


def test_what_another_series_alone_covers_is_named(tmp_path: Path) -> None:
    selection = select(tmp_path, slab(0, 60), other_series(40, 90))

    assert read_places(selection)[0] == 59
    # From half a slice above slice 59 (z 248.75) to half a slice above slice 89 (z 323.75).
    assert selection.remarks == (
        "Series 2 covers more of the body, 75 mm towards the head (z 249 to 324 mm), and was not read.",
    )


@pytest.mark.parametrize(
    "header", [{}, {"FrameOfReferenceUID": "2.25.78"}], ids=["within the other", "of another frame of reference"]
)
def test_a_series_that_adds_nothing_or_cannot_be_compared_is_only_second_best(
    tmp_path: Path, header: dict[str, Any]
) -> None:
    last = 90 if header else 55
    selection = select(tmp_path, slab(0, 60), other_series(40, last, **header))

    assert selection.remarks == ()


def test_a_series_over_time_is_read_once_and_told_in_two_sentences(tmp_path: Path) -> None:
    times = [slab(0, 20, key=1 + n, TemporalPositionIdentifier=n) for n in range(8)]

    selection = select(tmp_path, *times)

    assert {int(i.header.TemporalPositionIdentifier) for i in selection.stack.instances} == {0}
    assert selection.remarks == (
        "The series holds 8 acquisitions; one of them was read: both serve equally, and it is the first.",
        "7 other acquisitions (140 slices) were not read.",
    )


def test_slices_of_bolus_tracking_at_one_place_do_not_cost_the_series(tmp_path: Path) -> None:
    tracking = [slab(20, 21, key=1 + n, InstanceNumber=2000 + n)[0] for n in range(8)]

    selection = select(tmp_path, slab(0, 60), tracking)

    assert read_places(selection) == list(range(59, -1, -1))
    assert "8 slices (Instance Number 2000, 2001, 2002, 2003, 2004, …) left out" in said(selection)


def renumbered(slices: Slices, first: int) -> Slices:
    """Numbered from the head down."""
    for index, dataset in enumerate(reversed(slices)):
        dataset.InstanceNumber = first + index
    return slices


@pytest.mark.parametrize("first", [41, 201])
def test_passes_that_only_instance_numbers_tell_apart_are_not_woven(tmp_path: Path, first: int) -> None:
    selection = select(tmp_path, renumbered(slab(0, 40), 1), renumbered(slab(0, 40, lowered=1.25, key=1), first))

    assert selection.stack.slices == 40
    assert selection.stack.spacing == pytest.approx(2.5)
    assert "The series holds 2 acquisitions" in said(selection)


def test_every_second_slice_first_is_one_scan(tmp_path: Path) -> None:
    """Slices of 1.25 mm: each pass leaves gaps, which the other fills."""
    passes = [
        renumbered(slab(0, 40, lowered=offset, key=key, SliceThickness=1.25), first)
        for offset, key, first in ((0.0, 0, 1), (1.25, 1, 41))
    ]

    selection = select(tmp_path, *passes)

    assert selection.stack.slices == 80
    assert selection.stack.spacing == pytest.approx(1.25)


def test_instance_numbers_in_no_order_tell_nothing(tmp_path: Path) -> None:
    slices = slab(0, 60)
    for dataset, number in zip(slices, np.random.default_rng(3).permutation(60), strict=True):
        dataset.InstanceNumber = int(number)

    selection = select(tmp_path, slices)

    assert len(read_places(selection)) == 60
    assert selection.remarks == ()
