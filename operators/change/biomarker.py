"""The biomarker: change since an earlier reading of the same patient."""

from __future__ import annotations

from collections.abc import Iterator

from operators.biomarker import (
    SPINE_SUMMARY,
    Biomarker,
    Count,
    Finding,
    Flag,
    Sentence,
    Statement,
    Subject,
    Topic,
    Uid,
    Weight,
)
from operators.change import terms
from operators.change.compare import compare_with_prior
from operators.change.results import COMPARISON, HEIGHT_CHANGE, Course, HeightChange, PriorComparison
from operators.reading.quantity import Withheld
from operators.reading.reading import SpineReading
from operators.reading.vertebra import Vertebra
from operators.terms import codes
from operators.terms.levels import level_names
from operators.terms.term import terms_of

TOPIC = Topic("change since the prior reading", codes.ANATOMICAL_STRUCTURE, codes.VERTEBRAL_BODY)
_COMPARISON = Subject(terms.EXCLUDED_CHANGE, "Comparison with a prior")
_CHANGE = Subject(terms.EXCLUDED_CHANGE, "Change")


def _findings(reading: SpineReading) -> Iterator[Finding]:
    comparison = reading.of(COMPARISON)
    if isinstance(comparison, Withheld):
        yield Finding(SPINE_SUMMARY, (Statement(terms.COURSE, comparison, _COMPARISON),))
    elif comparison is not None:
        study = Statement(codes.STUDY_INSTANCE_UID, Uid(comparison.prior_study_uid), note="Of the prior study.")
        yield Finding(SPINE_SUMMARY, (study,), notes=(_comparison_text(comparison),))
    for vertebra in reading.vertebrae:
        change = vertebra.of(HEIGHT_CHANGE)
        if isinstance(change, Withheld):
            yield Finding(TOPIC, (Statement(terms.COURSE, change, _CHANGE),), vertebra)
        elif change is not None:
            yield Finding(TOPIC, tuple(_statements(change)), vertebra)


def _statements(change: HeightChange) -> Iterator[Statement]:
    yield Statement(terms.COURSE, terms.COURSES[change.course], note=change.reason)
    yield Statement(terms.ANTERIOR_CHANGE, change.anterior, _CHANGE)
    yield Statement(terms.MIDDLE_CHANGE, change.middle, _CHANGE)
    yield Statement(terms.POSTERIOR_CHANGE, change.posterior, _CHANGE)
    if change.prior_grade is not None:
        yield Statement(terms.PRIOR_GRADE, Count(change.prior_grade, "{grade}"))


def _sentences(reading: SpineReading) -> Iterator[Sentence]:
    comparison = reading.of(COMPARISON)
    if isinstance(comparison, Withheld):
        yield Sentence(f"No comparison with a prior study. {comparison.reason}")
    elif comparison is not None:
        is_worse = bool(comparison.new or comparison.worsened)
        yield Sentence(_comparison_text(comparison), Weight.FINDING if is_worse else Weight.PLAIN)


def _comparison_text(comparison: PriorComparison) -> str:
    said = []
    if comparison.new:
        said.append(f"new vertebral fracture: {level_names(comparison.new)}")
    if comparison.worsened:
        said.append(f"worsened: {level_names(comparison.worsened)}")
    rest = len(comparison.compared) - len(comparison.new) - len(comparison.worsened)
    names = f" ({level_names(comparison.compared)})" if comparison.compared else ""
    said.append(f"{rest} of {len(comparison.compared)} compared levels{names} without change")
    return f"Compared with the prior study {comparison.prior_study_uid}: {'; '.join(said)}."


def _notes(vertebra: Vertebra) -> Iterator[str]:
    change = vertebra.of(HEIGHT_CHANGE)
    if isinstance(change, Withheld):
        yield f"Comparison withheld: {change.reason}"
    elif change is not None and change.course is not Course.STABLE:
        yield f"{change.course.capitalize()}: {change.reason}"


def _flag(_: SpineReading, vertebra: Vertebra) -> Flag | None:
    change = vertebra.of(HEIGHT_CHANGE)
    if isinstance(change, HeightChange) and change.course is not Course.STABLE:
        return Flag(Weight.REVIEW, str(change.course))
    return None


CHANGE = Biomarker(
    name="change",
    title="Change since the prior study",
    step="CompareWithPrior",
    measure=compare_with_prior,
    findings=_findings,
    sentences=_sentences,
    vertebra_slots=(HEIGHT_CHANGE,),
    spine_slots=(COMPARISON,),
    terms=terms_of(terms),
    units=("mm", "{grade}"),
    after=("fractures",),
    notes=_notes,
    flag=_flag,
)
