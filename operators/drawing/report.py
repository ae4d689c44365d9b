"""The report of a reading as a PDF of one page, or of as many as its reasons need.

The sagittal picture beside findings, density and a table of all levels; below them the checks of the images,
what was not read, and what made the result. The same case gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from itertools import groupby

from operators.biomarker import FINDINGS, Sentence, Weight
from operators.drawing.axial_panel import axial_panel
from operators.drawing.fonts import REPLACEMENT, printable
from operators.drawing.page import (
    ALARM,
    BOTTOM,
    FULL_WIDTH,
    INK,
    MARGIN,
    PAGE_WIDTH,
    QUIET,
    RULE,
    SHADE,
    ReportPages,
)
from operators.drawing.sagittal_panel import PICTURE_LEGEND, sagittal_panel
from operators.drawing.table import write_table
from operators.reading.case import Case
from operators.reading.gate import Outcome
from operators.reading.options import Kind
from operators.reading.reading import SpineReading
from operators.results import naming, technique
from operators.results.identity import ResultIdentity
from operators.results.key_levels import viewed_vertebrae
from operators.results.origin import local_time
from operators.results.patient_header import PatientHeader, patient_header
from operators.results.research import RESEARCH_MARK
from operators.results.table import FRACTURE_SIGN, REVIEW_SIGN, legend, reading_table
from operators.results.walk import sentences

TITLE = "Osteon: vertebrae on CT"
NO_NAME = "(no name in the images)"
_PICTURE_WIDTH, _PICTURE_HEIGHT = 54.0, 148.0
"""Largest size of the sagittal picture, mm."""
_MOST_VIEWS, _VIEW_GAP, _VIEW_PIXELS = 5, 2.0, 260
"""Axial views side by side, the space between them in mm, and the side of each in pixels."""
_GUTTER, _NARROWEST = 4.0, 46.0


@dataclass(frozen=True)
class _Report:
    case: Case
    patient: PatientHeader
    made: str

    @property
    def reading(self) -> SpineReading:
        return self.case.reading


def draw_report(case: Case) -> bytes:
    """Draw the report of a case.

    Args:
        case: With a volume and a reading, however far that has come.

    Returns:
        A PDF file with every font embedded.
    """
    at = local_time(case)
    report = _Report(case, patient_header(case), f"{at:%Y-%m-%d %H:%M}")
    given = case.job.at
    made = given.astimezone(UTC) if given.tzinfo is not None else given.replace(tzinfo=UTC)
    pages = ReportPages(_from_outside(report), made, lambda page: _write_continued(page, report))
    pages.pdf.set_title(TITLE)
    pages.pdf.set_creator(f"Osteon {report.reading.provenance.pipeline}")
    _write_head(pages, report)
    below = _write_picture(pages, report)
    _write_findings(pages, report.reading)
    write_table(pages, report.reading)
    _write_legend(pages, report.reading, below)
    pages.full_width()
    _write_checks(pages, report.reading)
    _write_remarks(pages, report.reading)
    _write_provenance(pages, report)
    _write_views(pages, case)
    return pages.finish(lambda number, count: _write_foot(pages, report, number, count))


def _from_outside(report: _Report) -> list[str]:
    patient = report.patient
    shown = [*patient.names, patient.patient_id, patient.study_description, patient.accession, patient.institution]
    return [*shown, report.reading.model_dump_json()]


def _write_head(page: ReportPages, report: _Report) -> None:
    page.font(15, bold=True)
    page.put(TITLE, MARGIN, page.y, 90)
    page.font(8.5, bold=True, colour=(255, 255, 255))
    width = page.pdf.get_string_width(RESEARCH_MARK) + 6
    page.box(PAGE_WIDTH - MARGIN - width, page.y + 0.4, width, 6, ALARM)
    page.put(RESEARCH_MARK, PAGE_WIDTH - MARGIN - width, page.y + 1.4, width, "C")
    page.y += 8
    _write_patient(page, report)


def _write_patient(page: ReportPages, report: _Report) -> None:
    patient = report.patient
    top = page.y
    page.font(13, bold=True)
    names = page.lines("   ".join(patient.names) or NO_NAME, FULL_WIDTH - 6)
    left = [("Patient ID", patient.patient_id), ("Born", patient.born), ("Sex, age", _joined(patient.sex, patient.age))]
    right = [
        ("Study", _joined(patient.study_date, patient.study_description)),
        ("Accession", patient.accession),
        ("Institution", patient.institution),
    ]
    if any(REPLACEMENT in printable(name) for name in patient.names):
        left.append(("Name", f"{REPLACEMENT} stands for a character that this report's fonts do not have"))
        right.append(("", " "))
    half = (FULL_WIDTH - 8) / 2
    page.font(9)
    wrapped = [[(name, page.lines(value or "–", half - 20)) for name, value in column] for column in (left, right)]
    rows = [max(len(a[1]), len(b[1])) for a, b in zip(*wrapped, strict=True)]
    line = page.line_height
    height = 2 + len(names) * 6.2 + sum(rows) * line + 1.6
    page.box(MARGIN, top, FULL_WIDTH, height, SHADE)
    page.font(13, bold=True)
    for index, name in enumerate(names):
        page.put(name, MARGIN + 3, top + 1.6 + index * 6.2, FULL_WIDTH - 6)
    for place, column in enumerate(wrapped):
        x, y = MARGIN + 3 + place * (half + 2), top + 2 + len(names) * 6.2
        for (name, value), count in zip(column, rows, strict=True):
            page.font(9, colour=QUIET)
            page.put(name, x, y, 20)
            page.font(9)
            for index, text in enumerate(value):
                page.put(text, x + 20, y + index * line, half - 20)
            y += count * line
    page.y = top + height + 1.5


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _write_picture(page: ReportPages, report: _Report) -> float:
    """The sagittal picture at the left; narrows the column to what is beside it.

    Returns:
        Where the picture with its legend ends, mm.
    """
    image = sagittal_panel(report.case)
    width = min(_PICTURE_WIDTH, _PICTURE_HEIGHT * image.width / image.height)
    top = page.y + 2.0
    levels = ", ".join(str(v.level) for v in report.reading.vertebrae) or "no vertebra"
    page.picture(image, MARGIN, top, width, f"Sagittal view of the spine: {levels}")
    below = top + width * image.height / image.width + 1.5
    page.font(7, colour=QUIET)
    column = max(width, _NARROWEST)
    for line in page.lines(PICTURE_LEGEND, column) if report.reading.vertebrae else []:
        page.put(line, MARGIN, below, column)
        below += page.line_height
    column += _GUTTER
    page.left, page.width = MARGIN + column, FULL_WIDTH - column
    return below


def _write_legend(page: ReportPages, reading: SpineReading, below: float) -> None:
    """What the table's words mean, where there is room: under the table, or under the picture."""
    said = legend(reading_table(reading)) if reading.vertebrae else ""
    if page.page > 1 or page.y <= below:
        page.paragraph(said, 7, colour=QUIET)
        page.y = max(page.y, below) if page.page == 1 else page.y
        return
    beside, page.y = page.y, below + 1.0
    page.left, page.width = MARGIN, page.left - MARGIN - _GUTTER
    page.paragraph(said, 7, colour=QUIET)
    page.y = max(page.y, beside) if page.page == 1 else page.y


