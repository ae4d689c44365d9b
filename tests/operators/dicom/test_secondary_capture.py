"""The overview as a Secondary Capture: the same pixels, and a header that archives take."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread

from operators.dicom.secondary_capture import write_secondary_capture
from operators.drawing.overview import draw_overview
from tests.operators import small_case as small
from tests.operators.complaints import complaints
from tests.peers.validators import dcentvfy, dciodvfy


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return draw_overview(small.case(small.fractured_reading()))


@pytest.fixture(scope="module")
def capture(picture: Image.Image) -> Dataset:
    return small.decode(write_secondary_capture(small.case(small.fractured_reading()), picture))


def test_the_pixels_are_those_of_the_picture(capture: Dataset, picture: Image.Image) -> None:
    assert capture.PhotometricInterpretation == "RGB"
    assert np.array_equal(capture.pixel_array, np.asarray(picture))


def test_it_says_what_it_is(capture: Dataset) -> None:
    assert capture.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert capture.SeriesDescription == "AI spine overview (research)"
    assert capture.BurnedInAnnotation == "YES"
    assert "Research use only" in capture.ImageComments
    assert (capture.StudyInstanceUID, capture.PatientID) == (small.STUDY, "P-77")
    assert capture.SeriesInstanceUID != small.SERIES


def test_no_orientation_is_claimed_for_several_views(capture: Dataset) -> None:
    assert not capture.PatientOrientation


def test_the_same_case_gives_the_same_bytes(picture: Image.Image) -> None:
    first, second = (
        small.encode(write_secondary_capture(small.case(small.fractured_reading()), picture)) for _ in range(2)
    )
    assert first == second


def test_a_study_without_vertebrae_has_a_picture_too() -> None:
    case = small.no_spine_case()
    capture = dcmread(BytesIO(small.encode(write_secondary_capture(case, draw_overview(case)))))
    assert capture.pixel_array.shape[2] == 3


@pytest.mark.peer
def test_validators_find_nothing(capture: Dataset, tmp_path: Path) -> None:
    path = small.save(capture, tmp_path / "sc.dcm")
    assert not complaints(dciodvfy(path))
    ct = small.save(small.ct_slices()[0], tmp_path / "ct.dcm")
    assert not complaints(dcentvfy([ct, path]))
