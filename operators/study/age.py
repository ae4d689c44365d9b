"""How old the patient was at the study, as far as the header says it without contradicting itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from pydicom import Dataset

from operators.study.header_values import valid_age, valid_date

_OLDEST = 110.0
"""Years; project's own: a greater age is a placeholder's far more often than a person's."""
_MOST_APART = 2.0
"""Years that birth date and Patient's Age may differ; project's own: ages are rounded, or taken from old requests."""
_PLACEHOLDERS = frozenset({date(1, 1, 1), date(1111, 11, 11), date(1900, 1, 1)})
"""Birth dates that stand for none in information systems (OpenREM #63, dcm2niix #620)."""
_AGE = re.compile(r"(\d{3})([DWMY])")
_DAYS = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}
_YEAR = 365.25


@dataclass(frozen=True)
class Age:
    """An age, or why there is none.

    Attributes:
        years: None where it is not known.
        doubt: Why what the header says is not believed; empty where it says nothing, or is believed. Without
            the values, which are the patient's.
    """

    years: float | None
    doubt: str = ""


def age_of(header: Dataset) -> Age:
    """Age from birth date and study date, else from Patient's Age, else unknown; never a default.

    Source: docs/science.md §18.1 (5). Placeholders and contradictions make it unknown.
    """
    born, studied = _date(header.get("PatientBirthDate")), _date(header.get("StudyDate"))
    said = _said(header)
    by_birth = None if born is None or studied is None else (studied - born).days / _YEAR
    if born in _PLACEHOLDERS:
        return Age(None, "the birth date is a placeholder")
    if by_birth is not None and by_birth < 0:
        return Age(None, "the birth date lies after the study")
    if max(by_birth or 0.0, said or 0.0) > _OLDEST:
        return Age(None, f"it would be more than {_OLDEST:.0f} years")
    if by_birth is not None and said is not None and abs(by_birth - said) > _MOST_APART:
        return Age(None, "birth date and Patient's Age contradict each other")
    if by_birth is None and said is None and _is_zero_years(header):
        return Age(None, "Patient's Age of 0 years is a placeholder")
    known = by_birth if by_birth is not None else said
    return Age(None if known is None else round(known, 1))


def _said(header: Dataset) -> float | None:
    """Patient's Age in years; no age at all where it is 0 years, for there are days, weeks and months."""
    match = _AGE.fullmatch(valid_age(str(header.get("PatientAge") or "")))
    if match is None or _is_zero_years(header):
        return None
    return int(match[1]) * _DAYS[match[2]] / _YEAR


def _is_zero_years(header: Dataset) -> bool:
    return valid_age(str(header.get("PatientAge") or "")) == "000Y"


def _date(value: object) -> date | None:
    text = valid_date(str(value or ""))
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8])) if len(text) == 8 else None
    except ValueError:
        return None
