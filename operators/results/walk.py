"""One walk over a reading for all encoders: findings, sentences and flags of every registered biomarker.

Encoders take what they need from here and know no biomarker, so that no two of them can say different things.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from operators.biomarker import (
    FINDINGS,
    SPINE_SUMMARY,
    VERTEBRA,
    Biomarker,
    Finding,
    Flag,
    Overlay,
    Sentence,
    Statement,
    Weight,
)
from operators.reading.quantity import Withheld
from operators.reading.reading import SpineReading
from operators.reading.vertebra import Vertebra
from operators.registered import BIOMARKERS
from operators.results import naming

_ORDER = (Weight.FINDING, Weight.REVIEW, Weight.PLAIN)


def findings(reading: SpineReading, biomarkers: Sequence[Biomarker] = BIOMARKERS) -> tuple[Finding, ...]:
    """Everything that is said in codes, findings of one topic at one place joined into one.

    Returns:
        The summary of the spine, then what repeats the main findings, then other findings on the spine, then
        every vertebra from head to feet.
    """
    joined: dict[tuple[int | None, str], Finding] = {}
    made = [finding for one in biomarkers for finding in one.findings(reading)]
    for finding in (*made, *naming.findings(reading)):
        key = (_place(finding), finding.topic.name)
        joined[key] = _joined(joined[key], finding) if key in joined else finding
    order = {vertebra.number: index for index, vertebra in enumerate(reading.vertebrae)}
    return tuple(sorted(joined.values(), key=lambda finding: _rank(finding, order)))


def _joined(first: Finding, second: Finding) -> Finding:
    return replace(
        first,
        statements=tuple(dict.fromkeys((*first.statements, *second.statements))),
        levels=first.levels or second.levels,
        notes=tuple(dict.fromkeys((*first.notes, *second.notes))),
        mask=first.mask or second.mask,
    )


def _rank(finding: Finding, order: dict[int, int]) -> tuple[int, int]:
    if finding.topic == SPINE_SUMMARY:
        return 0, 0
    place = -1 if finding.vertebra is None else order[finding.vertebra.number]
    return 1 if finding.topic.is_digest else 2, place


def sentences(reading: SpineReading, biomarkers: Sequence[Biomarker] = BIOMARKERS) -> dict[str, tuple[Sentence, ...]]:
    """Everything that is said to people, by section; the findings first."""
    sections: dict[str, list[Sentence]] = {FINDINGS: []}
    made = [sentence for one in biomarkers for sentence in one.sentences(reading)]
    for sentence in (*naming.sentences(reading), *made):
        sections.setdefault(sentence.section, []).append(sentence)
    return {section: tuple(said) for section, said in sections.items() if said}


def sentence_texts(reading: SpineReading) -> list[str]:
    """What was found, as plain texts in reading order: for encodings that carry everything else in codes."""
    return [sentence.text for sentence in sentences(reading).get(FINDINGS, ())]


def without_bare_reasons(found: Sequence[Finding]) -> tuple[Finding, ...]:
    """The same with findings that hold nothing but reasons put beside the main finding of their place.

    For encodings that draw every finding: a drawing only to say that there is no number would be in the way.
    """
    moved: dict[int | None, list[Statement]] = {}
    for finding in filter(_is_bare, found):
        moved.setdefault(_place(finding), []).extend(finding.statements)
    kept = []
    for finding in found:
        reasons = moved.get(_place(finding), []) if finding.topic in _MAIN else []
        if not _is_bare(finding):
            kept.append(replace(finding, statements=(*finding.statements, *reasons)))
    return tuple(kept)


_MAIN = (SPINE_SUMMARY, VERTEBRA)


def _is_bare(finding: Finding) -> bool:
    return finding.topic not in _MAIN and all(isinstance(one.answer, Withheld) for one in finding.statements)


def _place(finding: Finding) -> int | None:
    return None if finding.vertebra is None else finding.vertebra.number


def flag_of(reading: SpineReading, vertebra: Vertebra, biomarkers: Sequence[Biomarker] = BIOMARKERS) -> Flag | None:
    """Why a vertebra deserves a look, the reasons of all biomarkers together; None where it deserves none."""
    flags = [flag for one in biomarkers if (flag := one.flag(reading, vertebra)) is not None]
    if not flags:
        return None
    flags.sort(key=lambda flag: _ORDER.index(flag.weight))
    return Flag(
        weight=flags[0].weight,
        reason="; ".join(dict.fromkeys(flag.reason for flag in flags)),
        label=next((flag.label for flag in flags if flag.label), ""),
        full_label=next((flag.full_label for flag in flags if flag.full_label), ""),
    )


def overlays(reading: SpineReading, biomarkers: Sequence[Biomarker] = BIOMARKERS) -> tuple[Overlay, ...]:
    """Lines on the sagittal picture."""
    return tuple(overlay for one in biomarkers for overlay in one.overlays(reading))


def has_findings(reading: SpineReading) -> bool:
    """Whether anything was found that a report calls a finding."""
    flags = (flag_of(reading, vertebra) for vertebra in reading.vertebrae)
    return any(flag is not None and flag.weight is Weight.FINDING for flag in flags)


def lacking(reading: SpineReading, biomarkers: Sequence[Biomarker] = BIOMARKERS) -> list[str]:
    """What a reading promises and does not give for any vertebra, as phrases."""
    missing = [] if reading.vertebrae else ["no vertebra found"]
    return [*missing, *(phrase for one in biomarkers if (phrase := one.lacking(reading)) is not None)]
