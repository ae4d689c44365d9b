"""The table that picture, PDF and text report share."""

from __future__ import annotations

import pytest

from models.anatomy import Level
from operators.change.compare import with_change
from operators.change.results import Course, HeightChange
from operators.drawing.fonts import TEXT, characters
from operators.fractures.results import Deformity, SecondOpinion, Shape
from operators.fractures.sentences import fracture_sentences
from operators.reading.quantity import Measured, Withheld
from operators.results.key_levels import key_vertebrae
from operators.results.sentences import Weight, density, findings, remarks
from operators.results.technique import ordered_gates
from operators.results.table import FRACTURE_SIGN, NOT_GIVEN, REVIEW_SIGN, grade_sign, reading_table
from tests.operators import small_case as small


def test_signs_tell_fracture_from_doubt_without_colour() -> None:
    rows = reading_table(small.fractured_reading()).rows
    assert [row.sign for row in rows] == ["", FRACTURE_SIGN, REVIEW_SIGN]
    assert [row.grade for row in rows] == ["0", "3 severe, wedge", "1 mild, biconcave"]


def test_a_fracture_by_the_second_opinion_alone_is_marked_for_a_look() -> None:
    def marked(second: int) -> tuple[str, int]:
        opinion = SecondOpinion(probability=0.8 if second >= 2 else 0.1, grade=second)
        flat = Deformity(height_loss=Measured(value=12, unit="%"), grade=0, second_opinion=opinion)
        return grade_sign(small.vertebra(1, deformity=flat))

    assert marked(2) == (REVIEW_SIGN, 0)
    assert marked(1) == ("", 0)


def test_every_sign_has_a_glyph_in_the_text_font() -> None:
    assert set(FRACTURE_SIGN + REVIEW_SIGN + NOT_GIVEN + "●■±×") <= characters(TEXT)


def test_a_reason_that_holds_for_many_levels_is_said_once() -> None:
    table = reading_table(small.withheld_reading())
    assert table.notes.count("Density withheld: Tube voltage is 80 kV: attenuation cannot be compared.") == 1
    assert all(1 in row.notes for row in table.rows)
    assert [row.mean for row in table.rows] == [NOT_GIVEN] * 3


def test_no_number_is_minus_zero() -> None:
    flat = small.vertebra(1, deformity=Deformity(height_loss=Measured(value=-0.3, unit="%"), grade=0))
    (row,) = reading_table(small.reading(vertebrae=(flat,))).rows
    assert row.loss == "0"


def test_a_new_fracture_since_the_prior_is_noted() -> None:
    kept = Withheld(code="x", reason="-")
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
    first, second = findings(small.fractured_reading())[:2]
    assert first.weight is Weight.FINDING
    assert first.text.endswith("L1 severe (Genant 3, wedge).")
    assert second.weight is Weight.PLAIN


def test_a_fracture_since_the_prior_is_a_finding_said_once() -> None:
    prior = small.reading(source=small.reading().source.model_copy(update={"study_uid": f"{small.ROOT}.7"}))
    compared = with_change(small.fractured_reading(), prior)
    (said,) = [sentence for sentence in findings(compared) if "prior study" in sentence.text]
    assert "L1" in said.text
    assert said.weight is Weight.FINDING
    assert not [text for text in remarks(compared) if "prior study" in text]


def test_a_doubtful_numbering_is_a_finding() -> None:
    said = findings(small.withheld_reading())[0]
    assert said.weight is Weight.REVIEW
    assert "two numberings" in said.text


def test_nothing_is_said_twice() -> None:
    reading = small.fractured_reading()
    remarked = (*fracture_sentences(reading.vertebrae), "Two files left out.")
    told = reading.model_copy(update={"remarks": remarked})
    texts = [*(s.text for s in findings(told)), *(s.text for s in density(told))]
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
    assert [v.level for v in key_vertebrae(make())] == levels
