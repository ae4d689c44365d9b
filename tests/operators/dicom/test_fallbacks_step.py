"""The graph's step for people: it writes what the site wants, and nothing that there is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from operators import runtime
from operators.drawing.overview import draw_overview
from operators.reading.case import Case
from operators.reading.options import Kind, ReadingOptions
from tests.operators import small_case as small

runtime.prepare()
from operators import steps  # noqa: E402  # the SDK loads the CUDA runtime

FOR_PEOPLE = {Kind.TEXT_REPORT, Kind.SECONDARY_CAPTURE, Kind.PDF, Kind.KEY_OBJECTS, Kind.PRESENTATION}


def written(case: Case, kinds: tuple[Kind, ...]) -> set[Kind]:
    asked = replace(case, job=case.job.model_copy(update={"options": ReadingOptions(kinds=kinds)}))
    step = steps.WriteFallbacks.__new__(steps.WriteFallbacks)
    return set(steps.WriteFallbacks.read(step, asked, draw_overview(asked)).objects)


@pytest.mark.parametrize(
    ("kinds", "made"),
    [
        ((Kind.SEGMENTATION, Kind.REPORT), set()),
        ((Kind.REPORT, Kind.TEXT_REPORT), {Kind.TEXT_REPORT}),
        (tuple(Kind), FOR_PEOPLE),
    ],
)
def test_only_what_is_wanted(kinds: tuple[Kind, ...], made: set[Kind]) -> None:
    assert written(small.case(), kinds) == made


def test_a_study_without_vertebrae_has_nothing_to_point_at() -> None:
    assert written(small.no_spine_case(), tuple(Kind)) == FOR_PEOPLE - {Kind.KEY_OBJECTS, Kind.PRESENTATION}
