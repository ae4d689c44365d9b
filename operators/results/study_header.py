"""Patient and study as messages carry them, from the header of the CT: as values, not as text for people.

What the scanner wrote wrongly (a date that is none, a sex that is no defined term) is left out.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.valuerep import PersonName

from operators.reading.case import Case

_DATE = re.compile(r"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d)([0-5]\d)(\.\d{1,6})?")
_ZONE = re.compile(r"([+-])(\d{2})(\d{2})")
_OID = re.compile(r"[0-2](\.(0|[1-9]\d*))+")


@dataclass(frozen=True)
class StudyHeader:
    """What a message says of patient and study; empty where the CT does not say it.

    Attributes:
        patient_id, issuer, issuer_oid: Identifier and who has issued it.
        names: The name in its alphabetic, ideographic and phonetic representation, each as
            ``Family^Given^Middle^Prefix^Suffix``.
        birth_date: ``YYYYMMDD``.
        sex: ``M``, ``F`` or ``O``.
        accession, placer_order, description: Of the study.
        study_date, study_time: ``YYYYMMDD`` and ``HHMMSS``.
        zone: ``+HHMM``, where the CT says it.
    """

    patient_id: str
    issuer: str
    issuer_oid: str
    names: tuple[str, str, str]
    birth_date: str
    sex: str
    accession: str
    placer_order: str
    description: str
    study_date: str
    study_time: str
    zone: str

    @property
    def started(self) -> str:
        """ISO 8601. A date alone where no zone is known: FHIR allows no time without one."""
        if not self.study_date:
            return ""
        date = f"{self.study_date[:4]}-{self.study_date[4:6]}-{self.study_date[6:]}"
        if not self.study_time or not self.zone:
            return date
        time = f"{self.study_time[:2]}:{self.study_time[2:4]}:{self.study_time[4:6]}"
        return f"{date}T{time}{self.zone[:3]}:{self.zone[3:]}"


def study_header(case: Case) -> StudyHeader:
    """Read the header of a case's first image."""
    with warnings.catch_warnings():
        # pydicom quotes a value that it finds wrong; here it is left out instead.
        warnings.simplefilter("ignore")
        return _read(case.slices[0])


def _read(source: Dataset) -> StudyHeader:
    qualifiers = (source.get("IssuerOfPatientIDQualifiersSequence") or [Dataset()])[0]
    is_oid = _text(qualifiers, "UniversalEntityIDType") == "ISO"
    requests = source.get("RequestAttributesSequence") or []
    placer = next((_text(item, "PlacerOrderNumberImagingServiceRequest") for item in requests), "")
    sex = _text(source, "PatientSex")
    time = _matching(source, "StudyTime", _TIME)
    return StudyHeader(
        patient_id=_text(source, "PatientID"),
        issuer=_text(source, "IssuerOfPatientID"),
        issuer_oid=_matching(qualifiers, "UniversalEntityID", _OID) if is_oid else "",
        names=_names(source),
        birth_date=_matching(source, "PatientBirthDate", _DATE),
        sex=sex if sex in ("M", "F", "O") else "",
        accession=_text(source, "AccessionNumber"),
        placer_order=placer or _text(source, "PlacerOrderNumberImagingServiceRequest"),
        description=_text(source, "StudyDescription"),
        study_date=_matching(source, "StudyDate", _DATE),
        study_time=time[:6],
        zone=_matching(source, "TimezoneOffsetFromUTC", _ZONE),
    )


def _names(source: Dataset) -> tuple[str, str, str]:
    value = source.get("PatientName")
    if not value:
        return "", "", ""
    name = value if isinstance(value, PersonName) else PersonName(str(value))
    return _clean(name.alphabetic), _clean(name.ideographic), _clean(name.phonetic)


def _text(source: Dataset, keyword: str) -> str:
    value = source.get(keyword)
    return "" if value is None else _clean(str(value))


def _matching(source: Dataset, keyword: str, form: re.Pattern[str]) -> str:
    text = _text(source, keyword)
    return text if form.fullmatch(text) else ""


def _clean(text: str) -> str:
    """Without control characters and padding."""
    return "".join(" " if unicodedata.category(c) == "Cc" else c for c in text).strip()
