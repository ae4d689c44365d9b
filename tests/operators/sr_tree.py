"""A walk through SR content trees with pydicom alone, and the cases whose reports are walked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pydicom import Dataset, dcmread

from operators.density.masks import REGIONS_OBJECT
from operators.dicom.masks import write_mask
from operators.dicom.report import REPORT_2D, write_report
from operators.dicom.segmentation import write_segmentation
from operators.reading.case import Case
from operators.reading.options import Kind
from tests.operators import small_case as small
from tests.operators.full_reading import full_reading, transitional_reading
from tests.operators.small_case import encode

CASES: dict[str, Callable[[], Case]] = {
    "normal": small.case,
    "fractured": lambda: small.case(small.fractured_reading()),
    "withheld": lambda: small.case(small.withheld_reading()),
    "no spine": small.no_spine_case,
    "enhanced": small.enhanced_case,
    "no frame of reference": small.drop_frame_of_reference,
    "ragged headers": small.ragged_headers,
    "everything measured": lambda: small.case(full_reading()),
    "transitional levels": lambda: small.case(transitional_reading()),
    "nothing measured": lambda: small.case(
        small.reading(vertebrae=(small.vertebra(1, heights=None, deformity=None, density=None),))
    ),
}
EVERY_CASE = pytest.mark.parametrize("of", CASES)


class Written(NamedTuple):
    """A case and the files made of it."""

    case: Case
    segmentation: bytes | None
    density: bytes | None
    report: bytes
    report_2d: bytes


def segmentations(case: Case) -> dict[Kind, Dataset]:
    """The SEG objects that a report refers to."""
    made = {Kind.SEGMENTATION: write_segmentation(case), Kind.DENSITY_REGIONS: write_mask(case, REGIONS_OBJECT)}
    return {kind: dataset for kind, dataset in made.items() if dataset is not None}


def write(case: Case) -> Written:
    """The objects of a case, as files."""
    made = segmentations(case)
    files = {kind: encode(dataset) for kind, dataset in made.items()}
    return Written(
        case,
        files.get(Kind.SEGMENTATION),
        files.get(Kind.DENSITY_REGIONS),
        encode(write_report(case, made)),
        encode(write_report(case, made, REPORT_2D)),
    )


@cache
def written(of: str) -> Written:
    """The objects of a named case, made once."""
    return write(CASES[of]())


def report(case: Case) -> Dataset:
    """The report of a case, as another program reads it."""
    return parse(write(case).report)


def parse(file: bytes) -> Dataset:
    """A file, as another program reads it."""
    return dcmread(BytesIO(file))


def name(item: Dataset) -> str:
    """Code value of the concept."""
    return str(item.ConceptNameCodeSequence[0].CodeValue)


def items(parent: Dataset, concept: str | None = None, value_type: str | None = None) -> list[Dataset]:
    """Children, of one concept or value type."""
    return [
        item
        for item in parent.get("ContentSequence", [])
        if concept in (None, name(item)) and value_type in (None, item.ValueType)
    ]


def walk(parent: Dataset) -> Iterator[Dataset]:
    """All descendants."""
    for item in items(parent):
        yield item
        yield from walk(item)


def groups(sr: Dataset) -> dict[str, Dataset]:
    """Measurement groups by tracking identifier."""
    (measurements,) = items(sr, "126010")
    return {items(group, "112039")[0].TextValue: group for group in items(measurements, "125007")}


def numbers(group: Dataset) -> dict[str, tuple[float, str]]:
    """Values and units of the numbers of a group."""
    values = {}
    for item in items(group, value_type="NUM"):
        (value,) = item.MeasuredValueSequence
        values[name(item)] = (float(value.NumericValue), str(value.MeasurementUnitsCodeSequence[0].CodeValue))
    return values


def answers(group: Dataset) -> dict[str, str]:
    """Codes by question."""
    return {name(item): str(item.ConceptCodeSequence[0].CodeValue) for item in items(group, value_type="CODE")}


def texts(parent: Dataset) -> str:
    """All texts beneath an item."""
    return " | ".join(str(item.TextValue) for item in walk(parent) if item.ValueType == "TEXT")


def filled(drawing: Dataset) -> Any:
    """Pixels whose centre lies inside the outline, by Pillow on a grid eight times as fine."""
    fine = 8
    corners = [(x * fine, y * fine) for x, y in np.array(drawing.GraphicData, dtype=float).reshape(-1, 2)]
    image = Image.new("1", (small.SHAPE[2] * fine, small.SHAPE[1] * fine))
    ImageDraw.Draw(image).polygon(corners, fill=1)
    return np.array(image)[fine // 2 :: fine, fine // 2 :: fine]