def _write_findings(page: ReportPages, reading: SpineReading) -> None:
    for section, said in sentences(reading).items():
        page.heading(section)
        _write_sentences(page, said, 9.5 if section == FINDINGS else 9)


def _write_sentences(page: ReportPages, said: Sequence[Sentence], size: float) -> None:
    """Findings on lines of their own behind their sign; plain sentences that follow each other as one paragraph."""
    for weight, group in groupby(said, key=lambda sentence: sentence.weight):
        texts = [sentence.text for sentence in group]
        if weight is Weight.PLAIN:
            page.paragraph(" ".join(texts), size)
            continue
        for text in texts:
            sign, colour = (FRACTURE_SIGN, ALARM) if weight is Weight.FINDING else (REVIEW_SIGN, INK)
            page.paragraph(text, size, bold=True, colour=colour, indent=5, lead=sign)


def _write_checks(page: ReportPages, reading: SpineReading) -> None:
    gates = technique.ordered_gates(reading)
    if not gates:
        return
    page.heading("Checks of the images")
    for gate in gates:
        if gate.outcome is not Outcome.PASS:
            page.paragraph(gate.reason, 8, indent=34, lead=technique.signed_gate_word(gate), gap=0.3)
    passed = [gate for gate in gates if gate.outcome is Outcome.PASS]
    if passed:
        text = " ".join(gate.reason for gate in passed)
        page.paragraph(text, 8, colour=QUIET, indent=34, lead=technique.signed_gate_word(passed[0]), gap=0.3)


