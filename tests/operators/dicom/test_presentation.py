"""Presentation state: the right name at the right place on the right slice."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pydicom import Dataset

from operators.dicom.presentation import write_presentation
from operators.reading.case import Case
from tests.operators import small_case as small
from tests.operators.complaints import complaints
from tests.peers.validators import dcentvfy, dciodvfy


def written(case: Case) -> Dataset:
    return small.decode(write_presentation(case))


def drawings(state: Dataset) -> dict[str, Dataset]:
    """The item of each vertebra by the text beside it."""
    return {
        item.TextObjectSequence[0].UnformattedTextValue: item
        for item in state.GraphicAnnotationSequence
        if "TextObjectSequence" in item
    }


def filled(graphic: Dataset) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Pixels whose centres lie inside an outline."""
    points = np.array(graphic.GraphicData).reshape(-1, 2)
    scale = 8
    image = Image.new("1", (small.SHAPE[2] * scale, small.SHAPE[1] * scale))
    ImageDraw.Draw(image).polygon([(x * scale, y * scale) for x, y in points], fill=1)
    return np.asarray(image)[scale // 2 :: scale, scale // 2 :: scale]


def test_each_name_stands_on_the_slice_of_its_vertebra() -> None:
    found = drawings(written(small.case()))
    assert list(found) == ["T12", "L1", "L2"]
    for item, centre in zip(found.values(), small.CENTRES, strict=True):
        assert item.ReferencedImageSequence[0].ReferencedSOPInstanceUID == f"{small.SERIES}.{centre + 1}"


def test_outlines_are_those_of_the_masks() -> None:
    state = written(small.case())
    for number, (item, centre) in enumerate(zip(drawings(state).values(), small.CENTRES, strict=True), start=1):
        truth = small.labels()[centre] == number
        assert np.array_equal(filled(item.GraphicObjectSequence[0]), truth)
    (density, *_) = [item for item in state.GraphicAnnotationSequence if item.GraphicLayer == "REGIONS"]
    assert np.array_equal(filled(density.GraphicObjectSequence[0]), small.density_regions()[small.CENTRES[0]] == 1)


def test_a_fracture_has_its_own_layer_and_grade() -> None:
    found = drawings(written(small.case(small.fractured_reading())))
    assert list(found) == ["T12", "L1 fracture, Genant 3", "L2 Genant 1"]
    assert [item.GraphicLayer for item in found.values()] == ["LEVELS", "FINDINGS", "LEVELS"]


def test_doubtful_names_are_shown_as_such() -> None:
    assert list(drawings(written(small.case(small.withheld_reading())))) == ["T12 (T11?)", "L1 (T12?)", "L6 (L5?)"]


def test_texts_lie_inside_the_image_and_every_slice_is_marked() -> None:
    state = written(small.case())
    for item in drawings(state).values():
        name, mark = item.TextObjectSequence
        box = [*name.BoundingBoxTopLeftHandCorner, *name.BoundingBoxBottomRightHandCorner]
        assert 0 < box[0] < box[2] <= small.SHAPE[2]
        assert 0 < box[1] < box[3] <= small.SHAPE[1]
        assert "research" in mark.UnformattedTextValue


def test_grey_values_come_out_as_on_the_ct() -> None:
    state = written(small.case())
    assert (state.RescaleSlope, state.RescaleIntercept, state.RescaleType) == (1, 0, "HU")


def test_slices_of_different_rescaling_get_none() -> None:
    slices = small.ct_slices()
    slices[small.CENTRES[0]].RescaleSlope = "2"
    assert write_presentation(small.case(slices=slices)) is None


def test_frames_of_an_enhanced_ct_are_named() -> None:
    found = drawings(written(small.enhanced_case()))
    frames = [item.ReferencedImageSequence[0].ReferencedFrameNumber for item in found.values()]
    assert frames == [small.SHUFFLED.index(centre) + 1 for centre in small.CENTRES]


def test_without_a_vertebra_there_is_none() -> None:
    assert write_presentation(small.no_spine_case()) is None


def test_the_same_case_gives_the_same_bytes() -> None:
    first, second = (small.encode(write_presentation(small.case())) for _ in range(2))
    assert first == second


@pytest.mark.peer
@pytest.mark.parametrize("make", [small.case, small.enhanced_case, small.ragged_headers])
def test_validators_find_nothing(make: object, tmp_path: Path) -> None:
    assert callable(make)
    path = small.save(write_presentation(make()), tmp_path / "gsps.dcm")
    assert not complaints(dciodvfy(path))
    if make is small.case:
        ct = small.save(small.ct_slices()[0], tmp_path / "ct.dcm")
        assert not complaints(dcentvfy([ct, path]))
    checker = shutil.which("dcmpschk")
    if checker is None:
        pytest.skip("dcmpschk is not installed (apt install dcmtk)")
    done = subprocess.run([checker, str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert "Test passed" in done.stdout + done.stderr
