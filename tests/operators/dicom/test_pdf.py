"""The PDF for people: what it says, in which scripts, and that nothing of it is cut off."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from pydicom import dcmread

from models.anatomy import Level
from operators.dicom.pdf import write_pdf
from operators.drawing.fonts import REPLACEMENT
from operators.reading.case import Case
from operators.reading.quantity import Withheld
from tests.operators import small_case as small
from tests.operators.complaints import complaints
from tests.peers.validators import dcentvfy, dciodvfy

A4_MM = (210.0, 297.0)


def crowded_case() -> Case:
    """Seventeen levels, each with a long reason of its own."""
    levels = [level for level in Level if Level.T1.rank <= level.rank <= Level.L5.rank and level is not Level.T13][:17]
    vertebrae = tuple(
        small.vertebra(
            1 + index % 3,
            level=level,
            alternative=Level.L6,
            density=Withheld(code="metal", reason=f"Reason {index} begins {'and goes on ' * 30}and ends at {index}."),
        ).model_copy(update={"number": index + 1})
        for index, level in enumerate(levels)
    )
    return small.case(small.reading(vertebrae=vertebrae))


CASES = {
    "normal": small.case,
    "fractured": lambda: small.case(small.fractured_reading()),
    "withheld": lambda: small.case(small.withheld_reading()),
    "no spine": small.no_spine_case,
    "crowded": crowded_case,
}


@cache
def written(name: str) -> bytes:
    """The DICOM file of a case."""
    return small.encode(write_pdf(CASES[name]()))


def document(file: bytes) -> bytes:
    """The PDF inside a DICOM file."""
    dataset = dcmread(BytesIO(file))
    inside: bytes = dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength]
    return inside


def pages_of(pdf: bytes) -> list[str]:
    """The words of each page as another program reads them, lines joined."""
    opened = pypdfium2.PdfDocument(pdf)
    pages = [re.sub(r"\s+", " ", page.get_textpage().get_text_range()) for page in opened]
    opened.close()
    return pages


def text_of(pdf: bytes) -> str:
    """The words of all pages."""
    return " ".join(pages_of(pdf))


def named(name: str, character_set: str | list[str]) -> Case:
    """The normal case of a patient whose name was read from a file in a character set."""
    header = small.ct_slices()[0]
    header.SpecificCharacterSet, header.PatientName = character_set, name
    for keyword in ("InstitutionName", "PixelData"):
        del header[keyword]
    stored = dcmread(BytesIO(small.encode(header)))
    case = small.case()
    return replace(case, slices=(stored, *case.slices[1:]))


def test_a_fracture_is_named_as_reporting_standards_ask() -> None:
    said = text_of(document(written("fractured")))
    assert re.search(r"Vertebral fractures?: L1 severe \(Genant 3, wedge\)", said)
    assert "Mild height loss, not flagged as a fracture: L2 mild (Genant 1, biconcave)" in said
    assert "New or old cannot be determined from this CT" in said
    assert "88 HU – osteoporosis likely" in said
    assert "ISCD-L1-HU-100-150" in said
    assert "not a DXA T-score" in said


def test_numbers_of_a_level_stand_in_its_row() -> None:
    # Heights 24.3, 23.8, 25.1 mm plus the number of the vertebra; loss 3 % plus it; 140.5 HU plus it.
    assert "L1 97 26.3 25.8 27.1 5 0 142 31" in text_of(document(written("normal")))


def test_a_negative_says_which_levels_were_graded() -> None:
    assert "No moderate or severe vertebral fracture found in 3 graded vertebrae (T12 to L2)" in text_of(
        document(written("normal"))
    )


def test_what_is_withheld_has_its_reason() -> None:
    said = text_of(document(written("withheld")))
    assert "Tube voltage is 80 kV: attenuation cannot be compared." in said
    assert "The border of the images cuts the vertebra." in said
    assert "no numbering is likely enough to stand" in said
    assert "T12 (T11?)" in said


def test_a_study_without_vertebrae_says_so() -> None:
    said = text_of(document(written("no spine")))
    assert "No vertebra was found" in said
    assert "nothing can be said of vertebral fractures or bone density" in said


def test_provenance_can_be_followed() -> None:
    said = text_of(document(written("normal")))
    for known in (small.SERIES, small.STUDY, "cd" * 32, "ab" * 32, "Osteon 0.1.0", "engine osteon 1.2", "A localizer."):
        assert known in said


def test_every_page_carries_the_research_mark_the_patient_and_its_number() -> None:
    pages = pages_of(document(written("crowded")))
    assert len(pages) > 1
    for number, said in enumerate(pages, start=1):
        assert "Research use only" in said
        assert "P-77" in said
        assert f"Page {number} of {len(pages)}" in said


def test_long_reasons_are_all_there_to_the_end() -> None:
    said = text_of(document(written("crowded")))
    for index in range(17):
        assert f"Reason {index} begins" in said
        assert f"ends at {index}." in said


@pytest.mark.parametrize("name", ["fractured", "crowded"])
def test_nothing_is_drawn_outside_the_margins(name: str) -> None:
    pdf = pypdfium2.PdfDocument(document(written(name)))
    for page in pdf:
        assert page.get_size() == pytest.approx([mm / 25.4 * 72 for mm in A4_MM], abs=0.1)
        pixels = np.asarray(page.render(scale=1).to_pil().convert("L"))
        border = round(6 / 25.4 * 72)  # what printers cannot print
        inner = np.zeros(pixels.shape, dtype=bool)
        inner[border:-border, border:-border] = True
        assert pixels[~inner].min() == 255
        assert pixels[inner].min() < 60
    pdf.close()


def test_all_fonts_are_inside() -> None:
    pdf = document(written("fractured"))
    # Regular and bold; each descriptor holds its font program (ISO 32000-1, table 122).
    assert len(re.findall(rb"/Type /FontDescriptor", pdf)) == len(re.findall(rb"/FontFile[23]", pdf)) == 2


@pytest.mark.parametrize(
    ("name", "character_set", "shown"),
    [
        ("Жданов^Иван", "ISO_IR 144", ["Жданов, Иван"]),
        (
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
            ["", "ISO 2022 IR 87"],
            ["Yamada, Tarou", "山田 太郎", "やまだ たろう"],
        ),
        ("Hong^Gildong=洪^吉洞=홍^길동", ["", "ISO 2022 IR 149"], ["Hong, Gildong", "洪 吉洞", "홍 길동"]),
        ("Διονυσιος^Α", "ISO_IR 126", ["Διονυσιος, Α"]),
    ],
    ids=["Cyrillic", "Japanese", "Korean", "Greek"],
)
def test_names_in_other_scripts(name: str, character_set: str | list[str], shown: list[str]) -> None:
    said = text_of(document(small.encode(write_pdf(named(name, character_set)))))
    for group in shown:
        assert group in said


@pytest.mark.parametrize(
    ("name", "character_set", "letters"),
    [("القباني^لنزار", "ISO_IR 127", "القبانيلنزار"), ("שרון^דבורה", "ISO_IR 138", "שרוןדבורה")],
    ids=["Arabic", "Hebrew"],
)
def test_names_from_right_to_left(name: str, character_set: str, letters: str) -> None:
    said = text_of(document(small.encode(write_pdf(named(name, character_set)))))
    # Readers put such text into either order; each letter must be there, and none replaced.
    assert not set(letters) - set(said)
    assert REPLACEMENT not in said


def test_a_character_without_a_glyph_is_told_of_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    said = text_of(document(small.encode(write_pdf(named("नमस्ते^Test", "ISO_IR 192")))))
    assert f"{REPLACEMENT}, Test" in said
    assert "stands for a character" in said
    assert "न" not in caplog.text


def test_the_same_case_gives_the_same_bytes() -> None:
    assert small.encode(write_pdf(CASES["fractured"]())) == written("fractured")


def test_the_document_is_what_the_header_says() -> None:
    dataset = dcmread(BytesIO(written("fractured")))
    assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.104.1"
    assert dataset.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert document(written("fractured")).startswith(b"%PDF-")
    assert document(written("fractured")).rstrip().endswith(b"%%EOF")
    assert str(dataset.PatientName) == "Müller^Jörg"
    assert dataset.BurnedInAnnotation == "YES"
    assert dataset.SeriesDescription.endswith("(research)")
    assert [item.ReferencedSOPInstanceUID for item in dataset.SourceInstanceSequence] == [
        f"{small.SERIES}.{index}" for index in range(1, 25)
    ]


@pytest.mark.peer
@pytest.mark.parametrize("name", ["fractured", "no spine"])
def test_validators_find_nothing(name: str, tmp_path: Path) -> None:
    path = tmp_path / "pdf.dcm"
    path.write_bytes(written(name))
    assert not complaints(dciodvfy(path))
    ct = small.save(small.ct_slices()[0], tmp_path / "ct.dcm")
    assert not complaints(dcentvfy([ct, path]))
