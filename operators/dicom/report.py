"""The reading as a DICOM Structured Report: TID 1500, in a Comprehensive 3D SR or a Comprehensive SR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import highdicom as hd
from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage

from operators.biomarker import Finding
from operators.dicom.report_context import ReportContext
from operators.dicom.report_groups import finding_groups
from operators.dicom.report_items import observer
from operators.dicom.report_summary import image_library, qualitative_evaluations
from operators.dicom.result_header import equipment, finish, predecessors, private_scheme_item, source_headers
from operators.reading.case import Case
from operators.reading.options import Kind
from operators.reading.reading import SpineReading
from operators.registered import BIOMARKERS
from operators.results.request import procedure_reported, referenced_requests
from operators.results.walk import findings, lacking, sentence_texts, without_bare_reasons

_MASKS = tuple(form.kind for one in BIOMARKERS for form in one.masks)
_SEGMENTATIONS = (Kind.SEGMENTATION, Kind.LABELMAP, *_MASKS)
_NO_SEGMENTATIONS: Mapping[Kind, Dataset] = MappingProxyType({})


@dataclass(frozen=True)
class ReportForm:
    """In which SOP class a report is written; the content is the same.

    Attributes:
        kind: What it is.
        series_number, description: Of its series.
        document: highdicom's class of the document.
        sop_class_uid: Its SOP Class UID.
    """

    kind: Kind
    series_number: int
    description: str
    document: type[hd.sr.Comprehensive3DSR] | type[hd.sr.ComprehensiveSR]
    sop_class_uid: str


REPORT = ReportForm(Kind.REPORT, 1004, "AI spine report (research)", hd.sr.Comprehensive3DSR, Comprehensive3DSRStorage)
REPORT_2D = ReportForm(
    Kind.REPORT_2D, 1010, "AI spine report, 2D (research)", hd.sr.ComprehensiveSR, ComprehensiveSRStorage
)
"""For archives that take no 3D SR; nothing in the content needs one."""


def write_report(
    case: Case, segmentations: Mapping[Kind, Dataset] = _NO_SEGMENTATIONS, form: ReportForm = REPORT
) -> Dataset:
    """Encode the reading as an unverified, preliminary report.

    The report of a study without vertebrae says so: silence would be ambiguous.

    Args:
        case: The finished case. ``case.slices`` may lack pixel data.
        segmentations: The SEG objects of the same case by kind; their segments are referenced.
        form: In which SOP class.

    Returns:
        The object, not yet written to disk; the same bytes for the same case.

    Raises:
        PermanentError: The volume's slices do not lie on the source images.
    """
    context = ReportContext(case, segmentations)
    headers = source_headers(case)
    missing = lacking(case.reading)
    previous = predecessors(case.job.previous, form.sop_class_uid)
    refers_to = _refers_to(case, previous)
    result = form.document(
        evidence=[*headers, *(segmentations[kind] for kind in context.referenced)],
        content=_content(context, headers),
        series_instance_uid=context.identity.series_uid(form.kind, *refers_to),
        series_number=form.series_number,
        sop_instance_uid=context.identity.instance_uid(form.kind, *refers_to),
        instance_number=1,
        series_description=form.description,
        is_complete=not missing,
        is_final=False,
        is_verified=False,
        coding_schemes=[private_scheme_item()],
        requested_procedures=referenced_requests(case.slices[0]) or None,
        previous_versions=previous or None,
        **equipment(case),
    )
    if missing:
        result.CompletionFlagDescription = "; ".join(missing)[:64]
    finish(result, case)
    return result


def _refers_to(case: Case, previous: Sequence[Dataset]) -> tuple[str, ...]:
    """What makes a report another one although the reading is the same, as names for its UIDs.

    Which segmentations it can refer to, where that is not the default, and which report it comes after.
    """
    asked = [kind for kind in _SEGMENTATIONS if kind in case.job.options.kinds]
    is_default = all(kind in asked for kind in (Kind.SEGMENTATION, *_MASKS))
    return (*(() if is_default else ("refers to", *asked)), *(str(item.SOPInstanceUID) for item in previous))


def _told(reading: SpineReading) -> tuple[Finding, ...]:
    """The findings, with what was found in words in the first of them: some viewers show nothing but text."""
    first, *others = without_bare_reasons(findings(reading))
    return (replace(first, notes=(" ".join(sentence_texts(reading)), *first.notes)), *others)


def _content(context: ReportContext, headers: tuple[Dataset, ...]) -> Dataset:
    reading = context.case.reading
    report = hd.sr.MeasurementReport(
        observation_context=observer(context.identity.device_uid, reading.provenance),
        procedure_reported=procedure_reported(context.case.slices[0]),
        imaging_measurements=[group for finding in _told(reading) for group in finding_groups(context, finding)],
    )
    root: Dataset = report[0]
    # highdicom knows neither a library without repetitions nor evaluations of the whole study.
    measurements = root.ContentSequence.pop()
    for item in (image_library(context.case, headers), measurements, qualitative_evaluations(reading)):
        root.ContentSequence.append(item)
    return root
