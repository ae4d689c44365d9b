"""Values against the rules of DICOM, as bytes in a file: what becomes of them before any result copies them."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from operators.study.age import age_of
from operators.study.receive import receive_study
from tests.operators import ct_files

CYRILLIC = "Проба^Случай"
GERMAN = "Müller^Jörg"


def put_raw(dataset: Dataset, keyword: str, value: bytes) -> None:
    """Set an element to bytes that are written as they are."""
    tag = Tag(tag_for_keyword(keyword) or 0)
    value += b" " * (len(value) % 2)
    dataset[tag] = RawDataElement(tag, dictionary_VR(tag), len(value), value, 0, False, True)


def received(folder: Path, **raw: bytes) -> Dataset:
    """The header of an instance in whose file these bytes stand: pydicom would not write some of them."""
    dataset = ct_files.plain_slice(0)
    for letter, (keyword, value) in zip("QXZ", raw.items(), strict=False):
        put_raw(dataset, keyword, letter.encode() * len(value))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the values are meant to be odd
        ct_files.write(folder, [dataset])
        (path,) = folder.iterdir()
        content = path.read_bytes()
        for letter, value in zip("QXZ", raw.values(), strict=False):
            content = content.replace(letter.encode() * len(value), value, 1) if value else content
        path.write_bytes(content)
        return receive_study(folder).instances[0].header


@pytest.mark.parametrize(
    ("declared", "name", "read", "term"),
    [
        ("ISO_IR 144", CYRILLIC.encode("iso8859_5"), CYRILLIC, "ISO_IR 144"),
        ("ISO-IR 144", CYRILLIC.encode("iso8859_5"), CYRILLIC, "ISO_IR 144"),
        ("iso_ir 144", CYRILLIC.encode("iso8859_5"), CYRILLIC, "ISO_IR 144"),
        ("IR 144", CYRILLIC.encode("iso8859_5"), CYRILLIC, "ISO_IR 144"),
        ("ISO 8859-5", CYRILLIC.encode("iso8859_5"), CYRILLIC, "ISO_IR 144"),
        ("UTF-8", CYRILLIC.encode(), CYRILLIC, "ISO_IR 192"),
        ("", GERMAN.encode(), GERMAN, "ISO_IR 192"),
        ("ISO_IR 6", GERMAN.encode(), GERMAN, "ISO_IR 192"),
        ("ISO_IR 192", GERMAN.encode("latin-1"), GERMAN, "ISO_IR 100"),
        ("", GERMAN.encode("latin-1"), GERMAN, "ISO_IR 100"),
        ("ISO_IR 100", GERMAN.encode("latin-1"), GERMAN, "ISO_IR 100"),
        ("KOI8", GERMAN.encode(), GERMAN, "ISO_IR 192"),
        ("ISO_IR 100", b"SMITH^ANN", "SMITH^ANN", "ISO_IR 100"),
    ],
)
def test_a_name_is_read_whatever_its_character_set_is_called(
    tmp_path: Path, declared: str, name: bytes, read: str, term: str
) -> None:
    header = received(tmp_path, SpecificCharacterSet=declared.encode(), PatientName=name)

    assert str(header.PatientName) == read
    assert header.SpecificCharacterSet == term


def test_code_extensions_stay_as_they_are(tmp_path: Path) -> None:
    """Japanese of PS3.5 H.3.1: romaji, kanji by escape sequences, kana."""
    name = "Yamada^Tarou=".encode("ascii") + "\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B".encode("ascii")

    header = received(tmp_path, SpecificCharacterSet=b"\\ISO 2022 IR 87", PatientName=name)

    assert str(header.PatientName) == "Yamada^Tarou=山田^太郎"
    assert list(header.SpecificCharacterSet) == ["", "ISO 2022 IR 87"]


def test_plain_text_without_a_character_set_gets_none(tmp_path: Path) -> None:
    assert "SpecificCharacterSet" not in received(tmp_path, PatientName=b"SMITH^ANN")


@pytest.mark.parametrize(
    ("keyword", "raw", "valid"),
    [
        ("StudyDate", b"2025.01.02", "20250102"),
        ("StudyDate", b"2025-01-02", "20250102"),
        ("StudyDate", b"20250102", "20250102"),
        ("StudyTime", b"10:15:00", "101500"),
        ("StudyTime", b"10:15:00.5", "101500.5"),
        ("StudyTime", b"10:15", "1015"),
        ("StudyTime", b"101500.123456", "101500.123456"),
        ("PatientAge", b"70Y", "070Y"),
        ("PatientAge", b"7m", "007M"),
        ("PatientAge", b"070Y", "070Y"),
        ("StudyDescription", b"CT THORAX\\ABDOMEN", "CT THORAX / ABDOMEN"),
        ("InstitutionName", b"TEST SITE\\NORTH", "TEST SITE / NORTH"),
        ("InstitutionName", b"A" * 40 + b"\\" + b"B" * 40, "A" * 40 + " / " + "B" * 21),
        ("AccessionNumber", b"1\\2", "1 / 2"),
        ("PatientSex", b"f", "F"),
        ("PatientSex", b"male", "M"),
        ("PatientSex", b"W", "W"),
        ("StudyDescription", b"CT\tABDOMEN\r\nNATIVE", "CT ABDOMEN  NATIVE"),
        ("StudyDescription", b"C" * 90, "C" * 64),
        ("AccessionNumber", b"A" * 24, "A" * 24),
        ("PatientID", b"P" * 70, "P" * 70),
        ("ReferringPhysicianName", b"ONE^A\\TWO^B", "ONE^A / TWO^B"),
    ],
)
def test_what_can_only_be_meant_in_one_way_is_put_right(tmp_path: Path, keyword: str, raw: bytes, valid: str) -> None:
    assert str(received(tmp_path, **{keyword: raw})[keyword].value) == valid


def test_values_that_may_be_several_stay_several(tmp_path: Path) -> None:
    header = received(tmp_path, ImageType=b"ORIGINAL\\PRIMARY\\AXIAL", OtherPatientIDs=b"A\\B")

    assert list(header.ImageType) == ["ORIGINAL", "PRIMARY", "AXIAL"]
    assert list(header.OtherPatientIDs) == ["A", "B"]


def person(born: str, age: str, studied: str = "20260101") -> Dataset:
    header = Dataset()
    header.PatientBirthDate, header.StudyDate = born, studied
    if age:
        put_raw(header, "PatientAge", age.encode())
    return header


@pytest.mark.parametrize(
    ("born", "age", "years"),
    [
        ("19560101", "", 70.0),
        ("19560101", "070Y", 70.0),
        ("19560101", "069Y", 70.0),
        ("", "70Y", 70.0),
        ("", "018M", 1.5),
        ("20251225", "001W", 0.0),
        ("", "000D", 0.0),
        ("19190101", "", 107.0),
        ("1956.01.01", "070Y", 70.0),
    ],
)
def test_what_fits_together_is_an_age(born: str, age: str, years: float) -> None:
    found = age_of(person(born, age))

    assert found.years == pytest.approx(years, abs=0.05)
    assert found.doubt == ""


@pytest.mark.parametrize(
    ("born", "age", "doubt"),
    [
        ("19000101", "030Y", "placeholder"),
        ("19000101", "", "placeholder"),
        ("00010101", "030Y", "placeholder"),
        ("18800505", "", "more than 110 years"),
        ("", "125Y", "more than 110 years"),
        ("19560101", "030Y", "contradict"),
        ("20270101", "064Y", "lies after the study"),
        ("", "000Y", "placeholder"),
    ],
)
def test_what_cannot_be_is_unknown_with_its_reason(born: str, age: str, doubt: str) -> None:
    found = age_of(person(born, age))

    assert found.years is None
    assert doubt in found.doubt
    assert "19" not in found.doubt  # no value of the patient's


def test_nothing_said_is_unknown_without_a_doubt() -> None:
    assert age_of(person("", "")).doubt == ""
