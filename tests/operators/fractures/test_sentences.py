"""The words of the report; what must be in them comes from the standards quoted in docs/science.md §3.9."""

from __future__ import annotations

from models.anatomy import Level
from operators.fractures.results import Deformity, Shape
from operators.fractures.sentences import fracture_sentences
from operators.fractures.verdict import deformity_index
from operators.reading.quantity import Measured, Withheld
from operators.reading.vertebra import Vertebra


def vertebra(level: Level, grade: int | None, shape: Shape | None = None, indeterminate: bool = False) -> Vertebra:
    deformity = (
        Withheld(code="incomplete", reason="Cut off.")
        if grade is None
        else Deformity(height_loss=Measured(value=0, unit="%"), grade=grade, shape=shape, indeterminate=indeterminate)
    )
    return Vertebra(
        number=1, level=level, confidence=1, complete=True, centroid=(0, 0, 0), results={"deformity": deformity}
    )


def told(vertebrae: list[Vertebra]) -> list[str]:
    return [sentence.text for sentence in fracture_sentences(vertebrae)]


def test_a_fracture_is_called_one_with_level_grade_and_advice() -> None:
    text = " ".join(told([vertebra(Level.T12, 3, Shape.WEDGE), vertebra(Level.L1, 2, Shape.CRUSH)]))
    for words in ("Vertebral fracture", "T12 severe", "L1 moderate", "fracture liaison", "radiologist"):
        assert words in text


def test_no_fracture_is_said_too_and_never_for_levels_that_were_not_judged() -> None:
    sentences = told([vertebra(Level.L1, 0), vertebra(Level.L2, 0), vertebra(Level.L3, None)])
    assert sentences[0] == "No moderate or severe vertebral fracture found in 2 graded vertebrae (L1 to L2)."
    assert sentences[1] == "Not judged for fractures: L3."


def test_a_mild_loss_is_listed_but_not_flagged() -> None:
    text = " ".join(told([vertebra(Level.L1, 1, Shape.WEDGE)]))
    assert "not flagged" in text
    assert "No moderate or severe" in text


def test_nothing_graded_claims_nothing() -> None:
    assert told([]) == []
    assert deformity_index([]) is None


def test_deformity_index_is_the_sum_of_grades() -> None:
    spine = [vertebra(Level.T8, 1, Shape.WEDGE), vertebra(Level.L1, 3, Shape.CRUSH), vertebra(Level.L2, None)]
    index = deformity_index(spine)
    assert index is not None
    assert index.value == 4
