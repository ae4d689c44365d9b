"""The parts of the report that belong to the whole study: spine summary, library, gates, processing summary."""

from __future__ import annotations

from collections.abc import Iterator

import highdicom as hd
from pydicom import Dataset
from pydicom.sr.coding import Code

from operators.dicom.report_context import Group, ReportContext
from operators.dicom.report_density import density_summary
from operators.dicom.report_items import append_items, code_item, count, number_item, reasons, text_item
from operators.fractures.verdict import (
    Fracture,
    deformity_index,
    density_measured,
    evaluated,
    fracture_of,
    fracture_of_spine,
    fracture_sentences,
    fractured,
    grade_of,
)
from operators.reading.case import Case
from operators.reading.reading import PriorComparison, SeriesVerdict, SpineReading
from operators.terms import codes
from operators.terms import finding_codes as terms

RESEARCH_MARK = (
    "Research use only, not for clinical use. Automated output that no person has verified; confirm by a radiologist."
)
_ACQUISITION = hd.sr.RelationshipTypeValues.HAS_ACQ_CONTEXT


def summary_group(context: ReportContext) -> Group:
    """The spine as a whole (TID 1501): how many vertebrae were evaluated, and what was found."""
    reading = context.case.reading
    known = evaluated(reading)
    numbers = [
        count(codes.EVALUATED_COUNT, len(known), "{vertebrae}"),
        count(codes.FRACTURE_COUNT, sum(fracture_of(v) is Fracture.PRESENT for v in known), "{vertebrae}"),
        count(codes.MILD_COUNT, sum(grade_of(v) == 1 for v in known), "{vertebrae}"),
        *_index(reading),
    ]
    worst = max(fractured(reading), key=lambda v: grade_of(v) or 0, default=None)
    group = context.spine_group("Spine summary", codes.SPINE, numbers, [] if worst is None else [worst.level])
    append_items(group, [code_item(codes.COMPRESSION_FRACTURE, fracture_of_spine(reading).code)])
    append_items(group, [code_item(codes.NUMBERING, codes.NUMBERINGS[reading.numbering], _numbering_basis(reading))])
    append_items(group, list(density_summary(reading)))
    append_items(group, list(_change_items(reading)))
    append_items(group, [text_item(" ".join(fracture_sentences(reading)))])
    return group


def _index(reading: SpineReading) -> Iterator[hd.sr.Measurement]:
    whole, part = deformity_index(reading), reading.deformity_index
    if whole is not None:
        yield count(codes.DEFORMITY_INDEX, whole, "{score}")
    elif part is not None:
        yield count(terms.INDEX_LOWER_BOUND, part.value, "{score}")


def _numbering_basis(reading: SpineReading) -> str:
    anchors = ", ".join(str(anchor) for anchor in reading.anchors) or "none in view"
    return f"Anchors: {anchors}; log-likelihood margin {reading.margin:.1f}"


def _change_items(reading: SpineReading) -> Iterator[Dataset]:
    change = reading.change
    yield from reasons(terms.EXCLUDED_CHANGE, "Comparison with a prior", [change])
    if not isinstance(change, PriorComparison):
        return
    yield hd.sr.UIDRefContentItem(
        name=codes.STUDY_INSTANCE_UID,
        value=change.prior_study_uid,
        relationship_type=hd.sr.RelationshipTypeValues.CONTAINS,
    )
    told = [
        f"{name}: {', '.join(map(str, levels))}."
        for name, levels in (("New fracture", change.new), ("Worsened", change.worsened))
        if levels
    ] or ["No new and no worsened fracture."]
    compared = ", ".join(map(str, change.compared)) or "none"
    yield text_item(f"Compared with a prior reading at {compared}. {' '.join(told)}")


def image_library(case: Case, headers: tuple[Dataset, ...]) -> hd.sr.ContainerContentItem:
    """The images that were read (TID 1600), what they have in common said once.

    highdicom's own library repeats ten descriptors per image: 3 MB for 600 slices.
    """
    group = hd.sr.ContainerContentItem(
        name=codes.IMAGE_LIBRARY_GROUP, relationship_type=hd.sr.RelationshipTypeValues.CONTAINS
    )
    group.ContentSequence = hd.sr.ContentSequence(list(_descriptors(case)))
    for header in headers:
        group.ContentSequence.append(
            hd.sr.ImageContentItem(
                name=codes.SOURCE,
                referenced_sop_class_uid=header.SOPClassUID,
                referenced_sop_instance_uid=header.SOPInstanceUID,
                relationship_type=hd.sr.RelationshipTypeValues.CONTAINS,
            )
        )
    library = hd.sr.ContainerContentItem(
        name=codes.IMAGE_LIBRARY,
        relationship_type=hd.sr.RelationshipTypeValues.CONTAINS,
        template_id="1600",
    )
    library.ContentSequence = hd.sr.ContentSequence([group])
    return library


