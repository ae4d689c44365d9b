"""The frame of the objects that highdicom has no class for: header, series and equipment, without content."""

from __future__ import annotations

import highdicom as hd
from pydicom.uid import ExplicitVRLittleEndian

from operators.dicom.result_header import equipment
from operators.reading.case import Case
from operators.reading.options import Kind
from operators.results.identity import ResultIdentity


def document_object(
    case: Case, kind: Kind, sop_class_uid: str, *, modality: str, series_number: int, description: str
) -> hd.SOPClass:
    """An object with everything but its content; to be given to ``finish`` when that is in.

    Args:
        case: What it is made from.
        kind: What it is; decides its UIDs.
        sop_class_uid: Its SOP Class UID.
        modality: Of its series.
        series_number: Of its series.
        description: Of its series.
    """
    identity = ResultIdentity.of(case.reading)
    device = equipment(case)
    contributing = device.pop("contributing_equipment")
    result = hd.SOPClass(
        study_instance_uid=case.reading.source.study_uid,
        series_instance_uid=identity.series_uid(kind),
        series_number=series_number,
        sop_instance_uid=identity.instance_uid(kind),
        sop_class_uid=sop_class_uid,
        instance_number=1,
        modality=modality,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description=description,
        **device,
    )
    result.ContributingEquipmentSequence = contributing
    return result
