"""The parts of the report that belong to the whole study: library, gates, processing summary."""

from __future__ import annotations

from collections.abc import Iterator

import highdicom as hd
from pydicom import Dataset
from pydicom.sr.coding import Code

from operators.dicom.report_items import code_item, number_item, text_item
from operators.reading.case import Case
from operators.reading.reading import SpineReading
from operators.reading.source import SeriesVerdict
from operators.results import naming
from operators.results.research import RESEARCH_MARK
from operators.results.walk import has_findings, lacking
from operators.terms import codes, frame

_ACQUISITION = hd.sr.RelationshipTypeValues.HAS_ACQ_CONTEXT


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
        yield text_item(source.kernel, frame.KERNEL, _ACQUISITION)
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
                    frame.GATE,
                    frame.GATE_OUTCOMES[gate.outcome],
                    f"{gate.code} (applies to {gate.applies_to}): {gate.reason}",
                )
                for gate in reading.gates
            ),
            *(_series_item(verdict) for verdict in reading.series),
            *(text_item(remark) for remark in naming.remarks(reading)),
        ]
    )
    return container


def _series_item(verdict: SeriesVerdict) -> hd.sr.TextContentItem:
    name = f"Series {verdict.series_number}" if verdict.series_number is not None else verdict.series_uid
    return text_item(
        f"{name} ({verdict.modality}, {verdict.instances} instances): {verdict.reason} ({verdict.code})",
        frame.SERIES_READ if verdict.taken else frame.SERIES_NOT_READ,
    )


def processing_summary(reading: SpineReading) -> Code:
    """One of CID 6047: whether the algorithms gave a result, and whether there are findings.

    A finding is what a biomarker flags as one; without a vertebra no algorithm has succeeded.
    """
    missing = lacking(reading)
    if not reading.vertebrae:
        return codes.NONE_SUCCEEDED
    if has_findings(reading):
        return codes.SOME_WITH_FINDINGS if missing else codes.ALL_WITH_FINDINGS
    return codes.SOME_WITHOUT_FINDINGS if missing else codes.ALL_WITHOUT_FINDINGS
