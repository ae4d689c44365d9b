"""What counts as a vertebral fracture, for everything that is said of one.

Genant grade 2 and 3 count; grade 1 is listed but not counted, because a mild loss of height alone is often no
fracture (Jiang 2004; ISCD position on vertebral fracture assessment).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum

from pydicom.sr.coding import Code

from operators.fractures.results import DEFORMITY, Agreement, Deformity, DeformityIndex
from operators.reading.quantity import Withheld
from operators.reading.reading import SpineReading
from operators.reading.reasons import Reason
from operators.reading.vertebra import Vertebra
from operators.terms import codes
from operators.terms.levels import GRADED, OPTIONAL

FRACTURE_GRADE = 2
"""Lowest grade that is called a fracture."""
SEVERITY = {1: "mild", 2: "moderate", 3: "severe"}
"""Names of the Genant grades (RadElement RDES150; docs/science.md §3.1 [V])."""


class Fracture(Enum):
    """Whether a vertebra, or a spine, is fractured."""

    PRESENT = codes.PRESENT
    ABSENT = codes.ABSENT
    UNDETERMINED = codes.UNDETERMINED

    @property
    def code(self) -> Code:
        """Answer to the question for a compression fracture."""
        value: Code = self.value
        return value


def deformity_of(vertebra: Vertebra) -> Deformity | None:
    """The deformity of a vertebra whose height loss was judged, with or without a grade; else None."""
    deformity = vertebra.of(DEFORMITY)
    return deformity if isinstance(deformity, Deformity) else None


def grade_of(vertebra: Vertebra) -> int | None:
    """Genant grade; None where it is withheld or was not looked for."""
    deformity = deformity_of(vertebra)
    return None if deformity is None else deformity.grade


def is_fractured(vertebra: Vertebra) -> bool:
    """True for grade 2 and 3, also where the grade is near its limit."""
    return (grade_of(vertebra) or 0) >= FRACTURE_GRADE


def may_have_collapsed(vertebra: Vertebra) -> bool:
    """True where heights are withheld because the body is too low to be measured: a fracture is likely."""
    deformity = vertebra.of(DEFORMITY)
    is_collapse = isinstance(deformity, Withheld) and deformity.code is Reason.POSSIBLE_COLLAPSE
    return is_collapse and vertebra.level in GRADED


def fracture_of(vertebra: Vertebra) -> Fracture:
    """Whether this vertebra is fractured; grade 1, values near the limit, and a second opinion alone leave it open."""
    deformity = deformity_of(vertebra)
    if deformity is None or deformity.grade is None or deformity.indeterminate or deformity.grade == 1:
        return Fracture.UNDETERMINED
    if deformity.agreement is Agreement.ONLY_SECOND:
        return Fracture.UNDETERMINED
    return Fracture.PRESENT if deformity.grade >= FRACTURE_GRADE else Fracture.ABSENT


def fracture_of_spine(reading: SpineReading) -> Fracture:
    """Whether any evaluated vertebra is fractured."""
    found = {fracture_of(vertebra) for vertebra in evaluated(reading.vertebrae)}
    if Fracture.PRESENT in found:
        return Fracture.PRESENT
    return Fracture.ABSENT if found == {Fracture.ABSENT} else Fracture.UNDETERMINED


def evaluated(vertebrae: Iterable[Vertebra]) -> list[Vertebra]:
    """Vertebrae that have a grade."""
    return [vertebra for vertebra in vertebrae if grade_of(vertebra) is not None]


def deformity_index(vertebrae: Sequence[Vertebra]) -> DeformityIndex | None:
    """Spinal Deformity Index: the sum of the Genant grades T4–L4, 0…39; None if nothing was graded.

    A lower bound where a level of T4 to L4 has no grade; T13 counts only where it was found.
    """
    found = {vertebra.level: grade_of(vertebra) for vertebra in vertebrae if vertebra.level in GRADED}
    known = {level: grade for level, grade in found.items() if grade is not None}
    if not known:
        return None
    missing = [level for level in GRADED if level not in known and (level in found or level not in OPTIONAL)]
    return DeformityIndex(value=sum(known.values()), levels=tuple(known), is_lower_bound=bool(missing))