def _descriptors(case: Case) -> Iterator[hd.sr.ContentItem]:
    source = case.reading.source
    yield hd.sr.CodeContentItem(name=codes.MODALITY, value=codes.COMPUTED_TOMOGRAPHY, relationship_type=_ACQUISITION)
    if source.frame_of_reference_uid is not None:
        yield hd.sr.UIDRefContentItem(
            name=codes.FRAME_OF_REFERENCE_UID,
            value=source.frame_of_reference_uid,
            relationship_type=_ACQUISITION,
        )
    yield number_item(codes.PIXEL_DATA_ROWS, source.rows, "{pixels}")
    yield number_item(codes.PIXEL_DATA_COLUMNS, source.columns, "{pixels}")
    yield number_item(codes.HORIZONTAL_SPACING, source.pixel_spacing[1], "mm")
    yield number_item(codes.VERTICAL_SPACING, source.pixel_spacing[0], "mm")
    if source.slice_thickness is not None:
        yield number_item(codes.SLICE_THICKNESS, source.slice_thickness, "mm")
    yield number_item(codes.SLICE_SPACING, source.slice_spacing, "mm")
    if source.kvp is not None:
        yield number_item(codes.KVP, source.kvp, "kV")
    if source.kernel:
        yield text_item(source.kernel, codes.KERNEL, _ACQUISITION)
    if source.contrast_recorded:
        # Only Yes: a missing contrast agent in the header proves nothing.
        yield hd.sr.CodeContentItem(name=codes.CONTRAST_ADMINISTERED, value=codes.YES, relationship_type=_ACQUISITION)


def qualitative_evaluations(reading: SpineReading) -> hd.sr.ContainerContentItem:
    """What is said of the whole study (TID 1500, row 12): processing summary, research mark, gates, series."""
    container = hd.sr.ContainerContentItem(
        name=codes.QUALITATIVE_EVALUATIONS, relationship_type=hd.sr.RelationshipTypeValues.CONTAINS
    )
    container.ContentSequence = hd.sr.ContentSequence(
        [
            code_item(codes.PROCESSING_SUMMARY, processing_summary(reading)),
            text_item(RESEARCH_MARK),
            *(
                code_item(
                    codes.GATE,
                    codes.GATE_OUTCOMES[gate.outcome],
                    f"{gate.code} (applies to {gate.applies_to}): {gate.reason}",
                )
                for gate in reading.gates
            ),
            *(_series_item(verdict) for verdict in reading.series),
            *(text_item(remark) for remark in reading.remarks),
        ]
    )
    return container


def _series_item(verdict: SeriesVerdict) -> hd.sr.TextContentItem:
    name = f"Series {verdict.series_number}" if verdict.series_number is not None else verdict.series_uid
    return text_item(
        f"{name} ({verdict.modality}, {verdict.instances} instances): {verdict.reason} ({verdict.code})",
        codes.SERIES_READ if verdict.taken else codes.SERIES_NOT_READ,
    )


def failures(reading: SpineReading) -> list[str]:
    """Which of the three results a reading promises it does not give for any vertebra."""
    missing = {
        "no vertebra found": not reading.vertebrae,
        "no vertebra graded": not evaluated(reading),
        "no density measured": not any(density_measured(v) for v in reading.vertebrae),
    }
    return [name for name, is_missing in missing.items() if is_missing]


def processing_summary(reading: SpineReading) -> Code:
    """One of CID 6047: whether the algorithms gave a result, and whether there are findings.

    A finding is a vertebral fracture; without a vertebra no algorithm has succeeded.
    """
    lacking = failures(reading)
    if not reading.vertebrae:
        return codes.NONE_SUCCEEDED
    if fractured(reading):
        return codes.SOME_WITH_FINDINGS if lacking else codes.ALL_WITH_FINDINGS
    return codes.SOME_WITHOUT_FINDINGS if lacking else codes.ALL_WITHOUT_FINDINGS
