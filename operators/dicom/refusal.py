"""A report on a study that could not be read: which study, and why not. Silence would be ambiguous."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence

import highdicom as hd
import numpy as np
from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    SecondaryCaptureImageStorage,
)

from operators.dicom.regions import outline_item
from operators.dicom.report import REPORT, REPORT_2D, ReportForm
from operators.dicom.report_items import algorithm, append_items, code_item, concept, count, observer, text_item
from operators.dicom.result_header import equipment, finish, leave_unnamed, predecessors, private_scheme_item
from operators.reading.errors import PermanentError
from operators.reading.job import Job
from operators.reading.options import Kind
from operators.reading.provenance import Provenance
from operators.results.identity import ResultIdentity
from operators.results.origin import Origin
from operators.results.outlines import Region
from operators.results.request import procedure_reported, referenced_requests
from operators.results.research import RESEARCH_MARK
from operators.results.source_frames import SourceFrame
from operators.study.receive import Study
from operators.terms import codes, frame

_IMAGES = (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
)
_PATIENT_AND_STUDY = ("PatientID", "PatientName", "PatientBirthDate", "AccessionNumber", "StudyDate", "StudyTime")


def refusal_reports(study: Study, error: PermanentError, job: Job, by: Provenance) -> dict[Kind, Dataset]:
    """What goes back for a study that cannot be read.

    Args:
        study: What was received.
        error: Why it cannot be read.
        job: What was asked.
        by: What would have read it.

    Returns:
        The reports that the site wants, by kind.
    """
    if not job.options.refusal_reports:
        return {}
    forms = [form for form in (REPORT, REPORT_2D) if form.kind in job.options.kinds]
    return {form.kind: write_refusal(study, error, job, by, form) for form in forms}


def write_refusal(study: Study, error: PermanentError, job: Job, by: Provenance, form: ReportForm = REPORT) -> Dataset:
    """Encode why a study was not read, as an unverified, preliminary and partial report.

    Args:
        study: The study; its patient is that of its first CT image, or of its first instance.
        error: Why it cannot be read.
        job: What was asked.
        by: What would have read it.
        form: In which SOP class.

    Returns:
        The object, not yet written to disk; the same bytes for the same study and reason.
    """
    header = _telling_header(study)
    origin = Origin(header, job.at, by, _identity(study, header, error, by))
    previous = predecessors(job.previous, form.sop_class_uid)
    refers_to = tuple(str(item.SOPInstanceUID) for item in previous)
    result = form.document(
        evidence=[_evidence(header)],
        content=_content(study, error, origin),
        series_instance_uid=origin.identity.series_uid(form.kind, *refers_to),
        series_number=form.series_number,
        sop_instance_uid=origin.identity.instance_uid(form.kind, *refers_to),
        instance_number=1,
        series_description=form.description,
        is_complete=False,
        is_final=False,
        is_verified=False,
        record_evidence=False,
        coding_schemes=[private_scheme_item()],
        requested_procedures=referenced_requests(header) or None,
        previous_versions=previous or None,
        **equipment(origin),
    )
    if not _is_image(header):
        del result.CurrentRequestedProcedureEvidenceSequence  # nothing of it is referred to
    result.CompletionFlagDescription = f"study not read: {error.code}"[:64]
    finish(result, origin)
    return result


def _telling_header(study: Study) -> Dataset:
    """A CT image from the middle of the study, else any image, else any instance."""
    headers = [instance.header for instance in study.instances]
    images = [header for header in headers if _is_image(header)]
    among = [header for header in images if header.get("Modality") == "CT"] or images or headers
    return among[len(among) // 2]


def _is_image(header: Dataset) -> bool:
    """Whether the report can be drawn on it, as viewers need it to be."""
    return header.get("SOPClassUID") in _IMAGES and bool(header.get("Rows")) and bool(header.get("Columns"))


def _identity(study: Study, header: Dataset, error: PermanentError, by: Provenance) -> ResultIdentity:
    """Other instances, another patient or another reason make another report."""
    digest = hashlib.sha256()
    named = [str(header.get(keyword) or "") for keyword in _PATIENT_AND_STUDY]
    for text in (*(str(i.header.SOPInstanceUID) for i in study.instances), *named, error.code, error.sentence):
        digest.update(text.encode("utf-8", "surrogateescape") + b"\0")
    return ResultIdentity(
        study_uid=study.study_uid,
        content_digest=digest.hexdigest(),
        pipeline=by.pipeline,
        engine=by.engine,
        engine_version=by.engine_version,
        engine_digest=by.engine_digest,
        options=by.options,
        second_opinion=by.second_opinion,
    )


def _evidence(header: Dataset) -> Dataset:
    """What highdicom needs to know of the instance that the report is drawn on."""
    evidence = Dataset()
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "Modality"):
        setattr(evidence, keyword, str(header.get(keyword) or ""))
    # highdicom wants a class that it knows.
    evidence.SOPClassUID = header.SOPClassUID if _is_image(header) else CTImageStorage
    leave_unnamed(evidence)
    return evidence


def _content(study: Study, error: PermanentError, origin: Origin) -> Dataset:
    report = hd.sr.MeasurementReport(
        observation_context=observer(origin.identity.device_uid, origin.by),
        procedure_reported=procedure_reported(origin.header),
        imaging_measurements=[_summary(error, origin)],
    )
    root: Dataset = report[0]
    if not _is_image(origin.header):
        root.ContentSequence.pop()  # viewers cannot open a group that is drawn on nothing
    evaluations = hd.sr.ContainerContentItem(
        name=codes.QUALITATIVE_EVALUATIONS, relationship_type=hd.sr.RelationshipTypeValues.CONTAINS
    )
    evaluations.ContentSequence = hd.sr.ContentSequence(
        [
            code_item(codes.PROCESSING_SUMMARY, codes.NONE_SUCCEEDED),
            text_item(RESEARCH_MARK),
            code_item(frame.REFUSAL, _reason(error), f"{error.sentence} ({error.code})"),
            *_series_items(study),
            *(text_item(remark) for remark in study.remarks),
        ]
    )
    root.ContentSequence.append(evaluations)
    return root


def _summary(error: PermanentError, origin: Origin) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(
            uid=origin.identity.tracking_uid("spine", "summary"), identifier="Spine summary"
        ),
        finding_category=codes.ANATOMICAL_STRUCTURE,
        finding_type=codes.SPINE,
        finding_sites=[hd.sr.FindingSite(anatomic_location=concept(codes.SPINE))],
        algorithm_id=algorithm(origin.by),
        measurements=[count(frame.EVALUATED_COUNT, 0, "{vertebrae}")],
    )
    append_items(group, [code_item(codes.COMPRESSION_FRACTURE, codes.UNDETERMINED)])
    append_items(group, [text_item(f"The study was not read: {error.sentence}.")])
    if _is_image(origin.header):
        append_items(group, [outline_item(_whole_image(origin.header), codes.SOURCE_OF_MEASUREMENT)])
    return group


def _whole_image(header: Dataset) -> Region:
    rows, columns = int(header.Rows), int(header.Columns)
    frame = 1 if "NumberOfFrames" in header else None
    source = SourceFrame(str(header.SOPClassUID), str(header.SOPInstanceUID), frame, 0)
    corners = [(0, 0), (columns, 0), (columns, rows), (0, rows), (0, 0)]
    return Region(source, np.array(corners, dtype=np.float64))


def _reason(error: PermanentError) -> Code:
    return next((code for refusal, code in frame.REFUSALS.items() if refusal == error.code), frame.OTHER_REFUSAL)


def _series_items(study: Study) -> Iterator[hd.sr.TextContentItem]:
    """Every series that was received; the reason for each stands in the sentence of the refusal."""
    headers: dict[str, Dataset] = {}
    counts: Counter[str] = Counter()
    for instance in study.instances:
        uid = str(instance.header.SeriesInstanceUID)
        headers.setdefault(uid, instance.header)
        counts[uid] += 1
    for uid in _in_order(headers):
        number = headers[uid].get("SeriesNumber")
        name = uid if number in (None, "") else f"Series {number}"
        modality = headers[uid].get("Modality") or "no modality"
        yield text_item(f"{name} ({modality}, {counts[uid]} instances)", frame.SERIES_NOT_READ)


def _in_order(headers: dict[str, Dataset]) -> Sequence[str]:
    return sorted(headers, key=lambda uid: (str(headers[uid].get("SeriesNumber") or "").zfill(12), uid))
