"""The report in sentences: its words, and that every reader of SR takes it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset

from operators.dicom.text_report import write_text_report
from operators.reading.case import Case
from tests.operators import small_case as small
from tests.operators.complaints import complaints
from tests.peers.validators import dcentvfy, dciodvfy, dsrdump

CASES = {
    "normal": small.case,
    "fractured": lambda: small.case(small.fractured_reading()),
    "withheld": lambda: small.case(small.withheld_reading()),
    "no spine": small.no_spine_case,
    "enhanced": small.enhanced_case,
    "ragged headers": small.ragged_headers,
}
ALLOWED_VALUE_TYPES = {"CONTAINER", "TEXT", "CODE", "UIDREF", "IMAGE"}
"""Those of PS3.3 A.35.1.3.1 (Basic Text SR) that it uses."""


def written(case: Case) -> Dataset:
    return small.decode(write_text_report(case))


def items(of: Dataset) -> list[Dataset]:
    """All content items, parents first."""
    return [item for child in of.get("ContentSequence") or [] for item in (child, *items(child))]


def sections(report: Dataset) -> dict[str, list[str]]:
    """The texts of each section by its heading."""
    return {
        item.ConceptNameCodeSequence[0].CodeMeaning: [part.TextValue for part in items(item) if "TextValue" in part]
        for item in report.ContentSequence
        if item.ValueType == "CONTAINER"
    }


def test_the_finding_comes_first_and_in_plain_words() -> None:
    said = sections(written(small.case(small.fractured_reading())))["Impressions"]
    assert said[0] == "Vertebral fracture: L1 severe (Genant 3, wedge)."
    assert said[-1].startswith("Research use only")


def test_each_level_has_its_line() -> None:
    said = sections(written(small.case(small.fractured_reading())))["Findings"]
    assert said[0].startswith("T12: anterior height 25.3 mm; middle height 24.8 mm; posterior height 26.1 mm")
    assert "height loss 4 %; Genant grade 0;" in said[0]
    assert "L1: vertebral fracture, Genant 3;" in said[1]
    assert "height loss 46 %; Genant grade 3 severe, wedge;" in said[1]
    assert said[1].endswith("Endplate depressed. Density withheld: A fractured vertebra is not measured.")
    assert "HU" not in said[1].split("Density")[0]


def test_what_limits_the_result_is_said() -> None:
    said = " ".join(sections(written(small.case(small.withheld_reading())))["Current Procedure Descriptions"])
    assert "Withheld: density. Tube voltage is 80 kV." in said
    assert "Not read: Series without number (CT, 2 images): A localizer." in said
    assert "cd" * 32 in said


def test_nothing_found_is_said() -> None:
    report = written(small.no_spine_case())
    assert "No vertebra was found" in sections(report)["Impressions"][0]
    assert report.CompletionFlag == "PARTIAL"
    assert "Key Images" not in sections(report)


@pytest.mark.parametrize("of", CASES)
def test_it_keeps_to_the_basic_text_class(of: str) -> None:
    report = written(CASES[of]())
    assert report.SOPClassUID == report.file_meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.88.11"
    assert {item.ValueType for item in items(report)} <= ALLOWED_VALUE_TYPES
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    # It may stand beside a name in any character set.
    assert all(item.TextValue.isascii() and item.TextValue for item in items(report) if "TextValue" in item)


def test_the_same_case_gives_the_same_bytes() -> None:
    first, second = (small.encode(write_text_report(small.case(small.fractured_reading()))) for _ in range(2))
    assert first == second


@pytest.mark.peer
@pytest.mark.parametrize("of", CASES)
def test_validators_find_nothing(of: str, tmp_path: Path) -> None:
    case = CASES[of]()
    path = small.save(write_text_report(case), tmp_path / "text.dcm")
    assert not complaints(dciodvfy(path))
    assert "Basic Text SR Document" in dsrdump(path)
    if of == "normal":
        ct = small.save(small.ct_slices()[0], tmp_path / "ct.dcm")
        assert not complaints(dcentvfy([ct, path]))
