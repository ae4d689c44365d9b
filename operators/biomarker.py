"""What a biomarker is: one value that says what it measures and how that is said; encoders know nothing else of it.

A biomarker's folder holds its result types and slots (``results.py``), its terms (``terms.py``), the measuring, and
one :class:`Biomarker` (``biomarker.py``) that :mod:`operators.registered` lists. What it found becomes
:class:`Finding` (coded questions and answers, for SR, FHIR, HL7, text and terminal), :class:`Sentence` (for people),
:class:`Column` (for tables), :class:`Flag` (what deserves a look) and :class:`Overlay` (for pictures). They are made
once, where the fact is known; no encoder reads meaning back from them.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from pydicom.sr.coding import Code

from models.anatomy import Level
from operators.reading.case import Case
from operators.reading.errors import OsteonError
from operators.reading.options import Kind
from operators.reading.quantity import Measured, Point, Withheld
from operators.reading.reading import SpineReading
from operators.reading.reasons import Reason
from operators.reading.slots import Slot
from operators.reading.vertebra import Vertebra
from operators.terms import codes
from operators.terms.term import Term

FINDINGS = "Findings"
"""The section that every report begins with."""


class Weight(Enum):
    """How much something should strike the eye."""

    FINDING = "finding"
    REVIEW = "review"
    PLAIN = "plain"


@dataclass(frozen=True)
class Sentence:
    """One sentence of the report, or a few that belong together.

    Attributes:
        text: Plain English, without patient data.
        weight: How much it should strike the eye.
        section: Heading that it stands under.
    """

    text: str
    weight: Weight = Weight.PLAIN
    section: str = FINDINGS


@dataclass(frozen=True)
class Count:
    """A number of things, or a score: always whole.

    Attributes:
        value: The number.
        unit: UCUM annotation, such as ``{vertebrae}``.
    """

    value: int
    unit: str


@dataclass(frozen=True)
class Uid:
    """A UID as an answer."""

    value: str


class Subject(NamedTuple):
    """What a withheld answer is an answer to, for encodings that give the reason a question of its own.

    Attributes:
        question: Coded question for the reason.
        name: As a sentence begins: ``Heights``.
    """

    question: Term
    name: str


Answer = Measured | Count | Code | Withheld | Uid


@dataclass(frozen=True)
class Statement:
    """One question and its answer.

    Attributes:
        question: What is asked.
        answer: A number, a code, a UID, or why there is none.
        subject: What is withheld, where the answer can be; several statements may share one.
        derivation: Of a number: mean, standard deviation …
        method: How it was measured.
        note: A sentence beside the answer.
    """

    question: Code
    answer: Answer
    subject: Subject | None = None
    derivation: Code | None = None
    method: Code | None = None
    note: str | None = None


@dataclass(frozen=True)
class Topic:
    """What a finding is about. Findings of one topic at one place become one group, whoever made them.

    Attributes:
        name: What is tracked at the place; part of the tracking UID, so it never changes.
        category, finding: Coded category and type.
        title: As people read it; the name where empty.
        is_digest: True where it only repeats what other topics say, for viewers that show groups one by one;
            messages leave it out.
    """

    name: str
    category: Code
    finding: Code
    title: str = ""
    is_digest: bool = False


SPINE_SUMMARY = Topic("summary", codes.ANATOMICAL_STRUCTURE, codes.SPINE, "Spine summary")
"""The spine as a whole: several biomarkers put their main answers here."""
VERTEBRA = Topic("vertebra", codes.ANATOMICAL_STRUCTURE, codes.VERTEBRA)
"""One vertebra with its name, heights and grade; its coded type is that of its level."""


@dataclass(frozen=True)
class Finding:
    """What is said of one topic at one place.

    Attributes:
        topic: What it is about.
        statements: The first is the one that the others belong to.
        vertebra: Where; None for the spine as a whole.
        levels: Of a finding on the spine: those that it rests on.
        notes: Sentences beside the statements.
        mask: Name of the mask in which it was measured; None for none.
    """

    topic: Topic
    statements: tuple[Statement, ...]
    vertebra: Vertebra | None = None
    levels: tuple[Level, ...] = ()
    notes: tuple[str, ...] = ()
    mask: str | None = None


@dataclass(frozen=True)
class Column:
    """One column of the table of levels.

    Attributes:
        heading: At its head, short.
        spoken: The same in full, for text without a table.
        unit: As people write it; empty where the cells say it.
        cell: The text for one vertebra; None where nothing is given.
        width: In characters; 0 for what is left of the line, once in a table.
        is_text: Left-aligned words instead of right-aligned numbers.
        is_telling: Printed strongly in the row of a flagged vertebra.
        is_optional: Left out where no vertebra has a value.
        legend: What the heading means, where ``spoken`` is not enough.
    """

    heading: str
    spoken: str
    unit: str
    cell: Callable[[Vertebra], str | None]
    width: float
    is_text: bool = False
    is_telling: bool = False
    is_optional: bool = False
    legend: str = ""


@dataclass(frozen=True)
class Flag:
    """Why a vertebra deserves a look.

    Attributes:
        weight: A finding, something to be reviewed, or merely worth showing.
        reason: As a phrase, for key images.
        label: Beside the level in pictures, such as ``grade 2``; may be empty.
        full_label: The same where it stands alone, as on a slice: ``fracture, Genant 2``.
    """

    weight: Weight
    reason: str
    label: str = ""
    full_label: str = ""


class Stroke(Enum):
    """How a line of an overlay is drawn."""

    CALIPER = "caliper"
    """White, with a dot at either end: a length that was measured."""
    DASHED = "dashed"
    """Dashed, in the colour of the level: a region that something was measured in."""
    GUIDE = "guide"
    """Thin and white: a direction."""


@dataclass(frozen=True)
class Overlay:
    """A line on the sagittal picture.

    Attributes:
        points: LPS mm; a closed outline repeats its first point.
        stroke: How it is drawn.
        level: Of the vertebra whose colour it has.
        label: Beside its first point.
    """

    points: tuple[Point, ...]
    stroke: Stroke
    level: Level | None = None
    label: str = ""


@dataclass(frozen=True)
class MaskForm:
    """How a mask of a biomarker becomes a SEG object of its own.

    Attributes:
        kind: What the object is; the mask's name in the case.
        topic: What its segments are tracked as; the findings of the same topic refer to them.
        series_number: Of its series.
        content_label: Upper case, at most 16 characters.
        description: Of series and content.
        property_type, modifier: What every segment is.
        label: After the level in the segment's label.
        segment_description: Of every segment.
    """

    kind: Kind
    topic: Topic
    series_number: int
    content_label: str
    description: str
    property_type: Code
    modifier: Term | None
    label: str
    segment_description: str


def _nothing(*_: object) -> tuple[Any, ...]:
    return ()


def _none(*_: object) -> None:
    return None


def _no_weights() -> str:
    return ""


@dataclass(frozen=True)
class Biomarker:
    """One biomarker.

    Attributes:
        name: Short and stable.
        title: For people.
        step: Name of its step in the graph, as progress and status show it.
        measure: From a case to the case with its results; leaves other biomarkers' results alone.
        spine_slots, vertebra_slots: Where its results lie.
        terms: Its private terms.
        units: UCUM codes of its numbers.
        after: Names of the biomarkers whose results it asks for.
        findings: What it says, as coded questions and answers.
        sentences: What it says, for people.
        columns: Of the table of levels.
        notes: What a reader has to know beside a vertebra's numbers, the important first.
        flag: Whether a vertebra deserves a look.
        views: Vertebrae worth showing in axial views, the best first.
        overlays: Lines on the sagittal picture.
        masks: SEG objects beside that of the vertebrae.
        weights: SHA-256 of the weights of its own network, hex; empty where it has none.
        lacking: What the reading promises and does not give for any vertebra, as a phrase; None if nothing.
    """

    name: str
    title: str
    step: str
    measure: Callable[[Case], Case]
    findings: Callable[[SpineReading], Iterable[Finding]]
    sentences: Callable[[SpineReading], Iterable[Sentence]]
    spine_slots: tuple[Slot[Any], ...] = ()
    vertebra_slots: tuple[Slot[Any], ...] = ()
    terms: tuple[Term, ...] = ()
    units: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    notes: Callable[[Vertebra], Iterable[str]] = _nothing
    flag: Callable[[SpineReading, Vertebra], Flag | None] = _none
    views: Callable[[SpineReading], Iterable[Vertebra]] = _nothing
    overlays: Callable[[SpineReading], Iterable[Overlay]] = _nothing
    masks: tuple[MaskForm, ...] = field(default=())
    weights: Callable[[], str] = _no_weights
    lacking: Callable[[SpineReading], str | None] = _none


def measured(case: Case, biomarker: Biomarker) -> Case:
    """The case with what a biomarker measures; where its program fails, the case with that said.

    A defect of one biomarker costs its own numbers and nothing else: the study and the other biomarkers go on.
    The sentence names the kind and place of the error, never its text, which may quote a patient's data.
    """
    try:
        return biomarker.measure(case)
    except (OsteonError, MemoryError):  # meant for the whole study: refuse it, or try again
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the others must not be lost with it
        return _failed(case, biomarker, error)


def _failed(case: Case, biomarker: Biomarker, error: Exception) -> Case:
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}"
    sentence = f"{biomarker.title} could not be measured: its program ended with an error ({where}). Report it."
    withheld = Withheld(code=Reason.FAILED, reason=sentence)
    reading = case.reading
    for slot in biomarker.spine_slots:
        reading = reading.with_result(slot, withheld)
    vertebrae = reading.vertebrae
    for slot in biomarker.vertebra_slots:
        vertebrae = tuple(vertebra.with_result(slot, withheld) for vertebra in vertebrae)
    remarks = (*reading.remarks, sentence)
    return replace(case, reading=reading.model_copy(update={"vertebrae": vertebrae, "remarks": remarks}))
