"""Result types on the change since an earlier reading, and the slots that they lie in."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from models.anatomy import Level
from operators.reading.quantity import Frozen, Quantity
from operators.reading.slots import Slot


class Course(StrEnum):
    """What became of a vertebra since an earlier reading."""

    NEW = "new fracture"
    """A grade of 1 or more, or a height lower by 20 % and 4 mm, where there was grade 0 then."""
    WORSENED = "worsened"
    """The same where there was a grade of 1 or more then."""
    STABLE = "no change"
    """Neither."""


class HeightChange(Frozen):
    """One vertebra beside the same vertebra of an earlier reading.

    Attributes:
        course: New, worsened or stable.
        prior_grade: Genant grade then; None where it was not graded.
        anterior, middle, posterior: Change of Ha, Hm and Hp since then, mm; negative where it is lower.
        reason: By which rule, with its numbers, as a sentence.
    """

    course: Course
    prior_grade: Annotated[int, Field(ge=0, le=3)] | None
    anterior: Quantity
    middle: Quantity
    posterior: Quantity
    reason: str


class PriorComparison(Frozen):
    """The comparison of a whole reading with an earlier one of the same patient.

    Attributes:
        prior_study_uid, prior_series_uid: What it was compared with.
        compared: Levels of which both readings have heights, from head to feet; a grade is not needed.
        new, worsened: Levels among them with that course.
    """

    prior_study_uid: str
    prior_series_uid: str
    compared: tuple[Level, ...]
    new: tuple[Level, ...] = ()
    worsened: tuple[Level, ...] = ()


HEIGHT_CHANGE = Slot("change", HeightChange)
"""On a vertebra: beside the same vertebra of the earlier reading."""
COMPARISON = Slot("change", PriorComparison)
"""On the spine: the comparison as a whole."""
