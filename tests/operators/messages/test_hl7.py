"""The HL7 message, read and validated by two libraries that know nothing of Osteon: hl7apy and hl7."""

from __future__ import annotations

from collections.abc import Callable

import hl7
import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.valuerep import PersonName

from operators.dicom.report import write_report
from operators.messages.hl7 import escaped, write_hl7
from operators.reading.case import Case
from operators.reading.options import Kind
from tests.operators import small_case

CASES: dict[str, Callable[[], Case]] = {
    "normal": small_case.case,
    "fractured": lambda: small_case.case(small_case.fractured_reading()),
    "withheld": lambda: small_case.case(small_case.withheld_reading()),
    "no spine": small_case.no_spine_case,
    "enhanced": small_case.enhanced_case,
    "ragged": small_case.ragged_headers,
    "a number alone": lambda: small_case.case(slices=(numbered("P-77"),)),
}


def numbered(patient_id: str) -> Dataset:
    """A header that says nothing of the patient but an identifier."""
    header = Dataset()
    header.PatientID = patient_id
    return header


def written(case: Case, objects: dict[Kind, Dataset] | None = None) -> str:
    made = write_hl7(case, objects or {})
    assert made is not None
    return made.decode("utf-8")


def message(case: Case, objects: dict[Kind, Dataset] | None = None) -> hl7.Message:
    return hl7.parse(written(case, objects))


def results(case: Case) -> dict[tuple[str, str], hl7.Segment]:
    """OBX by code and level."""
    return {(str(obx[3][0][0]), str(obx[4])): obx for obx in message(case).segments("OBX")}


@pytest.mark.parametrize("name", CASES)
def test_it_is_a_valid_oru_r01_of_2_5_1(name: str) -> None:
    case = CASES[name]()
    text = written(case)
    parsed = parse_message(text, validation_level=VALIDATION_LEVEL.STRICT, find_groups=True)
    assert parsed.validate()
    assert text.endswith("\r")
    assert "\n" not in text


@pytest.mark.parametrize("header", [Dataset(), numbered("")], ids=["absent", "empty"])
def test_nothing_is_said_of_nobody(header: Dataset) -> None:
    assert write_hl7(small_case.case(slices=(header,)), {}) is None


def test_a_name_that_is_not_known_deletes_none() -> None:
    """In HL7 2.5.1 a pair of quotes tells the receiver to delete what it has."""
    pid = message(small_case.case(slices=(numbered("P-77"),))).segment("PID")
    assert str(pid[3]).startswith("P-77^")
    assert '""' not in str(pid)


def test_who_sends_what_in_which_characters() -> None:
    msh = message(small_case.case()).segment("MSH")
    assert [str(msh[place]) for place in (3, 9, 11, 12, 18)] == [
        "OSTEON",
        "ORU^R01^ORU_R01",
        "P",
        "2.5.1",
        "UNICODE UTF-8",
    ]
    assert len(str(msh[10])) == 20


def test_the_patient_and_the_order_are_those_of_the_ct() -> None:
    found = message(small_case.case())
    pid, obr = found.segment("PID"), found.segment("OBR")
    assert (str(pid[3]), str(pid[5])) == ("P-77^^^HOSPITAL^MR", "Müller^Jörg^^^^^L^A")
    assert (str(pid[7]), str(pid[8])) == ("19550607", "M")
    assert (str(obr[3]), str(obr[4]), str(obr[7]), str(obr[18])) == (
        "A123",
        "25045-6^CT unspecified body region^LN",
        "20260301081500",
        "A123",
    )


def test_a_severe_fracture_of_l1_is_said_with_its_codes_and_numbers() -> None:
    found = results(small_case.case(small_case.fractured_reading()))
    loss = found["VBH-LOSS", "L1"]
    assert [str(loss[place]) for place in (2, 5, 6, 11)] == ["NM", "46.2", "%^Percent^UCUM", "P"]
    assert str(found["GENANT", "L1"][5]) == "GENANT-3^Genant grade 3 (severe)^99OSTEON"
    assert str(found["42942008", "L1"][5]) == "52101004^Present^SCT"
    assert str(found["112181", "T12"][5]) == "141.5"


