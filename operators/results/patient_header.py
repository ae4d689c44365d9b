"""Patient and study as a report shows them, from the header of the CT: names in every script that it holds.

The only file that turns patient data into text for people; nothing of it goes into logs or errors.
"""

from __future__ import annotations

import unicodedata
import warnings
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.valuerep import PersonName

from operators.reading.case import Case


@dataclass(frozen=True)
class PatientHeader:
    """What stands at the head of every page; empty where the CT does not say it.

    Attributes:
        names: The name in each of its representations: alphabetic, ideographic, phonetic (PS3.5 6.2.1).
        patient_id: With its issuer.
        born, sex, age: As a person writes them; dates as year-month-day.
        study_date, study_description, accession, institution: Of the study.
    """

    names: tuple[str, ...]
    patient_id: str
    born: str
    sex: str
    age: str
    study_date: str
    study_description: str
    accession: str
    institution: str


def patient_header(case: Case) -> PatientHeader:
    """Read the header of a case's first image."""
    source = case.slices[0]
    issuer = _text(source, "IssuerOfPatientID")
    patient_id = _text(source, "PatientID")
    day, time = _date(_text(source, "StudyDate")), _time(_text(source, "StudyTime"))
    return PatientHeader(
        names=_names(source),
        patient_id=f"{patient_id} ({issuer})" if patient_id and issuer else patient_id,
        born=_date(_text(source, "PatientBirthDate")),
        sex={"M": "male", "F": "female", "O": "other"}.get(_text(source, "PatientSex"), ""),
        age=_age(_text(source, "PatientAge")),
        study_date=f"{day} {time}".strip(),
        study_description=_text(source, "StudyDescription"),
        accession=_text(source, "AccessionNumber"),
        institution=_text(source, "InstitutionName"),
    )


def _names(source: Dataset) -> tuple[str, ...]:
    with warnings.catch_warnings():
        # Its warning about a character set quotes nothing, but there is nobody here to read it.
        warnings.simplefilter("ignore")
        value = source.get("PatientName")
        if not value:
            return ()
        name = value if isinstance(value, PersonName) else PersonName(str(value))
        groups = (name.alphabetic, name.ideographic, name.phonetic)
        return tuple(shown for group in groups if (shown := _spoken(_clean(group))))


def _spoken(group: str) -> str:
    """``Family^Given^Middle^Prefix^Suffix`` as ``Family, Given Middle, Prefix, Suffix``.

    Scripts that write the family name first without a comma get none.
    """
    family, given, middle, prefix, suffix = [*(part.strip() for part in group.split("^")), *[""] * 5][:5]
    first = f"{given} {middle}".strip()
    if any(_is_east_asian(character) for character in family):
        return " ".join(part for part in (family, first, prefix, suffix) if part)
    return ", ".join(part for part in (family, first, prefix, suffix) if part)


def _is_east_asian(character: str) -> bool:
    return unicodedata.east_asian_width(character) in ("W", "F") or "\uff61" <= character <= "\uff9f"


def _text(source: Dataset, keyword: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = source.get(keyword)
    return "" if value is None else _clean(str(value))


def _clean(text: str) -> str:
    """Without control characters, which a page cannot show, and without padding."""
    return "".join(" " if unicodedata.category(c) == "Cc" else c for c in text).strip()


def _date(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}" if len(text) == 8 and text.isdigit() else text


def _time(text: str) -> str:
    return f"{text[:2]}:{text[2:4]}" if text[:4].isdigit() and len(text) >= 4 else ""


def _age(text: str) -> str:
    units = {"Y": "years", "M": "months", "W": "weeks", "D": "days"}
    if len(text) == 4 and text[:3].isdigit() and text[3] in units:
        return f"{int(text[:3])} {units[text[3]]}"
    return text
