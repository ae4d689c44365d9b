"""What every result object shares: patient and study as in the CT, equipment, dates, research mark.

highdicom builds the objects; this file gives it headers that it accepts whatever the scanner wrote, and
afterwards puts the scanner's own patient and study attributes and the job's time into the object.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import highdicom as hd
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom import Dataset
from pydicom.dataelem import DataElement
from pydicom.uid import CTImageStorage
from pydicom.valuerep import DA, DT, TM

from operators.reading.case import Case
from operators.reading.document_reference import DocumentReference
from operators.results.identity import stand_in_frame_of_reference
from operators.results.origin import MANUFACTURER, MODEL, Origin, local_time
from operators.results.plain_text import plain
from operators.terms import codes
from operators.terms.term import OSTEON_SCHEME

_SHARED = (
    "SpecificCharacterSet",
    "TimezoneOffsetFromUTC",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "IssuerOfAccessionNumberSequence",
    "StudyDescription",
    "InstitutionName",
)
"""Attributes that belong to patient, study or site and that highdicom leaves out of its copy."""

_IDENTIFYING = (
    "IssuerOfPatientIDQualifiersSequence",
    "IssuerOfAccessionNumberSequence",
    "OtherPatientIDsSequence",
)

_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
"""Type 2 attributes: present in every object, empty where the CT has none."""

_PER_SLICE = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
)
_FIRST_SLICE = (
    "PositionReferenceIndicator",
    "NumberOfFrames",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "Manufacturer",
    "ManufacturerModelName",
    "DeviceSerialNumber",
    "SoftwareVersions",
    "StationName",
    "AcquisitionDateTime",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)

_FORMS = MappingProxyType(
    {
        "AS": re.compile(r"\d{3}[DWMY]"),
        "DA": re.compile(r"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"),
        "TM": re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?\s*"),
    }
)
"""Ages, dates and times as PS3.5 6.2 writes them."""


def source_headers(case: Case, places: Sequence[int] | None = None) -> tuple[Dataset, ...]:
    """Headers of the source images in the order of ``case.slices``, as highdicom needs them.

    Those at ``places`` of ``case.slices`` only, where that is given.

    They name no patient: highdicom would refuse what it finds wrong there, or print it in a warning.
    :func:`finish` puts patient and study into the object. Spacing between slices is what was measured on
    the positions, because readers that do not find it take the slice thickness instead. A series without
    Frame of Reference UID gets a stand-in.
    """
    source = case.reading.source
    frame_of_reference = source.frame_of_reference_uid or stand_in_frame_of_reference(source.series_uid)
    headers: list[Dataset] = []
    for dataset in case.slices if places is None else (case.slices[place] for place in places):
        header = Dataset()
        for keyword in (*_PER_SLICE, *(() if headers else _FIRST_SLICE)):
            if keyword in dataset:
                header.add(_copy(dataset[keyword]))
        header.FrameOfReferenceUID = frame_of_reference
        if "NumberOfFrames" in header:
            _complete_functional_groups(header, source.slice_spacing)
        else:
            header.SliceThickness = source.slice_thickness or source.slice_spacing
            header.SpacingBetweenSlices = source.slice_spacing
        headers.append(header)
    leave_unnamed(headers[0])
    return tuple(headers)


def leave_unnamed(header: Dataset) -> None:
    """Empty the attributes by which highdicom asks for patient and study."""
    for keyword in _EMPTY:
        setattr(header, keyword, None)


def _complete_functional_groups(header: Dataset, spacing: float) -> None:
    """Put pixel measures and orientation, which highdicom looks for there, into the shared groups."""
    shared = Dataset()
    # First what the frames say, then what they share, in elements of their own.
    for groups in (header.PerFrameFunctionalGroupsSequence[0], header.SharedFunctionalGroupsSequence[0]):
        for keyword in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
            if keyword in groups:
                shared.add(_copy(groups[keyword]))
    measures = Dataset()
    for element in shared.PixelMeasuresSequence[0]:
        measures.add(_copy(element))
    measures.SpacingBetweenSlices = spacing
    if "SliceThickness" not in measures:
        measures.SliceThickness = spacing
    shared.PixelMeasuresSequence = [measures]
    header.SharedFunctionalGroupsSequence = [shared]


def private_scheme_item() -> CodingSchemeIdentificationItem:
    """What every object says of the private scheme that uses one of its codes (PS3.3 C.12.1.1.1)."""
    scheme = OSTEON_SCHEME
    item = CodingSchemeIdentificationItem(
        designator=scheme.designator,
        name=scheme.name,
        version=scheme.version,
        responsible_organization=scheme.organization,
    )
    # highdicom writes the UID only for schemes in a registry; this one is known by its UID alone.
    item.CodingSchemeUID = scheme.uid
    return item


def predecessors(previous: Sequence[DocumentReference], sop_class_uid: str) -> list[Dataset]:
    """The reports that a new one of a SOP class comes after, as highdicom takes them.

    Those of the same class, so that each form of the report has its own chain; all of them, where it is the
    first of its class.
    """
    same = [one for one in previous if one.sop_class_uid == sop_class_uid]
    references = []
    for one in same or previous:
        reference = Dataset()
        reference.SOPClassUID, reference.SOPInstanceUID = one.sop_class_uid, one.sop_instance_uid
        reference.SeriesInstanceUID, reference.StudyInstanceUID = one.series_uid, one.study_uid
        references.append(reference)
    return references


def equipment(of: Case | Origin) -> dict[str, Any]:
    """Arguments of highdicom's constructors that say which device made the object, and when."""
    origin = of if isinstance(of, Origin) else Origin.of(of)
    by, identity, at = origin.by, origin.identity, local_time(origin)
    algorithm = hd.ContributingEquipment(
        manufacturer=MANUFACTURER,
        purpose_of_reference=codes.PROCESSING_EQUIPMENT,
        manufacturer_model_name=plain(by.engine)[:64],
        software_versions=plain(by.engine_version)[:64],
        contribution_datetime=DT(at),
        contribution_description=f"Segmentation of vertebrae; weights SHA-256 {by.engine_digest}",
    )
    algorithm.DeviceUID = identity.algorithm_uid
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MODEL,
        "software_versions": plain(by.pipeline)[:64],
        "device_serial_number": identity.device_uid,
        "contributing_equipment": [algorithm],
        "content_date": at.date(),
        "content_time": at.time(),
        "series_date": at.date(),
        "series_time": at.time(),
    }


