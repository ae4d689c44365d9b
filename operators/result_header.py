"""What every result object shares: patient and study as in the CT, equipment, dates, research mark.

highdicom builds the objects; this file gives it headers that it accepts whatever the scanner wrote, and
afterwards puts the scanner's own patient and study attributes and the job's time into the object.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta, timezone
from types import MappingProxyType
from typing import Any

import highdicom as hd
from pydicom import Dataset
from pydicom.dataelem import DataElement

from operators import codes
from operators.case import Case
from operators.identity import ResultIdentity, stand_in_frame_of_reference
from operators.reading import Provenance

MANUFACTURER = "Osteon project"
MODEL = "Osteon"

COPIED = (
    "SpecificCharacterSet",
    "TimezoneOffsetFromUTC",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "OtherPatientIDsSequence",
    "PatientBirthDate",
    "PatientBirthTime",
    "PatientSex",
    "EthnicGroup",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "StudyInstanceUID",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName",
    "StudyDescription",
    "InstitutionName",
)
"""Patient, study and institution attributes that are the same, byte for byte, in every object of a study."""

_REQUIRED_EMPTY = (
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
    "FrameOfReferenceUID",
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

_ASCII = MappingProxyType(
    str.maketrans(
        {"–": "-", "—": "-", "−": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "…": "...", "×": "x"}
        | {"≥": ">=", "≤": "<=", "±": "+/-", "µ": "u", "μ": "u", "°": " deg", "²": "2", "³": "3", "→": "->"}
        | {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"}
    )
)


def plain(text: str) -> str:
    """``text`` in ASCII, so that it can stand beside a patient's name in any character set."""
    spelled = unicodedata.normalize("NFKD", text.translate(_ASCII))
    return spelled.encode("ascii", "ignore").decode("ascii")


def source_headers(case: Case) -> tuple[Dataset, ...]:
    """Headers of the source images in the order of ``case.slices``, as highdicom needs them.

    Values that highdicom refuses (a sex that is none of the defined terms, a date that is none) are left
    empty here; :func:`finish` puts the scanner's own back. Spacing between slices is what was measured on
    the positions, because readers that do not find it take the slice thickness instead. A series without
    Frame of Reference UID gets a stand-in.
    """
    source = case.reading.source
    frame_of_reference = source.frame_of_reference_uid or stand_in_frame_of_reference(source.series_uid)
    headers = []
    for index, dataset in enumerate(case.slices):
        header = Dataset()
        for keyword in (*_PER_SLICE, *((*_FIRST_SLICE, *COPIED) if index == 0 else ())):
            if keyword in dataset:
                header.add(dataset[keyword])
        header.FrameOfReferenceUID = frame_of_reference
        if "NumberOfFrames" in header:
            _complete_functional_groups(header, source.slice_spacing)
        else:
            header.SliceThickness = source.slice_thickness or source.slice_spacing
            header.SpacingBetweenSlices = source.slice_spacing
        headers.append(header)
    _make_acceptable(headers[0])
    return tuple(headers)


def _make_acceptable(header: Dataset) -> None:
    for keyword in _REQUIRED_EMPTY:
        if keyword not in header:
            setattr(header, keyword, None)
    if header.PatientSex not in ("M", "F", "O"):
        header.PatientSex = None
    for keyword, kind in (("PatientBirthDate", date), ("StudyDate", date), ("StudyTime", time)):
        if not _is_temporal(str(header[keyword].value or ""), kind):
            setattr(header, keyword, None)
    if "PatientAge" in header and not header.PatientAge:
        del header.PatientAge
    if "SpecificCharacterSet" in header:
        # Copied as it is by finish(); highdicom refuses combinations that scanners do write.
        del header.SpecificCharacterSet


def _is_temporal(text: str, kind: type[date] | type[time]) -> bool:
    form = "%Y%m%d" if kind is date else "%H%M%S"
    try:
        datetime.strptime(text.partition(".")[0], form)  # noqa: DTZ007  only whether it can be read
    except ValueError:
        return False
    return True


def _complete_functional_groups(header: Dataset, spacing: float) -> None:
    """Put pixel measures and orientation, which highdicom looks for there, into the shared groups."""
    shared = Dataset()
    shared.update(header.SharedFunctionalGroupsSequence[0])
    first = header.PerFrameFunctionalGroupsSequence[0]
    for keyword in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
        if keyword not in shared:
            shared.add(first[keyword])
    measures = Dataset()
    measures.update(shared.PixelMeasuresSequence[0])
    measures.SpacingBetweenSlices = spacing
    if "SliceThickness" not in measures:
        measures.SliceThickness = spacing
    shared.PixelMeasuresSequence = [measures]
    header.SharedFunctionalGroupsSequence = [shared]


def local_time(case: Case) -> datetime:
    """The time that the results carry, without zone, in the zone that the CT names or else as given."""
    at = case.job.at
    offset = str(case.slices[0].get("TimezoneOffsetFromUTC") or "")
    if at.tzinfo is not None and len(offset) == 5 and offset[1:].isdigit():
        minutes = int(offset[1:3]) * 60 + int(offset[3:])
        zone = timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))
        at = at.astimezone(zone)
    return at.replace(tzinfo=None)


def algorithm_parameters(by: Provenance) -> Mapping[str, str]:
    """What decides the result beside the version of the engine."""
    return {"weights-sha256": by.engine_digest, "pipeline": f"{MODEL} {by.pipeline}"}


def equipment(case: Case) -> dict[str, Any]:
    """Arguments of highdicom's constructors that say which device made the object, and when."""
    by = case.reading.provenance
    identity = ResultIdentity.of(case.reading)
    at = local_time(case)
    algorithm = hd.ContributingEquipment(
        manufacturer=MANUFACTURER,
        purpose_of_reference=codes.PROCESSING_EQUIPMENT,
        manufacturer_model_name=plain(by.engine)[:64],
        software_versions=plain(by.engine_version)[:64],
        contribution_datetime=_as_dt(at),
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


def finish(result: Dataset, case: Case) -> None:
    """Give a finished object the scanner's patient and study attributes, and the job's time everywhere.

    Args:
        result: Object made by highdicom; changed in place.
        case: The case it was made from.
    """
    source = case.slices[0]
    for keyword in COPIED:
        if keyword in source:
            result.add(_copy(source[keyword]))
    at = local_time(case)
    result.InstanceCreationDate = at.strftime("%Y%m%d")
    result.InstanceCreationTime = _as_tm(at)
    for item in result.ContributingEquipmentSequence:
        if item.get("ManufacturerModelName") == "highdicom":
            item.ContributionDateTime = _as_dt(at)


def _copy(element: DataElement) -> DataElement:
    # The value is shared, the element is not: a result may be edited without changing the case.
    return DataElement(element.tag, element.VR, element.value, already_converted=True)


def _as_tm(at: datetime) -> str:
    return at.strftime("%H%M%S.%f") if at.microsecond else at.strftime("%H%M%S")


def _as_dt(at: datetime) -> str:
    return at.strftime("%Y%m%d") + _as_tm(at)