def _write_remarks(page: ReportPages, reading: SpineReading) -> None:
    parts = (("Remarks", naming.remarks(reading)), ("Not read", technique.not_read(reading)))
    for title, texts in parts:
        if texts:
            page.heading(title, keep=5.0)
        for text in texts:
            page.paragraph(text, 8, gap=0.3)


def _write_provenance(page: ReportPages, report: _Report) -> None:
    page.heading("How this was made", keep=6.0)
    document = ResultIdentity.of(report.reading).instance_uid(Kind.PDF)
    lines = [
        ("Images", technique.scan(report.reading)),
        *technique.provenance(report.reading),
        ("Made", f"{report.made}; document {document}"),
    ]
    for name, value in lines:
        page.paragraph(value, 7, colour=QUIET, indent=34, lead=name, gap=0)


def _write_views(page: ReportPages, case: Case) -> None:
    """Axial views of the vertebrae that deserve one, where the page has room for them; they begin no page."""
    vertebrae = viewed_vertebrae(case.reading, _MOST_VIEWS)
    side = (FULL_WIDTH - (_MOST_VIEWS - 1) * _VIEW_GAP) / _MOST_VIEWS
    if not vertebrae or page.y + 10.0 + side > BOTTOM:
        return
    page.heading("Key slices")
    scale = _VIEW_PIXELS / side
    panel = axial_panel(case, vertebrae, _VIEW_PIXELS, round(_VIEW_GAP * scale))
    levels = ", ".join(str(vertebra.level) for vertebra in vertebrae)
    page.picture(panel, MARGIN, page.y, panel.width / scale, f"Axial views through {levels}")
    page.y += side


def _write_continued(page: ReportPages, report: _Report) -> None:
    """The head of every page but the first: whose report it is."""
    page.font(9, bold=True)
    page.put(TITLE, MARGIN, page.y, 60)
    page.font(9)
    for line in page.lines(_whose(report), FULL_WIDTH - 60):
        page.put(line, MARGIN + 60, page.y, FULL_WIDTH - 60, "R")
        page.y += page.line_height
    page.y += 1.0
    page.rule()
    page.y += 2.0


def _write_foot(page: ReportPages, report: _Report, number: int, count: int) -> None:
    y = BOTTOM + 3.0
    page.pdf.set_draw_color(*RULE)
    page.pdf.line(MARGIN, y, PAGE_WIDTH - MARGIN, y)
    page.font(8, bold=True, colour=ALARM)
    page.put(RESEARCH_MARK, MARGIN, y + 1.5, 130)
    page.font(8)
    page.put(f"Page {number} of {count}", PAGE_WIDTH - MARGIN - 40, y + 1.5, 40, "R")
    page.font(8, colour=QUIET)
    lines = page.lines(_whose(report), FULL_WIDTH)
    page.put(lines[0] + (" …" if len(lines) > 1 else ""), MARGIN, y + 5.5, FULL_WIDTH)


def _whose(report: _Report) -> str:
    patient = report.patient
    name = patient.names[0] if patient.names else NO_NAME
    return "   ".join(part for part in (name, patient.patient_id, patient.study_date) if part)