def finish(result: hd.SOPClass, of: Case | Origin) -> None:
    """Give a finished object the scanner's patient and study attributes, and the job's time everywhere.

    Args:
        result: Object made by highdicom; changed in place.
        of: What it was made from.
    """
    origin = of if isinstance(of, Origin) else Origin.of(of)
    source = _detached(origin.header)
    source.SOPClassUID = CTImageStorage  # decides which attributes are the patient's and the study's
    result.copy_patient_and_study_information(source)
    for keyword in _SHARED:
        if keyword in source:
            result.add(source[keyword])
    if not result.get("SpecificCharacterSet") and any(_is_beyond_ascii(element) for element in result):
        # Its bytes stay as they are. That pydicom takes them for Latin-1 is a guess, but without one the object
        # is invalid, and viewers make the same guess.
        result.SpecificCharacterSet = "ISO_IR 100"
    at = local_time(origin)
    result.InstanceCreationDate = DA(at.date())
    result.InstanceCreationTime = TM(at.time())
    for item in result.ContributingEquipmentSequence:
        if item.get("ManufacturerModelName") == "highdicom":
            item.ContributionDateTime = DT(at)


def _is_beyond_ascii(element: DataElement) -> bool:
    return element.VR in ("LO", "LT", "PN", "SH", "ST", "UC", "UT") and not str(element.value or "").isascii()


def _detached(source: Dataset) -> Dataset:
    """The same values in elements of their own, so that editing a result does not change the case.

    What would make the result invalid (a sex that is no defined term, a date that is none) is left empty,
    and references and codes, which archives often leave half filled, are left out: only the sequences that
    identify the patient are kept.
    """
    detached = Dataset()
    for element in source:
        if element.VR == "SQ" and element.keyword not in _IDENTIFYING:
            continue
        copy = _copy(element)
        if not _is_valid(copy):
            copy = DataElement(element.tag, element.VR, None)
        detached.add(copy)
    return detached


def _copy(element: DataElement) -> DataElement:
    # Taken as it is: a second conversion would complain of the value, and print it.
    return DataElement(element.tag, element.VR, element.value, already_converted=True)


def _is_valid(element: DataElement) -> bool:
    if element.keyword == "PatientSex":
        return element.value in ("M", "F", "O", "", None)
    form = _FORMS.get(element.VR)
    return form is None or not element.value or form.fullmatch(str(element.value)) is not None
