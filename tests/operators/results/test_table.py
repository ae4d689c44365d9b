"""The table that picture, PDF and text report share."""

from __future__ import annotations

import pytest

from models.anatomy import Level
from operators.biomarker import Sentence, Weight
from operators.change.compare import with_change
from operators.change.results import Course, HeightChange
from operators.drawing.fonts import TEXT, characters
from operators.fractures.results import Deformity, SecondOpinion, Shape
from operators.reading.quantity import Measured, Withheld
from operators.reading.reading import SpineReading
from operators.results.key_levels import key_vertebrae
from operators.results.naming import remarks
from operators.results.table import FRACTURE_SIGN, NOT_GIVEN, REVIEW_SIGN, LevelRow, reading_table
from operators.results.technique import ordered_gates
from operators.results.walk import sentences
from tests.operators import small_case as small


def said(reading: SpineReading) -> list[Sentence]:
    return [sentence for section in sentences(reading).values() for sentence in section]


def test_signs_tell_fracture_from_doubt_without_colour() -> None:
    table = reading_table(small.fractured_reading())
    rows = table.rows

    def cells(row: LevelRow) -> dict[str, str]:
        return dict(zip([column.heading for column in table.columns], row.cells, strict=True))

    assert [row.sign for row in rows] == ["", FRACTURE_SIGN, REVIEW_SIGN]
    assert [cells(row)["Grade"] for row in rows] == ["0", "3 severe, wedge", "1 mild, biconcave"]


def test_a_fracture_by_the_second_opinion_alone_is_marked_for_a_look() -> None:
    def marked(second: int) -> tuple[str, str]:
        opinion = SecondOpinion(probability=0.8 if second >= 2 else 0.1, grade=second)
        flat = Deformity(height_loss=Measured(value=12, unit="%"), grade=0, second_opinion=opinion)
        (row,) = reading_table(small.reading(vertebrae=(small.vertebra(1, deformity=flat),))).rows
        return row.sign, "" if row.flag is None else row.flag.label

    assert marked(2) == (REVIEW_SIGN, "")
    assert marked(1) == ("", "")


def test_every_sign_has_a_glyph_in_the_text_font() -> None:
    assert set(FRACTURE_SIGN + REVIEW_SIGN + NOT_GIVEN + "●■±×") <= characters(TEXT)


def test_a_reason_that_holds_for_many_levels_is_said_once() -> None:
    table = reading_table(small.withheld_reading())
    assert table.notes.count("Density withheld: Tube voltage is 80 kV: attenuation cannot be compared.") == 1
    assert all(1 in row.notes for row in table.rows)
    place = [column.heading for column in table.columns].index("HU")
    assert [row.cells[place] for row in table.rows] == [NOT_GIVEN] * 3


def test_no_number_is_minus_zero() -> None:
    flat = small.vertebra(1, deformity=Deformity(height_loss=Measured(value=-0.3, unit="%"), grade=0))
    table = reading_table(small.reading(vertebrae=(flat,)))
    place = [column.heading for column in table.columns].index("Loss %")
    assert table.rows[0].cells[place] == "0"


def test_a_new_fracture_since_the_prior_is_noted() -> None:
    kept = Withheld(code="metal", reason="-")
    change = HeightChange(
        course=Course.NEW, prior_grade=0, anterior=kept, middle=kept, posterior=kept, reason="Grade 0 before, 2 now."
    )
    broken = small.vertebra(
        1,
        deformity=Deformity(height_loss=Measured(value=30, unit="%"), grade=2, shape=Shape.WEDGE),
        change=change,
    )
    assert "New fracture: Grade 0 before, 2 now." in reading_table(small.reading(vertebrae=(broken,))).notes


def test_what_withholds_comes_before_what_warns_and_passes() -> None:
    gates = (*small.reading().gates, *small.withheld_reading().gates)
    order = [gate.outcome.value for gate in ordered_gates(small.reading(gates=gates))]
    assert order == ["withhold", "warn", "pass"]


def test_the_finding_is_told_from_its_advice() -> None:
    first, second = said(small.fractured_reading())[:2]
    assert first.weight is Weight.FINDING
    assert first.text.endswith("L1 severe (Genant 3, wedge).")
    assert second.weight is Weight.PLAIN


def test_a_fracture_since_the_prior_is_a_finding_said_once() -> None:
    prior = small.reading(source=small.reading().source.model_copy(update={"study_uid": f"{small.ROOT}.7"}))
    compared = with_change(small.fractured_reading(), prior)
    (one,) = [sentence for sentence in said(compared) if "prior study" in sentence.text]
    assert "L1" in one.text
    assert one.weight is Weight.FINDING
    assert not [text for text in remarks(compared) if "prior study" in text]


def test_a_doubtful_numbering_is_a_finding() -> None:
    first = said(small.withheld_reading())[0]
    assert first.weight is Weight.REVIEW
    assert "no numbering" in first.text


def test_nothing_is_said_twice() -> None:
    told = small.fractured_reading().model_copy(update={"remarks": ("Two files left out.",)})
    texts = [sentence.text for sentence in said(told)]
    assert len(texts) == len(set(texts))
    assert remarks(told) == ("Two files left out.",)


@pytest.mark.parametrize(
    ("make", "levels"),
    [
        (small.reading, [Level.L1]),
        (small.fractured_reading, [Level.T12, Level.L1, Level.L2]),
        (lambda: small.reading(vertebrae=()), []),
    ],
    ids=["a negative: the middle one", "deciding density, fracture, mild", "nothing found"],
)
def test_key_vertebrae(make: object, levels: list[Level]) -> None:
    assert callable(make)
    reading = make()
    key = key_vertebrae(reading)
    assert [v.level for v in reading.vertebrae if v.number in key] == levels
    assert all(flag.reason for flag in key.values())
