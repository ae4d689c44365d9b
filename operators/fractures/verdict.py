"""What a reading says of fractures, in words and codes that every encoder of it shares.

Genant grade 2 and 3 count as vertebral fractures; grade 1 is listed but not counted, because a mild loss of
height alone is often no fracture (Jiang 2004; ISCD position on vertebral fracture assessment).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from pydicom.sr.coding import Code

from models.anatomy import Level
from operators.fractures.wording import second_opinion_sentences
from operators.reading.reading import Agreement, Deformity, Density, Measured, SpineReading, Vertebra
from operators.terms import codes

FRACTURE_GRADE = 2
"""Lowest grade that is called a fracture."""
_SEVERITY = {1: "mild", 2: "moderate", 3: "severe"}
_INDEX_LEVELS = tuple(level for level in Level if Level.T4.rank <= level.rank <= Level.L4.rank)
_OPTIONAL_LEVELS = (Level.T13,)


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
    """The deformity where it was graded, else None."""
    deformity = vertebra.deformity
    return deformity if isinstance(deformity, Deformity) and deformity.grade is not None else None


def grade_of(vertebra: Vertebra) -> int | None:
    """Genant grade; None where it is withheld or was not looked for."""
    deformity = deformity_of(vertebra)
    return None if deformity is None else deformity.grade


def fracture_of(vertebra: Vertebra) -> Fracture:
    """Whether this vertebra is fractured; grade 1, values near the limit, and a second opinion alone leave it open."""
    deformity = deformity_of(vertebra)
    if deformity is None or deformity.indeterminate or deformity.grade == 1:
        return Fracture.UNDETERMINED
    if deformity.agreement is Agreement.ONLY_SECOND:
        return Fracture.UNDETERMINED
    return Fracture.PRESENT if (deformity.grade or 0) >= FRACTURE_GRADE else Fracture.ABSENT


def fracture_of_spine(reading: SpineReading) -> Fracture:
    """Whether any evaluated vertebra is fractured."""
    found = {fracture_of(v) for v in reading.vertebrae if grade_of(v) is not None}
    if Fracture.PRESENT in found:
        return Fracture.PRESENT
    return Fracture.ABSENT if found == {Fracture.ABSENT} else Fracture.UNDETERMINED


def fractured(reading: SpineReading) -> list[Vertebra]:
    """Vertebrae that get a fracture group: grade 2 and 3, also where the grade is near its limit."""
    return [v for v in reading.vertebrae if (grade_of(v) or 0) >= FRACTURE_GRADE]


def evaluated(reading: SpineReading) -> list[Vertebra]:
    """Vertebrae that have a grade."""
    return [v for v in reading.vertebrae if grade_of(v) is not None]


def deformity_index(reading: SpineReading) -> int | None:
    """Sum of the grades of T4 to L4; None unless all of them have one."""
    grades = {v.level: grade_of(v) for v in reading.vertebrae if v.level in _INDEX_LEVELS}
    needed = [level for level in _INDEX_LEVELS if level not in _OPTIONAL_LEVELS]
    known = [grade for grade in grades.values() if grade is not None]
    if len(known) < len(grades) or any(level not in grades for level in needed):
        return None
    return sum(known)


def density_measured(vertebra: Vertebra) -> Density | None:
    """The density where at least its mean is given, else None."""
    density = vertebra.density
    return density if isinstance(density, Density) and isinstance(density.mean, Measured) else None


def fracture_phrase(vertebra: Vertebra) -> str:
    """``T12 severe (Genant 3), wedge`` – level, severity, grade and shape of one deformity."""
    deformity = deformity_of(vertebra)
    grade = 0 if deformity is None else deformity.grade or 0
    phrase = f"{vertebra.level} {_SEVERITY.get(grade, 'normal')} (Genant {grade})"
    if deformity is not None and deformity.shape is not None and grade:
        phrase += f", {deformity.shape}"
    if deformity is not None and deformity.indeterminate:
        phrase += ", near the limit of the grade: review"
    return phrase


def fracture_sentences(reading: SpineReading) -> list[str]:
    """What is said of fractures in the whole spine, a negative included."""
    known = evaluated(reading)
    if not reading.vertebrae:
        return ["No vertebra was found: nothing can be said of vertebral fractures."]
    sentences = []
    if found := fractured(reading):
        sentences.append(f"Vertebral fracture(s): {'; '.join(map(fracture_phrase, found))}.")
        sentences.append("New or old cannot be determined from this CT.")
    elif known:
        sentences.append("No moderate or severe vertebral fracture at the evaluated levels.")
    if mild := [v for v in known if grade_of(v) == 1]:
        sentences.append(f"Mild deformity, listed and not counted: {'; '.join(map(fracture_phrase, mild))}.")
    sentences.extend(second_opinion_sentences(reading.vertebrae))
    sentences.append(f"Levels evaluated: {_names(known)}.")
    if rest := [v for v in reading.vertebrae if grade_of(v) is None]:
        sentences.append(f"Levels found but not evaluated: {_names(rest)}.")
    return sentences


def _names(vertebrae: Iterable[Vertebra]) -> str:
    return ", ".join(str(vertebra.level) for vertebra in vertebrae) or "none"