def test_what_is_withheld_cannot_be_obtained_and_the_reason_follows() -> None:
    text = written(small_case.case(small_case.withheld_reading()))
    lines = text.split("\r")
    place = next(index for index, line in enumerate(lines) if line.startswith("OBX") and "112181" in line)
    fields = lines[place].split("|")
    assert (fields[2], fields[5], fields[11]) == ("", "", "X")
    assert lines[place + 1] == "NTE|1||Tube voltage is 80 kV: attenuation cannot be compared. (kvp)"


def test_nothing_in_it_is_final() -> None:
    for make in CASES.values():
        found = message(make())
        assert str(found.segment("OBR")[25]) == "P"
        assert {str(obx[11]) for obx in found.segments("OBX")} <= {"P", "X"}


def test_it_points_at_the_dicom_report() -> None:
    case = small_case.case()
    report = write_report(case)
    last = message(case, {Kind.REPORT: report}).segments("OBX")[-1]
    assert (str(last[2]), str(last[5][0][0])) == ("RP", str(report.SOPInstanceUID))


def test_another_script_stands_beside_the_latin_name() -> None:
    slices = small_case.ct_slices()
    slices[0].SpecificCharacterSet = "ISO_IR 192"
    slices[0].PatientName = PersonName("Yamada^Tarou^^Dr^Jr=山田^太郎=やまだ^たろう")
    name = str(message(small_case.case(slices=slices)).segment("PID")[5])
    # In HL7 the suffix comes before the prefix.
    assert name == "Yamada^Tarou^^Jr^Dr^^L^A~山田^太郎^^^^^L^I~やまだ^たろう^^^^^L^P"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a|b", r"a\F\b"),
        ("a^b", r"a\S\b"),
        ("a&b", r"a\T\b"),
        ("a~b", r"a\R\b"),
        ("a\\b", r"a\E\b"),
        ("a\r\nb\rc\nd", r"a\.br\b\.br\c\.br\d"),
        ("a\x0bb\x1cc", "a b c"),  # would end the message in MLLP
    ],
)
def test_separators_and_control_characters_are_escaped(text: str, expected: str) -> None:
    assert escaped(text) == expected


@given(st.text(max_size=40))
def test_whatever_the_text_it_stays_one_component_and_can_be_read_back(text: str) -> None:
    held = escaped(text)
    assert not set("|^~&\r\n\x0b\x1c") & set(held)
    field = message_of(f"NTE|1||<{held}>").segment("NTE")[3]  # the library strips what is outside
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    expected = "".join(" " if (ord(c) < 32 and c != "\n") or ord(c) == 127 else c for c in lines)
    assert message_of("").unescape(str(field)).replace("\r", "\n") == f"<{expected}>"


def message_of(segment: str) -> hl7.Message:
    return hl7.parse(f"MSH|^~\\&|OSTEON\r{segment}")


def test_separators_in_the_header_do_not_move_the_fields() -> None:
    slices = small_case.ct_slices()
    slices[0].PatientID, slices[0].AccessionNumber = "P|7^7&", "A~1"
    found = message(small_case.case(slices=slices))
    assert found.unescape(str(found.segment("PID")[3][0][0])) == "P|7^7&"
    assert found.unescape(str(found.segment("OBR")[18])) == "A~1"


def test_the_same_reading_gives_the_same_bytes_and_another_another_control_id() -> None:
    other = small_case.reading().source.model_copy(update={"content_digest": "f" * 64})
    later = small_case.case(small_case.reading(source=other))
    assert write_hl7(small_case.case(), {}) == write_hl7(small_case.case(), {})
    assert str(message(later).segment("MSH")[10]) != str(message(small_case.case()).segment("MSH")[10])
