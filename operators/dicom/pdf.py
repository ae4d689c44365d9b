"""The report for people as an Encapsulated PDF (PS3.3 A.45.1)."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from operators.dicom.document_object import document_object
from operators.dicom.report_items import concept
from operators.dicom.result_header import finish
from operators.drawing.report import TITLE, draw_report
from operators.reading.case import Case
from operators.reading.options import Kind
from operators.terms import codes

SERIES_NUMBER = 1006
SERIES_DESCRIPTION = "AI spine report, PDF (research)"


def write_pdf(case: Case) -> Dataset:
    """Encode the report of a case.

    A study without vertebrae gets a page that says so.

    Args:
        case: The finished case. ``case.slices`` may lack pixel data.

    Returns:
        The object, not yet written to disk; the same bytes for the same case.
    """
    document = draw_report(case)
    result = document_object(
        case,
        Kind.PDF,
        EncapsulatedPDFStorage,
        modality="DOC",
        series_number=SERIES_NUMBER,
        description=SERIES_DESCRIPTION,
    )
    result.ConversionType = "WSD"
    result.AcquisitionDateTime = None  # Type 2: many images were acquired, no document
    result.BurnedInAnnotation = "YES"  # the page names the patient
    result.DocumentTitle = TITLE
    result.ConceptNameCodeSequence = [concept(codes.DIAGNOSTIC_IMAGING_REPORT)]
    result.VerificationFlag = "UNVERIFIED"
    result.MIMETypeOfEncapsulatedDocument = "application/pdf"
    result.EncapsulatedDocumentLength = len(document)
    result.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    result.SourceInstanceSequence = [_reference(instance) for instance in case.slices]
    finish(result, case)
    return result


def _reference(instance: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = instance.SOPClassUID, instance.SOPInstanceUID
    return item
