"""The tables of the codes, for documents: the private scheme with its definitions, and the vertebral levels.

The code and the conformance statement share them, so that neither can say something that the other does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pydicom.sr.coding import Code

from models.anatomy import Level
from models.engine import Numbering
from operators import codes
from operators.reading import Outcome, Shape


class PrivateTerm(NamedTuple):
    """One row of the private scheme."""

    code: Code
    definition: str


_DEFINITIONS: Mapping[Code, str] = {
    codes.HEIGHT_ANTERIOR: "Distance in mm between superior and inferior endplate along the body's own cranio-caudal"
    " axis in its mid-sagittal plane, at the anterior wall",
    codes.HEIGHT_MIDDLE: "As VBH-ANT, in the middle of the body",
    codes.HEIGHT_POSTERIOR: "As VBH-ANT, at the posterior wall",
    codes.HEIGHT_LOSS: "Largest loss of height against the expected height of the same vertebra, in %",
    codes.GENANT: "Question: semiquantitative grade by height loss (Genant 1993)",
    codes.GENANT_GRADES[0]: "Height loss below 20 %",
    codes.GENANT_GRADES[1]: "Height loss from 20 to 25 %",
    codes.GENANT_GRADES[2]: "Height loss above 25 and up to 40 %",
    codes.GENANT_GRADES[3]: "Height loss above 40 %",
    codes.GENANT_NUMBER: "GENANT as a number, for viewers that drop coded items; written for grades from 1",
    codes.MORPHOLOGY: "Question: which height is reduced most",
    codes.SHAPES[Shape.WEDGE]: "The anterior height is reduced most",
    codes.SHAPES[Shape.BICONCAVE]: "The middle height is reduced most",
    codes.SHAPES[Shape.CRUSH]: "The posterior height, or all heights, are reduced",
    codes.FRACTURE_COUNT: "Number of evaluated vertebrae of Genant grade 2 or 3",
    codes.MILD_COUNT: "Number of evaluated vertebrae of Genant grade 1: listed, not counted as fractures",
    codes.EVALUATED_COUNT: "Number of vertebrae that have a Genant grade",
    codes.DEFORMITY_INDEX: "Sum of the Genant grades of T4 to L4; given only where all of them have one",
    codes.LOW_ATTENUATION: "Question: whether mean trabecular attenuation lies below the limit of the rule named"
    " beside it",
    codes.TRABECULAR: "The part of the vertebral body inside its cortical shell",
    codes.KERNEL: "Convolution Kernel (0018,1210) of the source images",
    codes.VERTEBRA_L6: "Sixth lumbar-type vertebra",
    codes.VERTEBRA_T13: "Thirteenth thoracic-type vertebra",
    codes.ALTERNATIVE_LEVEL: "Question: the level under the second-best numbering",
    codes.EXCLUDED: "Question: why a whole vertebra was not measured",
    codes.EXCLUDED_HEIGHTS: "Question: why one or more heights of this vertebra are not given",
    codes.EXCLUDED_GRADE: "Question: why height loss or grade of this vertebra is not given",
    codes.EXCLUDED_DENSITY: "Question: why the attenuation of this vertebra is not given",
    codes.EXCLUDED_CATEGORY: "Question: why attenuation is not classified",
    codes.EXCLUSIONS["metal"]: "Implants or their artefacts",
    codes.EXCLUSIONS["incomplete"]: "The border of the image volume cuts the vertebra or the region",
    codes.EXCLUSIONS["cement"]: "Vertebroplasty or kyphoplasty",
    codes.EXCLUSIONS["lesion"]: "A focal lesion inside the region",
    codes.EXCLUSIONS["contrast"]: "Contrast medium raises the attenuation of bone",
    codes.EXCLUSIONS["fractured"]: "Attenuation of a fractured vertebra does not represent the trabecular bone",
    codes.EXCLUSIONS["numbering"]: "The value depends on a level that is not certain",
    codes.OTHER_EXCLUSION: "Any other reason, given as text",
    codes.GATE: "Question: outcome of one check of the images before a number is published; the text names the check",
    codes.GATE_OUTCOMES[Outcome.PASS]: "The check found nothing",
    codes.GATE_OUTCOMES[Outcome.WARN]: "The number is given with a reservation",
    codes.GATE_OUTCOMES[Outcome.WITHHOLD]: "The number is not given",
    codes.NUMBERING: "Question: what the names of the vertebrae rest on",
    codes.NUMBERINGS[Numbering.ANCHORED]: "Sacrum, lowest rib or C2 in the field of view fixes the names",
    codes.NUMBERINGS[Numbering.RELATIVE]: "No anchor in view, but the shapes of the vertebrae are clear evidence",
    codes.NUMBERINGS[Numbering.AMBIGUOUS]: "The names are a hypothesis",
    codes.NUMBERINGS[Numbering.NONE]: "No vertebra was found",
    codes.SERIES_READ: "Which series of the study was read, and why",
    codes.SERIES_NOT_READ: "A series of the study that was not read, and why",
}

PRIVATE_TERMS: tuple[PrivateTerm, ...] = tuple(PrivateTerm(*row) for row in _DEFINITIONS.items())
"""The whole private scheme, for code and documents."""


def private_scheme_markdown() -> str:
    """The private scheme as Markdown: a line on the scheme itself, then code, meaning and definition of every term."""
    scheme = codes.OSTEON_SCHEME
    head = f"{scheme.name}: designator `{scheme.designator}`, UID `{scheme.uid}`, version {scheme.version}."
    rows = [(f"`{term.code.value}`", term.code.meaning, term.definition) for term in PRIVATE_TERMS]
    return f"{head}\n\n{_table(('Code', 'Meaning', 'Definition'), rows)}"


def levels_markdown() -> str:
    """How every vertebral level is coded, as Markdown."""
    rows = [(str(level), *_level_row(codes.LEVELS[level])) for level in Level]
    return _table(("Level", "Code", "Meaning", "Region", "Modifier"), rows)


def _level_row(coding: codes.LevelCoding) -> Sequence[str]:
    return (
        f"`{coding.structure.value}` {coding.structure.scheme_designator}",
        coding.structure.meaning,
        "" if coding.region is None else f"`{coding.region.value}` {coding.region.meaning}",
        "" if coding.modifier is None else f"`{coding.modifier.value}` {coding.modifier.meaning}",
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines) + "\n"
