"""The reading as a DICOM Structured Report: TID 1500 in a Comprehensive 3D SR."""

from __future__ import annotations

import highdicom as hd
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom import Dataset
from pydicom.sr.codedict import codes as dictionary

from operators import codes
from operators.case import Case
from operators.options import Kind
from operators.report_findings import fractured
from operators.report_groups import ReportContext, fracture_group, vertebra_groups
from operators.report_summary import failures, image_library, qualitative_evaluations, spine_group
from operators.result_header import MANUFACTURER, MODEL, equipment, finish, plain, source_headers

SERIES_NUMBER = 1004
SERIES_DESCRIPTION = "AI spine report (research)"


def write_report(case: Case, segmentation_object: Dataset | None) -> Dataset:
    """Encode the reading as an unverified, preliminary report.

    The report of a study without vertebrae says so: silence would be ambiguous.

    Args:
        case: The finished case. ``case.slices`` may lack pixel data.
        segmentation_object: The SEG of the same case; its segments are referenced. None where there is none.

    Returns:
        The object, not yet written to disk; the same bytes for the same case.

    Raises:
        PermanentError: The volume's slices do not lie on the source images.
    """
    context = ReportContext(case, segmentation_object)
    headers = source_headers(case)
    missing = failures(case.reading)
    result = hd.sr.Comprehensive3DSR(
        evidence=[*headers, *([] if segmentation_object is None else [segmentation_object])],
        content=_content(context, headers),
        series_instance_uid=context.identity.series_uid(Kind.REPORT),
        series_number=SERIES_NUMBER,
        sop_instance_uid=context.identity.instance_uid(Kind.REPORT),
        instance_number=1,
        series_description=SERIES_DESCRIPTION,
        is_complete=not missing,
        is_final=False,
        is_verified=False,
        coding_schemes=[_private_scheme()],
        **equipment(case),
    )
    if missing:
        result.CompletionFlagDescription = "; ".join(missing)[:64]
    finish(result, case)
    return result


def _content(context: ReportContext, headers: tuple[Dataset, ...]) -> Dataset:
    reading = context.case.reading
    report = hd.sr.MeasurementReport(
        observation_context=_observer(context),
        procedure_reported=codes.CT_PROCEDURE,
        imaging_measurements=[
            spine_group(context),
            *(fracture_group(context, vertebra) for vertebra in fractured(reading)),
            *(group for vertebra in reading.vertebrae for group in vertebra_groups(context, vertebra)),
        ],
    )
    root: Dataset = report[0]
    # highdicom knows neither a library without repetitions nor evaluations of the whole study.
    measurements = root.ContentSequence.pop()
    for item in (image_library(context.case, headers), measurements, qualitative_evaluations(reading)):
        root.ContentSequence.append(item)
    return root


def _observer(context: ReportContext) -> hd.sr.ObservationContext:
    return hd.sr.ObservationContext(
        observer_device_context=hd.sr.ObserverContext(
            observer_type=dictionary.DCM.Device,
            observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
                uid=context.identity.device_uid,
                name=MODEL,
                manufacturer_name=MANUFACTURER,
                model_name=f"{MODEL} {plain(context.case.reading.provenance.pipeline)}",
            ),
        )
    )


def _private_scheme() -> CodingSchemeIdentificationItem:
    scheme = codes.OSTEON_SCHEME
    item = CodingSchemeIdentificationItem(
        designator=scheme.designator,
        name=scheme.name,
        version=scheme.version,
        responsible_organization=scheme.organization,
    )
    # highdicom writes the UID only for schemes in a registry; this one is known by its UID alone.
    item.CodingSchemeUID = scheme.uid
    return item
