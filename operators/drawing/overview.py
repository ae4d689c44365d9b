"""The status picture of a reading: the spine with what was measured on it, and the numbers beside it.

Everything in it comes from the reading; it holds no patient data. The same case gives the same pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, ImageDraw

from operators.drawing.axial_panel import axial_panel
from operators.drawing.picture_text import RGB, type_of, wrapped
from operators.drawing.sagittal_panel import BADGE, WHITE, colour_of, sagittal_panel
from operators.reading.case import Case
from operators.reading.reading import Outcome, SpineReading
from operators.results import sentences
from operators.results.key_levels import viewed_vertebrae
from operators.results.sentences import Weight
from operators.results.table import FRACTURE_SIGN, NOT_GIVEN, REVIEW_SIGN, LevelRow, ReadingTable, reading_table

PAPER, RULE_LINE = (18, 20, 24), (62, 67, 76)
TEXT, QUIET, ALARM = (236, 238, 241), (176, 182, 191), (255, 150, 80)
ALARM_ROW = (66, 34, 16)
MARGIN, STRIP = 24, 900
"""Border of the picture and width of the strip with the numbers, pixels."""
MOST_VIEWS, VIEW_GAP = 4, 12
"""Axial views in the picture, and the space between them in pixels."""
VIEW_SIDE = (STRIP - (MOST_VIEWS - 1) * VIEW_GAP) // MOST_VIEWS

_OUTCOME_COLOURS = {Outcome.PASS: (0, 190, 140), Outcome.WARN: (240, 228, 66), Outcome.WITHHOLD: ALARM}

COLUMNS = (
    ("Level", 26, "l"),
    ("Sure %", 216, "r"),
    ("Ha", 286, "r"),
    ("Hm", 348, "r"),
    ("Hp mm", 424, "r"),
    ("Loss %", 510, "r"),
    ("Grade", 536, "l"),
    ("HU", 762, "r"),
    ("SD", 812, "r"),
    ("Note", 836, "l"),
)
"""Heading, position of its anchor in the strip, and whether that is the left or right end of the text."""


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
    draw.rectangle((left, page.y, left + font.getlength(sentences.RESEARCH_MARK) + 20, page.y + 27), fill=BADGE)
    draw.text((left + 10, page.y + 4), sentences.RESEARCH_MARK, font=font, fill=WHITE)
    page.y += 36
    page.line(sentences.scan(reading), 16, QUIET, gap=6)
    for sentence in sentences.findings(reading):
        _sentence(page, sentence, 19)
    for sentence in sentences.density(reading):
        _sentence(page, sentence, 17)
    if reading.vertebrae:
        _table(page, reading_table(reading))
    if reading.gates:
        page.heading("Checks of the images")
        _gates(page, reading)
    for remark in (*sentences.remarks(reading), *sentences.not_read(reading)):
        page.line(remark, 15, QUIET, gap=2)
    page.y += 6
    page.line(_legend(reading), 14, QUIET)
    return page.y


def _sentence(page: _Page, sentence: sentences.Sentence, size: int) -> None:
    if sentence.weight is Weight.FINDING:
        page.line(sentence.text, size, ALARM, bold=True, indent=26, lead=FRACTURE_SIGN, gap=3)
    elif sentence.weight is Weight.REVIEW:
        page.line(sentence.text, size, bold=True, indent=26, lead=REVIEW_SIGN, gap=3)
    else:
        page.line(sentence.text, size - 2, gap=3)


def _table(page: _Page, table: ReadingTable) -> None:
    page.y += 8
    _row(page, [heading for heading, _, _ in COLUMNS], [QUIET] * len(COLUMNS), 15)
    page.rule()
    for row in table.rows:
        if row.is_fracture:
            page.draw.rectangle((page.x, page.y - 3, page.x + page.width, page.y + 23), fill=ALARM_ROW)
        cells = list(_cells(row))
        colours = [_colour(row, cell, index in (0, 5, 6)) for index, cell in enumerate(cells)]
        page.draw.rectangle((page.x + 4, page.y + 3, page.x + 16, page.y + 15), fill=colour_of(row.vertebra))
        _row(page, cells, colours, 18, bold=bool(row.sign))
    page.y += 4
    page.rule()
    for number, note in enumerate(table.notes, start=1):
        page.line(note, 15, QUIET, indent=26, lead=str(number), gap=1)


def _colour(row: LevelRow, cell: str, telling: bool) -> RGB:
    if row.is_fracture and telling:
        return ALARM
    return QUIET if cell == NOT_GIVEN else TEXT


def _cells(row: LevelRow) -> Iterator[str]:
    yield f"{row.sign} {row.level}".strip()
    yield from (row.confidence, row.anterior, row.middle, row.posterior, row.loss, row.grade, row.mean, row.deviation)
    yield ", ".join(map(str, row.notes))


def _row(page: _Page, cells: list[str], colours: list[RGB], size: int, bold: bool = False) -> None:
    font = type_of(size, bold)
    for (_, place, side), cell, colour in zip(COLUMNS, cells, colours, strict=True):
        x = page.x + place - (font.getlength(cell) if side == "r" else 0)
        page.draw.text((x, page.y), cell, font=font, fill=colour)
    page.y += int(size * 1.45)


def _gates(page: _Page, reading: SpineReading) -> None:
    gates = sentences.ordered_gates(reading)
    for gate in gates:
        if gate.outcome is not Outcome.PASS:
            _gate(page, sentences.gate_word(gate), gate.outcome, gate.reason)
    passed = [gate for gate in gates if gate.outcome is Outcome.PASS]
    if passed:
        _gate(page, sentences.gate_word(passed[0]), Outcome.PASS, " ".join(gate.reason for gate in passed))


def _gate(page: _Page, word: str, outcome: Outcome, text: str) -> None:
    page.draw.text((page.x, page.y), word, font=type_of(15), fill=_OUTCOME_COLOURS[outcome])
    page.line(text, 15, QUIET if outcome is Outcome.PASS else TEXT, indent=190, gap=2)


def _legend(reading: SpineReading) -> str:
    by = reading.provenance
    made = f"Read by {by.engine} {by.engine_version} ({by.engine_digest[:12]}), Osteon {by.pipeline}."
    return f"{sentences.PICTURE_LEGEND} {sentences.LEGEND} {made}" if reading.vertebrae else made
