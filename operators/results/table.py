"""A reading as a table for people: one row per vertebra, every reason once as a numbered note.

The same rows stand in the picture, the PDF and the text report, so that the three cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.engine import Numbering
from operators.fractures.wording import SEVERITY
from operators.reading.reading import (
    Agreement,
    Course,
    Deformity,
    Density,
    HeightChange,
    Heights,
    Measured,
    SpineReading,
    Vertebra,
    Withheld,
)

NOT_GIVEN = "–"
"""Stands where a number is withheld; the row's note says why."""
FRACTURE_SIGN, REVIEW_SIGN = "▲", "◊"
"""Before the level: Genant 2 or 3, and what a person should look at. Signs, so that colour is never alone."""
FLAGGED_GRADE = 2
_MAYBE_COLLAPSED = "possible-collapse"
"""Reason for which a grade is withheld although a fracture is likely."""
_SILENT = frozenset({"level-not-graded"})
"""Reasons that hold for whole parts of the spine and that the legend gives."""


@dataclass(frozen=True)
class LevelRow:
    """What is said of one vertebra, as text.

    Attributes:
        vertebra: The vertebra itself.
        sign: :data:`FRACTURE_SIGN`, :data:`REVIEW_SIGN` or nothing.
        level: The name, with the other possible one in brackets.
        confidence: In %.
        anterior, middle, posterior: Heights in mm.
        loss: Height loss in %.
        grade: Genant grade with severity and shape.
        mean, deviation: HU.
        calibrated: Mineral density in mg/cm3.
        notes: Numbers of the notes that belong to the row, from 1.
    """

    vertebra: Vertebra
    sign: str
    level: str
    confidence: str
    anterior: str
    middle: str
    posterior: str
    loss: str
    grade: str
    mean: str
    deviation: str
    calibrated: str
    notes: tuple[int, ...]

    @property
    def is_fracture(self) -> bool:
        """Whether the row is one of a vertebral fracture."""
        return self.sign == FRACTURE_SIGN


@dataclass(frozen=True)
class ReadingTable:
    """The rows from head to feet, and the notes that they refer to by number, counted from 1."""

    rows: tuple[LevelRow, ...]
    notes: tuple[str, ...]

    @property
    def has_calibrated(self) -> bool:
        """Whether any row has a density in mg/cm3."""
        return any(row.calibrated != NOT_GIVEN for row in self.rows)


def reading_table(reading: SpineReading) -> ReadingTable:
    """The table of a reading, however far that has come."""
    numbers: dict[str, int] = {}
    rows = []
    for vertebra in reading.vertebrae:
        own = dict.fromkeys(_notes(vertebra))
        found = tuple(sorted(numbers.setdefault(note, len(numbers) + 1) for note in own))
        rows.append(_row(vertebra, reading.numbering, found))
    return ReadingTable(tuple(rows), tuple(numbers))


def level_name(vertebra: Vertebra, numbering: Numbering) -> str:
    """The level, with the doubt about it: ``T12 (T11?)``, or ``T12?`` where only the numbering is unsure."""
    if vertebra.alternative is not None:
        return f"{vertebra.level} ({vertebra.alternative}?)"
    return f"{vertebra.level}?" if numbering is Numbering.AMBIGUOUS else str(vertebra.level)


def _row(vertebra: Vertebra, numbering: Numbering, notes: tuple[int, ...]) -> LevelRow:
    heights, deformity, density = vertebra.heights, vertebra.deformity, vertebra.density
    three = (heights.anterior, heights.middle, heights.posterior) if isinstance(heights, Heights) else (None,) * 3
    calibrated = density.calibrated if isinstance(density, Density) else None
    return LevelRow(
        vertebra=vertebra,
        sign=grade_sign(vertebra)[0],
        level=level_name(vertebra, numbering),
        confidence=f"{100 * vertebra.confidence:.0f}",
        anterior=_number(three[0], 1),
        middle=_number(three[1], 1),
        posterior=_number(three[2], 1),
        loss=_number(deformity.height_loss, 0) if isinstance(deformity, Deformity) else NOT_GIVEN,
        grade=_grade(deformity) if isinstance(deformity, Deformity) else NOT_GIVEN,
        mean=_number(density.mean, 0) if isinstance(density, Density) else NOT_GIVEN,
        deviation=_number(density.deviation, 0) if isinstance(density, Density) else NOT_GIVEN,
        calibrated=_number(calibrated, 0),
        notes=notes,
    )


def grade_sign(vertebra: Vertebra) -> tuple[str, int]:
    """The sign before the level, and the Genant grade where it is not zero."""
    deformity = vertebra.deformity
    if isinstance(deformity, Withheld) and deformity.code == _MAYBE_COLLAPSED:
        return REVIEW_SIGN, 0
    if not isinstance(deformity, Deformity):
        return "", 0
    grade = deformity.grade or 0
    if grade >= FLAGGED_GRADE:
        return FRACTURE_SIGN, grade
    asked = deformity.indeterminate or deformity.agreement is Agreement.ONLY_SECOND
    return REVIEW_SIGN if grade or asked else "", grade


def _grade(deformity: Deformity) -> str:
    if deformity.grade is None:
        return NOT_GIVEN
    if not deformity.grade:
        return "0"
    shape = f", {deformity.shape.value}" if deformity.shape else ""
    return f"{deformity.grade} {SEVERITY[deformity.grade]}{shape}"


def _number(quantity: object, digits: int) -> str:
    if not isinstance(quantity, Measured):
        return NOT_GIVEN
    # A loss of -0.3 % rounds to "-0", which reads as a typing error.
    return f"{round(quantity.value, digits) + 0.0:.{digits}f}"


def _notes(vertebra: Vertebra) -> Iterator[str]:
    """What a reader has to know beside the numbers of this vertebra, the important first."""
    deformity, change = vertebra.deformity, vertebra.change
    if isinstance(deformity, Deformity):
        if deformity.indeterminate:
            yield "Borderline between the grades: to be looked at."
        if deformity.agreement is Agreement.ONLY_SECOND:
            yield "The learned second opinion alone sees a moderate or severe fracture: to be looked at."
        if deformity.note and (deformity.grade or deformity.indeterminate):
            yield deformity.note
    if isinstance(change, HeightChange) and change.course is not Course.STABLE:
        yield f"{change.course.capitalize()}: {change.reason}"
    for subject, value in _withheld(vertebra):
        yield f"{subject} withheld: {value.reason}"


def _withheld(vertebra: Vertebra) -> Iterator[tuple[str, Withheld]]:
    heights, deformity, density = vertebra.heights, vertebra.deformity, vertebra.density
    parts: dict[str, Sequence[object]] = {
        "Heights": [heights],
        "Grade": [deformity],
        "Density": [density],
        "Comparison": [vertebra.change],
    }
    if isinstance(heights, Heights):
        parts["Heights"] = [heights.anterior, heights.middle, heights.posterior]
    if isinstance(deformity, Deformity):
        parts["Grade"] = [deformity.height_loss]
    if isinstance(density, Density):
        parts["Density"] = [density.mean, density.deviation]
        parts["mg/cm3"] = [density.calibrated]
    said: set[str] = set()
    for subject, values in parts.items():
        for value in values:
            if isinstance(value, Withheld) and value.code not in _SILENT and value.reason not in said:
                said.add(value.reason)
                yield subject, value
