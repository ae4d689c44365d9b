"""The status picture of a reading: the spine with what was measured on it, and the numbers beside it.

Everything in it comes from the reading; it holds no patient data. The same case gives the same pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from operators.biomarker import FINDINGS, Sentence, Weight
from operators.drawing.axial_panel import axial_panel
from operators.drawing.picture_text import RGB, type_of, wrapped
from operators.drawing.sagittal_panel import PICTURE_LEGEND, sagittal_panel
from operators.reading.case import Case
from operators.reading.gate import Outcome
from operators.reading.reading import SpineReading
from operators.results import naming, technique
from operators.results.key_levels import viewed_vertebrae
from operators.results.research import RESEARCH_MARK
from operators.results.table import (
    FRACTURE_SIGN,
    NOT_GIVEN,
    REVIEW_SIGN,
    LevelRow,
    ReadingTable,
    legend,
    reading_table,
)
from operators.results.walk import sentences
from operators.terms.colours import BADGE, LEVEL_COLOURS, WHITE

PAPER, RULE_LINE = (18, 20, 24), (62, 67, 76)
TEXT, QUIET, ALARM = (236, 238, 241), (176, 182, 191), (255, 150, 80)
ALARM_ROW = (66, 34, 16)
MARGIN, STRIP = 24, 900
"""Border of the picture and width of the strip with the numbers, pixels."""
MOST_VIEWS, VIEW_GAP = 4, 12
"""Axial views in the picture, and the space between them in pixels."""
VIEW_SIDE = (STRIP - (MOST_VIEWS - 1) * VIEW_GAP) // MOST_VIEWS

_OUTCOME_COLOURS = {Outcome.PASS: (0, 190, 140), Outcome.WARN: (240, 228, 66), Outcome.WITHHOLD: ALARM}

_LEVEL_WIDTH, _NOTE_WIDTH, _CHARACTER = 200, 86, 11.5
"""Room for level and confidence, for the numbers of the notes, and for a character of a column, pixels."""


@dataclass
class _Page:
    """Where on the strip the next line goes."""

    draw: ImageDraw.ImageDraw
    x: int
    y: int
    width: int

    def line(
        self,
        text: str,
        size: int,
        colour: RGB = TEXT,
        *,
        bold: bool = False,
        indent: int = 0,
        lead: str = "",
        gap: int = 6,
    ) -> None:
        """A paragraph, wrapped to the strip, with a word or sign beside its first line."""
        font = type_of(size, bold)
        if lead:
            self.draw.text((self.x, self.y), lead, font=font, fill=colour)
        for part in wrapped(text, font, self.width - indent):
            self.draw.text((self.x + indent, self.y), part, font=font, fill=colour)
            self.y += int(size * 1.32)
        self.y += gap

    def heading(self, text: str) -> None:
        """A heading with a line below."""
        self.y += 8
        self.line(text, 19, bold=True, gap=2)
        self.rule()

    def rule(self) -> None:
        """A thin line across the strip."""
        self.draw.line([(self.x, self.y), (self.x + self.width, self.y)], fill=RULE_LINE, width=1)
        self.y += 8


def draw_overview(case: Case) -> Image.Image:
    """Draw the overview of a case.

    Args:
        case: With a volume and a reading, however far that has come.

    Returns:
        An RGB picture: the sagittal view on the left; findings, numbers, checks and reasons on the right;
        axial views of the key vertebrae below them.
    """
    panel = sagittal_panel(case)
    left = panel.width + 2 * MARGIN
    # The strip is laid out twice: once to learn how high it becomes, once for good.
    needed = _strip(ImageDraw.Draw(Image.new("RGB", (8, 8))), case.reading, left)
    views = _views(case)
    below = needed + (VIEW_SIDE + 2 * MARGIN if views else MARGIN)
    height = max(panel.height + 2 * MARGIN, below)
    picture = Image.new("RGB", (left + STRIP + MARGIN, height), PAPER)
    picture.paste(panel, (MARGIN, MARGIN))
    _strip(ImageDraw.Draw(picture), case.reading, left)
    if views:
        picture.paste(views, (left, height - VIEW_SIDE - MARGIN))
    return picture


def _views(case: Case) -> Image.Image | None:
    """Axial views of the vertebrae that deserve one."""
    vertebrae = viewed_vertebrae(case.reading, MOST_VIEWS)
    return axial_panel(case, vertebrae, VIEW_SIDE, VIEW_GAP) if vertebrae else None


def _strip(draw: ImageDraw.ImageDraw, reading: SpineReading, left: int) -> int:
    """Lay out the strip and return where it ends, pixels from the top."""
    page = _Page(draw, left, MARGIN, STRIP)
    page.line("Osteon: vertebrae on CT", 28, bold=True)
    font = type_of(17, True)
    draw.rectangle((left, page.y, left + font.getlength(RESEARCH_MARK) + 20, page.y + 27), fill=BADGE)
    draw.text((left + 10, page.y + 4), RESEARCH_MARK, font=font, fill=WHITE)
    page.y += 36
    page.line(technique.scan(reading), 16, QUIET, gap=6)
    for section, said in sentences(reading).items():
        for sentence in said:
            _sentence(page, sentence, 19 if section == FINDINGS else 17)
    if reading.vertebrae:
        _table(page, reading_table(reading))
    if reading.gates:
        page.heading("Checks of the images")
        _gates(page, reading)
    for remark in (*naming.remarks(reading), *technique.not_read(reading)):
        page.line(remark, 15, QUIET, gap=2)
    page.y += 6
    page.line(_legend(reading), 14, QUIET)
    return page.y


def _sentence(page: _Page, sentence: Sentence, size: int) -> None:
    if sentence.weight is Weight.FINDING:
        page.line(sentence.text, size, ALARM, bold=True, indent=26, lead=FRACTURE_SIGN, gap=3)
    elif sentence.weight is Weight.REVIEW:
        page.line(sentence.text, size, bold=True, indent=26, lead=REVIEW_SIGN, gap=3)
    else:
        page.line(sentence.text, size - 2, gap=3)


@dataclass(frozen=True)
class _Place:
    """Where in the strip a column stands: the anchor of its text, and which end of the text that is."""

    heading: str
    anchor: float
    is_text: bool
    is_telling: bool = False


def _places(table: ReadingTable) -> list[_Place]:
    """Level and confidence at the left, the notes at the right, the columns of the table between them."""
    free = STRIP - _LEVEL_WIDTH - _NOTE_WIDTH - sum(column.width * _CHARACTER for column in table.columns)
    places = [_Place("Level", 26, is_text=True, is_telling=True), _Place("Sure %", _LEVEL_WIDTH + 4, is_text=False)]
    x = float(_LEVEL_WIDTH)
    for column in table.columns:
        width = column.width * _CHARACTER or max(free, 120.0)
        anchor = x + 22 if column.is_text else x + width
        places.append(_Place(column.heading, anchor, column.is_text, column.is_telling))
        x += width
    return [*places, _Place("Note", STRIP - _NOTE_WIDTH + 22, is_text=True)]


def _table(page: _Page, table: ReadingTable) -> None:
    places = _places(table)
    page.y += 8
    _row(page, places, [place.heading for place in places], [QUIET] * len(places), 15)
    page.rule()
    for row in table.rows:
        if row.is_finding:
            page.draw.rectangle((page.x, page.y - 3, page.x + page.width, page.y + 23), fill=ALARM_ROW)
        cells = [f"{row.sign} {row.level}".strip(), row.confidence, *row.cells, ", ".join(map(str, row.notes))]
        colours = [_colour(row, cell, place) for cell, place in zip(cells, places, strict=True)]
        colour = LEVEL_COLOURS[row.vertebra.level]
        page.draw.rectangle((page.x + 4, page.y + 3, page.x + 16, page.y + 15), fill=colour)
        _row(page, places, cells, colours, 18, bold=bool(row.sign))
    page.y += 4
    page.rule()
    for number, note in enumerate(table.notes, start=1):
        page.line(note, 15, QUIET, indent=26, lead=str(number), gap=1)


def _colour(row: LevelRow, cell: str, place: _Place) -> RGB:
    if row.is_finding and place.is_telling:
        return ALARM
    return QUIET if cell == NOT_GIVEN else TEXT


def _row(
    page: _Page, places: Sequence[_Place], cells: Sequence[str], colours: Sequence[RGB], size: int, bold: bool = False
) -> None:
    font = type_of(size, bold)
    for place, cell, colour in zip(places, cells, colours, strict=True):
        x = page.x + place.anchor - (0 if place.is_text else font.getlength(cell))
        page.draw.text((x, page.y), cell, font=font, fill=colour)
    page.y += int(size * 1.45)


def _gates(page: _Page, reading: SpineReading) -> None:
    gates = technique.ordered_gates(reading)
    for gate in gates:
        if gate.outcome is not Outcome.PASS:
            _gate(page, technique.signed_gate_word(gate), gate.outcome, gate.reason)
    passed = [gate for gate in gates if gate.outcome is Outcome.PASS]
    if passed:
        _gate(page, technique.signed_gate_word(passed[0]), Outcome.PASS, " ".join(gate.reason for gate in passed))


def _gate(page: _Page, word: str, outcome: Outcome, text: str) -> None:
    page.draw.text((page.x, page.y), word, font=type_of(15), fill=_OUTCOME_COLOURS[outcome])
    page.line(text, 15, QUIET if outcome is Outcome.PASS else TEXT, indent=190, gap=2)


def _legend(reading: SpineReading) -> str:
    by = reading.provenance
    made = f"Read by {by.engine} {by.engine_version} ({by.engine_digest[:12]}), Osteon {by.pipeline}."
    return f"{PICTURE_LEGEND} {legend(reading_table(reading))} {made}" if reading.vertebrae else made
