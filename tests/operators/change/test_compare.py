"""Change against a prior reading; expected values follow from the rule of docs/science.md §18.3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from models.anatomy import Level
from models.engine import Numbering
from operators.change.compare import read_prior, with_change
from operators.change.results import COMPARISON, HEIGHT_CHANGE, Course, HeightChange, PriorComparison
from operators.fractures.results import Deformity, Heights
from operators.reading.provenance import Provenance
from operators.reading.quantity import Measured, Withheld
from operators.reading.reading import SpineReading
from operators.reading.source import SourceSeries
from operators.reading.vertebra import Vertebra
from operators.registered import parse_reading
from operators.results.walk import sentence_texts

INTACT = (26.0, 25.0, 27.0)


def vertebra(level: Level, heights: tuple[float, float, float] | None, grade: int, loss: float) -> Vertebra:
    """One measured to ±0.4 mm and ±3 %; without heights one that was cut off."""
    cut = Withheld(code="incomplete", reason="Cut off.")
    three = [Measured(value=value, unit="mm", uncertainty=0.4) for value in heights or ()]
    return Vertebra(
        number=1,
        level=level,
        confidence=0.9,
        complete=heights is not None,
        centroid=(0, 0, 0),
        results={
            "heights": Heights(anterior=three[0], middle=three[1], posterior=three[2]) if three else cut,
            "deformity": Deformity(height_loss=Measured(value=loss, unit="%", uncertainty=3.0), grade=grade)
            if three
            else cut,
        },
    )


def reading(study: str, *vertebrae: Vertebra, engine: str = "a", **source: Any) -> SpineReading:
    known: dict[str, Any] = {"slice_spacing": 1.0, "slice_thickness": 1.0, "age_years": 70.0, "sex": "F", **source}
    numbering = known.pop("numbering", Numbering.ANCHORED)
    return SpineReading(
        series=(),
        source=SourceSeries(
            study_uid=study,
            series_uid=f"{study}.1",
            frame_of_reference_uid=None,
            content_digest="0" * 64,
            slices=100,
            rows=512,
            columns=512,
            pixel_spacing=(0.8, 0.8),
            **known,
        ),
        provenance=Provenance(pipeline="0", engine="truth", engine_version="1", engine_digest=engine * 64),
        numbering=numbering,
        vertebrae=vertebrae,
    )


def change_of(done: SpineReading, level: Level) -> HeightChange:
    change = next(v for v in done.vertebrae if v.level is level).of(HEIGHT_CHANGE)
    assert isinstance(change, HeightChange), change
    return change


def compared(
    now: tuple[tuple[float, float, float], int, float], then: tuple[tuple[float, float, float], int, float]
) -> HeightChange:
    done = with_change(
        reading("1.2.2", vertebra(Level.L1, *now), age_years=72.0), reading("1.2.1", vertebra(Level.L1, *then))
    )
    return change_of(done, Level.L1)


def test_a_grade_more_is_a_new_fracture() -> None:
    found = compared(((19.0, 22.0, 27.0), 2, 30.0), (INTACT, 0, 2.0))
    assert (found.course, found.prior_grade) == (Course.NEW, 0)
    assert isinstance(found.anterior, Measured)
    assert found.anterior.value == pytest.approx(-7.0)
    assert found.anterior.uncertainty == pytest.approx(0.566, abs=0.005)


def test_a_worse_fracture_is_worsened() -> None:
    found = compared(((14.0, 18.0, 27.0), 3, 45.0), ((19.0, 22.0, 27.0), 2, 30.0))
    assert (found.course, found.prior_grade) == (Course.WORSENED, 2)


@pytest.mark.parametrize(
    ("posterior", "course"),
    [
        (21.0, Course.NEW),  # 6 mm and 22 % lower
        (22.0, Course.STABLE),  # 5 mm, but 18.5 % only
    ],
)
def test_a_height_must_fall_by_20_percent_and_4_mm(posterior: float, course: Course) -> None:
    assert compared(((26.0, 25.0, posterior), 0, 10.0), (INTACT, 0, 2.0)).course is course


def test_20_percent_of_a_low_vertebra_are_not_enough_without_4_mm() -> None:
    assert compared(((13.0, 13.0, 13.0), 0, 10.0), ((16.5, 16.5, 16.5), 0, 2.0)).course is Course.STABLE


def test_a_grade_that_changed_within_the_uncertainty_is_no_change() -> None:
    """19 % then and 21 % now, each ±3 %: grade 0 and 1, but the same vertebra."""
    found = compared(((21.0, 23.0, 27.0), 1, 21.0), ((21.5, 23.0, 27.0), 0, 19.0))
    assert found.course is Course.STABLE
    assert "uncertainty" in found.reason


def test_the_report_names_the_prior_study_and_the_change() -> None:
    now = reading("1.2.2", vertebra(Level.T12, INTACT, 0, 0.0), vertebra(Level.L1, (19.0, 22.0, 27.0), 2, 30.0))
    then = reading("1.2.1", vertebra(Level.T12, INTACT, 0, 0.0), vertebra(Level.L1, INTACT, 0, 0.0))
    done = with_change(now, then)
    assert isinstance(done.of(COMPARISON), PriorComparison)
    assert done.of(COMPARISON).prior_study_uid == "1.2.1"
    assert (done.of(COMPARISON).compared, done.of(COMPARISON).new) == ((Level.T12, Level.L1), (Level.L1,))
    text = " ".join(sentence_texts(done))
    assert "prior study 1.2.1: new vertebral fracture: L1" in text
    assert "New or old cannot be determined" not in text


def test_levels_that_one_study_lacks_are_withheld_one_by_one() -> None:
    now = reading("1.2.2", vertebra(Level.T12, INTACT, 0, 0.0), vertebra(Level.L1, INTACT, 0, 0.0))
    done = with_change(now, reading("1.2.1", vertebra(Level.L1, None, 0, 0.0)))
    codes = [v.of(HEIGHT_CHANGE).code for v in done.vertebrae if isinstance(v.of(HEIGHT_CHANGE), Withheld)]
    assert codes == ["prior-unseen", "prior-unmeasured"]


@pytest.mark.parametrize(
    ("study", "engine", "source", "code"),
    [
        ("1.2.2", "a", {}, "prior-same-study"),
        ("1.2.1", "b", {}, "prior-engine"),
        ("1.2.1", "a", {"slice_thickness": 3.0}, "prior-slices"),
        ("1.2.1", "a", {"numbering": Numbering.RELATIVE}, "prior-numbering"),
        ("1.2.1", "a", {"sex": "M"}, "prior-other-patient"),
        ("1.2.1", "a", {"age_years": 75.0}, "prior-other-patient"),
    ],
)
def test_readings_that_are_not_alike_are_not_compared(
    study: str, engine: str, source: dict[str, Any], code: str
) -> None:
    now = reading("1.2.2", vertebra(Level.L1, INTACT, 0, 0.0))
    done = with_change(now, reading(study, vertebra(Level.L1, INTACT, 0, 0.0), engine=engine, **source))
    assert isinstance(done.of(COMPARISON), Withheld)
    assert done.of(COMPARISON).code == code
    assert study in done.of(COMPARISON).reason
    assert done.vertebrae == now.vertebrae


def test_two_ambiguous_numberings_are_not_compared() -> None:
    now, then = (reading(s, vertebra(Level.L1, INTACT, 0, 0.0), numbering=Numbering.AMBIGUOUS) for s in ("1.2", "1.1"))
    change = with_change(now, then).of(COMPARISON)
    assert isinstance(change, Withheld)
    assert change.code == "prior-numbering"


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\x00", b'{"series": []}'])
def test_a_prior_that_is_no_reading_is_withheld(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "reading.json"
    path.write_bytes(content)
    found = read_prior(path)
    assert isinstance(found, Withheld)
    assert found.code == "prior-unreadable"
    assert read_prior(tmp_path / "missing.json") == Withheld(
        code="prior-unreadable", reason="The prior reading could not be opened."
    )


def test_a_reading_survives_its_file(tmp_path: Path) -> None:
    done = with_change(
        reading("1.2.2", vertebra(Level.L1, (19.0, 22.0, 27.0), 2, 30.0)),
        reading("1.2.1", vertebra(Level.L1, INTACT, 0, 0.0)),
    )
    path = tmp_path / "reading.json"
    path.write_text(done.model_dump_json())
    assert parse_reading(path.read_bytes()) == done
    assert with_change(done, read_prior(path)).of(COMPARISON).code == "prior-same-study"
