"""The conformance statement: its tables are those of the code, and say what the standard says."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.conformance import DOCUMENT, main, render
from node.conformance_tables import TABLES
from operators.reading.errors import PermanentError


def test_the_document_says_what_the_code_does() -> None:
    """Where this fails: python -m node.conformance, and look at what has changed."""
    assert main(["--check"]) == 0


def test_a_document_that_differs_is_found_and_put_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "statement.md"
    copy.write_text(DOCUMENT.read_text().replace("1.2.840.10008.5.1.4.1.1.88.34", "1.2.3"))
    assert main(["--check", str(copy)]) == 1
    assert "python -m node.conformance" in capsys.readouterr().err
    assert main([str(copy)]) == 0
    assert copy.read_text() == DOCUMENT.read_text()


def test_a_table_must_not_be_forgotten() -> None:
    with pytest.raises(PermanentError, match="fallbacks"):
        render(DOCUMENT.read_text().replace("<!-- table: fallbacks -->", ""))


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("sent-classes", ("`sr`", "Comprehensive 3D SR Storage", "1.2.840.10008.5.1.4.1.1.88.34", "SCU")),
        ("sent-classes", ("`seg-labelmap`", "Label Map Segmentation Storage", "1.2.840.10008.5.1.4.1.1.66.7")),
        ("sent-classes", ("`pdf`", "Encapsulated PDF Storage", "1.2.840.10008.5.1.4.1.1.104.1", "Implicit VR")),
        ("received-classes", ("CT Image Storage", "1.2.840.10008.5.1.4.1.1.2 ", "SCP")),
        ("received-transfer-syntaxes", ("| 1 ", "Explicit VR Little Endian", "1.2.840.10008.1.2.1 ")),
        ("received-transfer-syntaxes", ("JPEG 2000 Image Compression (Lossless Only)", "1.2.840.10008.1.2.4.90")),
        ("received-statuses", ("0xA700", "storage.min_free_gib")),
        ("sent-statuses", ("0xA700 to 0xA7FF", "to be sent again")),
        ("sent-statuses", ("0xC000 to 0xCFFF", "refused for good")),
        ("profiles", ("`plain-pacs`", "`sc`, `sr-text`, `pdf`")),
        ("fallbacks", ("`sr` ", "`sr-2d`, `sr-text`, `pdf`, `sc`")),
        ("configuration", ("`receiver.port`", "at least 1, at most 65535", "`11112`")),
        ("configuration", ("`destinations.NAME (dicom).profile`", "`weasis`", "`ohif`")),
        ("configuration", ("`reading.options.kinds`", "`gsps`")),
        ("levels", ("L3", "36470004")),
        ("private-scheme", ("VBH-LOSS", "height")),
        ("standard-codes", ("SCT", "`42942008`", "Compression fracture of vertebral column")),
        ("units", ("[hnsf'U]", "Hounsfield unit")),
    ],
)
def test_what_a_reader_looks_for_stands_in_one_line(table: str, row: tuple[str, ...]) -> None:
    assert [line for line in TABLES[table]().splitlines() if all(part in line for part in row)]


def test_every_setting_is_explained() -> None:
    unexplained = [line for line in TABLES["configuration"]().splitlines() if line.endswith("|  |")]
    assert unexplained == []
