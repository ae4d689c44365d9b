"""What is said of the vertebrae themselves, before any biomarker: which were found, and how sure their names are."""

from __future__ import annotations

from collections.abc import Iterator

from models.engine import Numbering
from operators.biomarker import SPINE_SUMMARY, VERTEBRA, Finding, Sentence, Statement, Weight
from operators.reading.reading import SpineReading
from operators.reading.reasons import Reason
from operators.reading.vertebra import Vertebra
from operators.terms import codes, frame

NO_VERTEBRA = (
    "No vertebra was found in the series that was read: nothing can be said of vertebral fractures or bone density."
)
AMBIGUOUS = (
    "The names of the vertebrae are a hypothesis: no numbering is likely enough to stand. "
    "Count the levels before using a result."
)
UNANCHORED = "The vertebrae were named by their shape alone: no rib, sacrum or neck in view fixes the names."


def level_name(vertebra: Vertebra, numbering: Numbering) -> str:
    """The level, with the doubt about it: ``T12 (T11?)``, or ``T12?`` where only the numbering is unsure."""
    if vertebra.alternative is not None:
        return f"{vertebra.level} ({vertebra.alternative}?)"
    return f"{vertebra.level}?" if numbering is Numbering.AMBIGUOUS else str(vertebra.level)


def sentences(reading: SpineReading) -> Iterator[Sentence]:
    """What has to be known before any finding."""
    if not reading.vertebrae:
        yield Sentence(NO_VERTEBRA, Weight.REVIEW)
    elif reading.numbering is Numbering.AMBIGUOUS:
        yield Sentence(AMBIGUOUS, Weight.REVIEW)


def remarks(reading: SpineReading) -> tuple[str, ...]:
    """What else is to be said of the whole study: doubt about the names, files left out and the like."""
    return (UNANCHORED, *reading.remarks) if reading.numbering is Numbering.RELATIVE else reading.remarks


def findings(reading: SpineReading) -> Iterator[Finding]:
    """The basis of the numbering, and what has to be known of every name."""
    numbering = frame.NUMBERINGS[reading.numbering]
    yield Finding(SPINE_SUMMARY, (Statement(frame.NUMBERING, numbering, note=_basis(reading)),))
    for vertebra in reading.vertebrae:
        yield Finding(
            VERTEBRA,
            tuple(_statements(vertebra)),
            vertebra,
            notes=(_doubt(vertebra, reading.numbering),),
            mask="vertebra",
        )


def _basis(reading: SpineReading) -> str:
    anchors = ", ".join(str(anchor) for anchor in reading.anchors) or "none in view"
    return f"Anchors: {anchors}; log odds against other names {reading.margin:.1f}"


def _statements(vertebra: Vertebra) -> Iterator[Statement]:
    if vertebra.alternative is not None:
        yield Statement(frame.ALTERNATIVE_LEVEL, codes.LEVELS[vertebra.alternative].name)
    if not vertebra.complete:
        yield Statement(frame.EXCLUDED, frame.EXCLUSIONS[Reason.INCOMPLETE])


def _doubt(vertebra: Vertebra, numbering: Numbering) -> str:
    """How sure the name is, what else it may be, whether all of the vertebra is seen."""
    other = f" or {vertebra.alternative}" if vertebra.alternative is not None else ""
    doubt = f"Level {vertebra.level}{other}, confidence {vertebra.confidence:.2f}"
    if numbering is Numbering.AMBIGUOUS:
        doubt += "; the numbering of this spine is ambiguous, the level is a hypothesis"
    if not vertebra.complete:
        doubt += "; cut by the border of the images"
    return f"{doubt}."
