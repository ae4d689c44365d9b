"""A4 pages on which nothing is cut off: text that does not fit goes on to the next page.

A thin layer over fpdf2. Every text from outside passes :func:`operators.drawing.fonts.printable` here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from fpdf import FPDF
from PIL import Image

from operators.drawing.fonts import TEXT, load_fonts, printable

MARGIN, PAGE_WIDTH, PAGE_HEIGHT = 12.0, 210.0, 297.0
FULL_WIDTH = PAGE_WIDTH - 2 * MARGIN
TOP, BOTTOM = MARGIN, PAGE_HEIGHT - 19.0
"""Where text may begin and must end, mm; below is the footer."""
LEADING = 1.32
"""Distance of lines in units of the type size."""

Colour = tuple[int, int, int]
INK, QUIET, RULE, SHADE = (20, 22, 26), (88, 94, 104), (190, 195, 203), (240, 242, 245)
ALARM, TINT = (158, 62, 0), (255, 236, 222)
"""Dark vermilion, which has a contrast of 6.6 : 1 on white, and its tint. Never the only sign of anything."""
_MM_PER_POINT = 25.4 / 72


class Cell(NamedTuple):
    """One cell of a table row: where it ends or begins within the table, mm."""

    text: str
    left: float
    width: float
    align: str = "L"
    bold: bool = False
    colour: Colour = INK


class ReportPages:
    """A document that is written from top to bottom in one column, whose place and width may change.

    Args:
        texts: Everything from outside that will be written, so that its fonts are known.
        made: Date of the document, with its zone; it decides the bytes together with the content.
        on_new_page: Called when a further page has begun, to write its head.

    Attributes:
        pdf: The fpdf2 document.
        left, width: The column, mm.
        y: Where the next line goes, mm from the top.
    """

    def __init__(self, texts: Iterable[str], made: datetime, on_new_page: Callable[[ReportPages], None]) -> None:
        self.pdf = FPDF(format="A4")
        self.pdf.set_creation_date(made)
        self.pdf.set_lang("en-US")
        self.pdf.alias_nb_pages("")  # no text from outside is a placeholder
        self.pdf.set_auto_page_break(False)
        self.pdf.set_margin(0)
        self.pdf.c_margin = 0
        load_fonts(self.pdf, map(printable, texts))
        self._on_new_page = on_new_page
        self.left, self.width, self.y = MARGIN, FULL_WIDTH, TOP
        self.pdf.add_page()

    @property
    def page(self) -> int:
        """Number of the current page, from 1."""
        return self.pdf.page

    def full_width(self) -> None:
        """Write across the whole page from here on."""
        self.left, self.width = MARGIN, FULL_WIDTH

    def make_room(self, height: float) -> bool:
        """Begin a further page when less than ``height`` mm are left; tells whether it did."""
        if self.y + height <= BOTTOM:
            return False
        self.pdf.add_page()
        self.full_width()
        self.y = TOP
        self._on_new_page(self)
        return True

    def font(self, size: float, *, bold: bool = False, colour: Colour = INK) -> None:
        """Choose type size (points), weight and colour for what follows."""
        self.pdf.set_font(TEXT.family, "B" if bold else "", size)
        self.pdf.set_text_color(*colour)

    def lines(self, text: str, width: float) -> list[str]:
        """``text`` broken to ``width`` mm in the current font; words that are too long are broken inside."""
        found = self.pdf.multi_cell(width, text=printable(text), align="L", dry_run=True, output="LINES")
        return [str(line) for line in found] if isinstance(found, list) else []

    def put(self, text: str, x: float, y: float, width: float, align: str = "L") -> None:
        """One line in the current font, its top at ``y``."""
        self.pdf.set_xy(x, y)
        self.pdf.cell(width, self.line_height, printable(text), align=align)

    @property
    def line_height(self) -> float:
        """Distance of lines in the current font, mm."""
        return float(self.pdf.font_size_pt * _MM_PER_POINT * LEADING)

    def paragraph(
        self,
        text: str,
        size: float = 9,
        *,
        bold: bool = False,
        colour: Colour = INK,
        indent: float = 0,
        lead: str = "",
        gap: float = 0.8,
    ) -> None:
        """Write a paragraph.

        Args:
            text: The words.
            size: Points.
            bold: Whether in bold.
            colour: Of the type.
            indent: mm from the left of the column.
            lead: Written at the left of the column beside the first line, in the same type.
            gap: mm below.
        """
        self.font(size, bold=bold, colour=colour)
        pending, first = self.lines(text, self.width - indent), True
        while pending:
            if self.make_room(self.line_height):
                self.font(size, bold=bold, colour=colour)
                # The column may be wider here than where the lines were broken.
                pending = self.lines(" ".join(pending), self.width - indent)
            if first and lead:
                self.put(lead, self.left, self.y, indent)
            self.put(pending.pop(0), self.left + indent, self.y, self.width - indent)
            self.y += self.line_height
            first = False
        self.y += gap

    def heading(self, text: str, keep: float = 9.0) -> None:
        """A heading that stays with the ``keep`` mm that follow it."""
        self.make_room(7.0 + keep)
        self.y += 1.2
        self.font(10, bold=True)
        self.put(text, self.left, self.y, self.width)
        self.y += self.line_height + 0.4
        self.rule()
        self.y += 1.0

    def rule(self) -> None:
        """A thin line across the column."""
        self.pdf.set_draw_color(*RULE)
        self.pdf.set_line_width(0.2)
        self.pdf.line(self.left, self.y, self.left + self.width, self.y)

    def row(self, cells: Sequence[Cell], size: float, fill: Colour | None = None, pad: float = 0.15) -> float:
        """One table row, as high as its highest cell needs.

        Returns:
            Its height, mm. The caller makes room: only it knows which heading to repeat.
        """
        broken = []
        for cell in cells:
            self.font(size, bold=cell.bold)
            broken.append(self.lines(cell.text, cell.width))
        height = max(map(len, broken)) * self.line_height + 2 * pad
        if fill is not None:
            self.box(self.left, self.y, self.width, height, fill)
        for cell, lines in zip(cells, broken, strict=True):
            self.font(size, bold=cell.bold, colour=cell.colour)
            for index, line in enumerate(lines):
                top = self.y + pad + index * self.line_height
                self.put(line, self.left + cell.left, top, cell.width, cell.align)
        self.y += height
        return height

    def box(self, x: float, y: float, width: float, height: float, fill: Colour) -> None:
        """A filled rectangle."""
        self.pdf.set_fill_color(*fill)
        self.pdf.rect(x, y, width, height, style="F")

    def picture(self, image: Image.Image, x: float, y: float, width: float, described: str) -> None:
        """An image of ``width`` mm with its top left corner at ``x``, ``y``, described for those who cannot see it."""
        self.pdf.image(image, x, y, w=width, alt_text=described)

    def finish(self, on_every_page: Callable[[int, int], None]) -> bytes:
        """Write footers and return the document.

        Args:
            on_every_page: Called for each page with its number and the number of pages.
        """
        count = self.pdf.pages_count
        for number in range(1, count + 1):
            self.pdf.page = number
            on_every_page(number, count)
        self.pdf.page = count
        return bytes(self.pdf.output())
