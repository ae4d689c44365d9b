"""The key pictures as a Secondary Capture: what every archive stores and every viewer shows."""

from __future__ import annotations

import highdicom as hd
import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import DA, TM

from operators.dicom.result_header import equipment, finish
from operators.reading.case import Case
from operators.reading.options import Kind
from operators.results.identity import ResultIdentity
from operators.results.origin import local_time

SERIES_NUMBER = 1005
SERIES_DESCRIPTION = "AI spine overview (research)"


def write_secondary_capture(case: Case, picture: Image.Image) -> Dataset:
    """Encode the overview of a case.

    Args:
        case: The finished case. ``case.slices`` may lack pixel data.
        picture: Its overview, RGB: sagittal view, table and axial views; it names no patient.

    Returns:
        The object, not yet written to disk; the same bytes for the same case and picture.
    """
    identity = ResultIdentity.of(case.reading)
    at = local_time(case)
    result = hd.sc.SCImage(
        pixel_array=np.asarray(picture.convert("RGB")),
        photometric_interpretation=hd.PhotometricInterpretationValues.RGB,
        bits_allocated=8,
        coordinate_system=hd.CoordinateSystemNames.PATIENT,
        patient_orientation=(hd.PatientOrientationValuesBiped.P, hd.PatientOrientationValuesBiped.F),
        study_instance_uid=case.reading.source.study_uid,
        series_instance_uid=identity.series_uid(Kind.SECONDARY_CAPTURE),
        series_number=SERIES_NUMBER,
        sop_instance_uid=identity.instance_uid(Kind.SECONDARY_CAPTURE),
        instance_number=1,
        series_description=SERIES_DESCRIPTION,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **equipment(case),
    )
    # The picture holds several views: no one orientation is true of it, and viewers would print it at its edges.
    result["PatientOrientation"].value = None
    result.ConversionType = "WSD"
    result.DateOfSecondaryCapture, result.TimeOfSecondaryCapture = DA(at.date()), TM(at.time())
    result.BurnedInAnnotation = "YES"
    result.BodyPartExamined = "SPINE"
    result.LossyImageCompression = "00"
    result.DerivationDescription = "Views and measurements drawn from the source images"
    result.ImageComments = "Research use only: automatic, unverified, not for diagnosis"
    finish(result, case)
    return result
