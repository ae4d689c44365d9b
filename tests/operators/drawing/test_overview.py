"""The status picture: there for every case, the same every time, with nothing cut off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.anatomy import Level
from operators.density.measure import measure_bone_density
from operators.drawing.overview import draw_overview
from operators.drawing.picture_text import type_of, wrapped
from operators.drawing.sagittal_panel import make_sheet
from operators.fractures.detect import detect_fractures
from operators.quality.gates import assess_quality
from operators.reading.case import Case
from operators.terms.colours import LEVEL_COLOURS
from tests.operators.measured_case import phantom_case
from tests.phantoms.spine import SpinePhantom


@pytest.fixture(scope="module")
def case() -> Case:
    phantom = SpinePhantom(levels=(Level.L1, Level.L3)).build(1.4, 2.5, field_of_view=(140, 170))
    return measure_bone_density(detect_fractures(assess_quality(phantom_case(phantom))))


def test_same_case_same_pixels(case: Case) -> None:
    assert draw_overview(case).tobytes() == draw_overview(case).tobytes()


def test_every_vertebra_is_outlined_in_its_colour(case: Case) -> None:
    pixels = np.array(draw_overview(case)).reshape(-1, 3)
    seen = {tuple(colour) for colour in np.unique(pixels, axis=0)}
    wanted = {LEVEL_COLOURS[v.level] for v in case.reading.vertebrae}
    assert wanted <= seen


def test_nothing_touches_the_border(case: Case) -> None:
    pixels = np.array(draw_overview(case)).astype(int)
    border = np.concatenate([pixels[:6].reshape(-1, 3), pixels[-6:].reshape(-1, 3), pixels[:, -6:].reshape(-1, 3)])
    assert (border == border[0]).all()


def test_the_sheet_runs_through_every_centroid(case: Case) -> None:
    sheet = make_sheet(case)
    for vertebra in case.reading.vertebrae:
        column, row = sheet.pixel(vertebra.centroid)
        if 0 <= row < sheet.rows:
            assert 0 <= column < sheet.columns
            assert sheet.lateral[int(row)] == pytest.approx(vertebra.centroid[0], abs=0.5)


@pytest.mark.parametrize("stage", ["nothing", "no vertebrae", "not measured"])
def test_unfinished_cases_are_drawn_too(case: Case, stage: str) -> None:
    bare = case.reading.model_copy(update={"gates": (), "results": {}, "vertebrae": ()})
    if stage == "not measured":
        plain = [v.model_copy(update={"results": {}}) for v in case.reading.vertebrae]
        bare = bare.model_copy(update={"vertebrae": tuple(plain)})
    segmentation = None if stage == "nothing" else case.segmentation
    picture = draw_overview(replace(case, reading=bare, segmentation=segmentation))
    assert picture.mode == "RGB"


@pytest.mark.parametrize("text", ["", "one", "many words that do not fit on one line", "x" * 300])
def test_wrapped_lines_fit_and_lose_nothing(text: str) -> None:
    font = type_of(15)
    lines = wrapped(text, font, 120)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(font.getlength(line) <= 120 for line in lines)
