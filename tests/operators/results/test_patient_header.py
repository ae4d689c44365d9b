"""Patient and study as people write them."""

from __future__ import annotations

import warnings
from dataclasses import replace
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread

from operators.reading.case import Case
from operators.results.patient_header import PatientHeader, patient_header
from tests.operators import small_case as small


def header_of(change: Dataset) -> PatientHeader:
    case = small.case()
    first = small.ct_slices()[0]
    for keyword in ("PixelData", "InstitutionName", "PatientName"):
        del first[keyword]
    first.update(change)
    return patient_header(_with(case, first))


def _with(case: Case, first: Dataset) -> Case:
    return replace(case, slices=(dcmread(BytesIO(small.encode(first))), *case.slices[1:]))


def named(name: str, character_set: str | list[str] = "ISO_IR 192") -> tuple[str, ...]:
    change = Dataset()
    change.SpecificCharacterSet, change.PatientName = character_set, name
    return header_of(change).names


@pytest.mark.parametrize(
    ("name", "character_set", "shown"),
    [
        ("Müller^Jörg", "ISO_IR 100", ("Müller, Jörg",)),
        ("Doe^John^Q^Dr.^Jr.", "ISO_IR 6", ("Doe, John Q, Dr., Jr.",)),
        ("Doe", "ISO_IR 6", ("Doe",)),
        ("Люкceмбypг", "ISO_IR 144", ("Люкceмбypг",)),
        (
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
            ["", "ISO 2022 IR 87"],
            ("Yamada, Tarou", "山田 太郎", "やまだ たろう"),
        ),
        ("Wang^XiaoDong=王^小东", "GB18030", ("Wang, XiaoDong", "王 小东")),
        ("=山田^太郎", ["", "ISO 2022 IR 87"], ("山田 太郎",)),
        ("", "ISO_IR 100", ()),
        ("^^^", "ISO_IR 100", ()),
    ],
)
def test_names(name: str, character_set: str | list[str], shown: tuple[str, ...]) -> None:
    assert named(name, character_set) == shown


def test_dates_ages_and_sexes_are_written_out() -> None:
    found = patient_header(small.case())
    assert (found.born, found.sex, found.age) == ("1955-06-07", "male", "70 years")
    assert found.study_date == "2026-03-01 08:15"
    assert found.patient_id == "P-77 (HOSPITAL)"
    assert found.institution == "Klinik Süd"


def test_what_the_ct_does_not_say_stays_empty() -> None:
    first = small.ct_slices()[0]
    for keyword in ("PixelData", "PatientName", "PatientID", "StudyTime", "PatientSex", "AccessionNumber"):
        del first[keyword]
    found = patient_header(_with(small.case(), first))
    assert (found.names, found.patient_id, found.sex, found.accession) == ((), "", "", "")
    assert found.study_date == "2026-03-01"


def test_an_unknown_character_set_stops_nothing() -> None:
    first = small.ct_slices()[0]
    first.SpecificCharacterSet = "ISO_IR 192"
    first.PatientName = "Müller^Jörg"
    for keyword in ("PixelData", "InstitutionName"):
        del first[keyword]
    raw = small.encode(first).replace(b"ISO_IR 192", b"ISO_IR 999")
    case = small.case()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as where a study is received
        stored = dcmread(BytesIO(raw))
    assert patient_header(replace(case, slices=(stored, *case.slices[1:]))).names
