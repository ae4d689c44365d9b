"""Findings as measurement groups of the report (TID 1410, 1411, 1501).

Every group carries a drawing on one of the images and at most four numbers: without the drawing OHIF shows
no group of the report at all (OHIF/Viewers#3390), and of more numbers it shows only the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import highdicom as hd
from pydicom import Dataset

from operators.biomarker import VERTEBRA, Count, Finding, Statement, Uid
from operators.dicom.regions import image_region, outline_item
from operators.dicom.report_context import ReportContext
from operators.dicom.report_items import (
    append_items,
    code_item,
    concept,
    count,
    finding_site,
    measurement,
    reasons,
    text_item,
)
from operators.reading.quantity import Measured, Withheld
from operators.reading.vertebra import Vertebra
from operators.terms import codes

Group: TypeAlias = (
    hd.sr.MeasurementsAndQualitativeEvaluations
    | hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations
    | hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations
)

MOST_NUMBERS = 4
"""In one group: OHIF shows five lines, and the last is the finding site."""


def finding_groups(context: ReportContext, finding: Finding) -> Iterator[Group]:
    """The groups of one finding: one, and further ones where it has more than :data:`MOST_NUMBERS` numbers."""
    numbers = [number for statement in finding.statements if (number := _number(statement)) is not None]
    batches = [numbers[start : start + MOST_NUMBERS] for start in range(0, len(numbers), MOST_NUMBERS)] or [[]]
    items = list(_items(finding))
    for turn, some in enumerate(batches):
        suffix = "" if not turn else f", further{'' if turn == 1 else f' {turn}'}"
        if finding.vertebra is None:
            group = _spine_group(context, finding, some, suffix)
        else:
            group = _vertebra_group(context, finding, finding.vertebra, some, suffix)
        append_items(group, items if not turn else [])
        yield group


def _number(statement: Statement) -> hd.sr.Measurement | None:
    if isinstance(statement.answer, Measured):
        return measurement(statement.question, statement.answer, statement.derivation, statement.method)
    if isinstance(statement.answer, Count):
        return count(statement.question, statement.answer.value, statement.answer.unit)
    return None


def _items(finding: Finding) -> Iterator[Dataset]:
    """Coded answers, then why others are missing, then sentences."""
    for statement in finding.statements:
        if isinstance(statement.answer, Uid):
            yield hd.sr.UIDRefContentItem(
                name=statement.question,
                value=statement.answer.value,
                relationship_type=hd.sr.RelationshipTypeValues.CONTAINS,
            )
        elif not isinstance(statement.answer, Measured | Count | Withheld):
            yield code_item(statement.question, statement.answer, statement.note)
    for subject in dict.fromkeys(statement.subject for statement in finding.statements if statement.subject):
        answers = [statement.answer for statement in finding.statements if statement.subject == subject]
        yield from reasons(subject.question, subject.name, answers)
    numbered = [s for s in finding.statements if isinstance(s.answer, Measured | Count) and s.note]
    yield from (text_item(f"{statement.question.meaning}: {statement.note}") for statement in numbered)
    yield from (text_item(note) for note in finding.notes)


def _vertebra_group(
    context: ReportContext,
    finding: Finding,
    vertebra: Vertebra,
    numbers: Sequence[hd.sr.Measurement],
    suffix: str,
) -> Group:
    """A group at one vertebra, on its segment where there is one, else on outlines."""
    topic = finding.topic
    is_main = topic == VERTEBRA and not suffix
    common: dict[str, Any] = {
        "tracking_identifier": context.tracking(vertebra, topic.name + suffix, (topic.title or topic.name) + suffix),
        "finding_category": topic.category,
        "finding_type": codes.LEVELS[vertebra.level].structure if topic == VERTEBRA else topic.finding,
        "finding_sites": [finding_site(vertebra)],
        "algorithm_id": context.algorithm(),
        "measurements": list(numbers) or None,
    }
    segment = context.segment(finding.mask, vertebra)
    regions = context.measured_in(finding.mask, vertebra) or [context.drawn_at(vertebra, is_main=is_main)]
    if segment is not None:
        group = hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **common)
        append_items(group, [outline_item(regions[0], codes.ILLUSTRATION_OF_ROI)])
        return group
    if len(regions) > 1:
        return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_regions=[image_region(region) for region in regions], **common
        )
    return hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_region=image_region(regions[0]), **common)


def _spine_group(context: ReportContext, finding: Finding, numbers: Sequence[hd.sr.Measurement], suffix: str) -> Group:
    """A group on the spine or several levels of it (TID 1501)."""
    topic = finding.topic
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=context.tracking(None, topic.name + suffix, (topic.title or topic.name) + suffix),
        finding_category=topic.category,
        finding_type=topic.finding,
        finding_sites=[hd.sr.FindingSite(anatomic_location=concept(codes.SPINE))],
        algorithm_id=context.algorithm(),
        measurements=list(numbers) or None,
    )
    append_items(group, [outline_item(context.drawn_at_spine(finding.levels), codes.SOURCE_OF_MEASUREMENT)])
    return group
