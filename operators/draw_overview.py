"""The status picture of a reading: the spine with what was measured on it, and the numbers beside it.

Everything in it comes from the reading; it holds no patient data. The same case gives the same pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from operators.case import Case
from operators.reading import (
    Deformity,
    Density,
    DensityCategory,
    Heights,
    Measured,
    Outcome,
    SpineReading,
    Vertebra,
    Withheld,
)
from operators.sagittal_panel import VERMILION, colour_of, sagittal_panel

PAPER, PANEL, RULE_LINE = (18, 20, 24), (28, 31, 37), (62, 67, 76)
TEXT, QUIET = (236, 238, 241), (166, 172, 181)
MARGIN = 24
STRIP = 900
"""Width of the strip with the numbers, pixels."""
RESEARCH_MARK = "RESEARCH USE ONLY. Automatic, unverified; not for diagnosis."

OUTCOMES = {
    Outcome.PASS: ("pass", (0, 180, 130)),
    Outcome.WARN: ("warn", (240, 228, 66)),
    Outcome.WITHHOLD: ("withheld", VERMILION),
}

COLUMNS = (
    ("Level", 0, "l"),
    ("Sure", 118, "r"),
    ("Ha", 178, "r"),
    ("Hm", 232, "r"),
    ("Hp mm", 300, "r"),
    ("Loss %", 372, "r"),
    ("Grade", 434, "r"),
    ("HU", 490, "r"),
    ("SD", 534, "r"),
    ("Remark", 552, "l"),
)
"""Heading, position of its anchor in the strip, and whether that is the left or right end of the text."""


@dataclass
class _Page:
    """Where on the strip the next line goes. Draws only when it has something to draw on."""

    draw: ImageDraw.ImageDraw
    x: int
    y: int
    width: int

    def line(self, text: str, size: int, colour: tuple[int, int, int] = TEXT, indent: int = 0, gap: int = 6) -> None:
        """A paragraph, wrapped to the strip."""
        font = ImageFont.load_default(size=size)
        for part in wrapped(text, font, self.width - indent):
            self.draw.text((self.x + indent, self.y), part, font=font, fill=colour)
            self.y += int(size * 1.32)
        self.y += gap

    def rule(self) -> None:
        """A thin line across the strip."""
        self.draw.line([(self.x, self.y), (self.x + self.width, self.y)], fill=RULE_LINE, width=1)
        self.y += 8


def draw_overview(case: Case) -> Image.Image:
    """Draw the overview of a case.

    Args:
        case: With a volume and a reading, however far that has come.

    Returns:
        An RGB picture: the sagittal view on the left, names, numbers, gates and reasons on the right.
    """
    panel = sagittal_panel(case)
    left = panel.width + 2 * MARGIN
    # The strip is laid out twice: once to learn how high it becomes, once for good.
    needed = _strip(ImageDraw.Draw(Image.new("RGB", (8, 8))), case.reading, left)
    height = max(panel.height, needed - MARGIN) + 2 * MARGIN
    picture = Image.new("RGB", (left + STRIP + MARGIN, height), PAPER)
    picture.paste(panel, (MARGIN, MARGIN))
    _strip(ImageDraw.Draw(picture), case.reading, left)
    return picture


def wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> list[str]:
    """``text`` broken at spaces into lines of at most ``width`` pixels; longer words are cut."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(joined) <= width:
            lines[-1] = joined
            continue
        while font.getlength(word) > width and len(word) > 1:
            fitting = next(n for n in range(len(word) - 1, 0, -1) if n == 1 or font.getlength(word[:n]) <= width)
            lines.append(word[:fitting])
            word = word[fitting:]
        lines.append(word)
    return lines or [""]


def _strip(draw: ImageDraw.ImageDraw, reading: SpineReading, left: int) -> int:
    """Lay out the strip and return where it ends, pixels from the top."""
    page = _Page(draw, left, MARGIN, STRIP)
    page.line("Osteon: vertebrae on CT", 26)
    page.line(RESEARCH_MARK, 17, VERMILION, gap=2)
    page.line(_scan(reading), 15, QUIET, gap=10)
    _table(page, reading.vertebrae)
    page.line(_category(reading), 17, gap=4)
    for remark in reading.remarks:
        page.line(remark, 15, QUIET, gap=2)
    page.y += 8
    page.line("Quality gates", 18, gap=2)
    page.rule()
    for gate in reading.gates:
        word, colour = OUTCOMES[gate.outcome]
        here = page.y
        font = ImageFont.load_default(size=15)
        draw.text((page.x, here), word, font=font, fill=colour)
        draw.text((page.x + 74, here), gate.code, font=font, fill=TEXT)
        page.line(gate.reason, 15, QUIET, indent=200, gap=3)
    page.y += 8
    page.line(_legend(reading), 14, QUIET)
    return page.y + MARGIN


def _table(page: _Page, vertebrae: Iterable[Vertebra]) -> None:
    _row(page, [heading for heading, _, _ in COLUMNS], [QUIET] * len(COLUMNS), 14)
    page.rule()
    for vertebra in vertebrae:
        grade = vertebra.deformity.grade if isinstance(vertebra.deformity, Deformity) else None
        flagged = grade is not None and grade >= 2
        colours = [TEXT] * len(COLUMNS)
        colours[0] = colour_of(vertebra)
        colours[5] = colours[6] = VERMILION if flagged else TEXT
        colours[-1] = VERMILION if flagged else QUIET
        _row(page, _cells(vertebra), colours, 16)
    page.y += 2
    page.rule()


def _row(page: _Page, cells: list[str], colours: list[tuple[int, int, int]], size: int) -> None:
    font = ImageFont.load_default(size=size)
    small = ImageFont.load_default(size=13)
    for (_, place, side), cell, colour in list(zip(COLUMNS, cells, colours, strict=True))[:-1]:
        x = page.x + place - (font.getlength(cell) if side == "r" else 0)
        page.draw.text((x, page.y), cell, font=font, fill=colour)
    place = COLUMNS[-1][1]
    below = page.y + 2
    for part in wrapped(cells[-1], small, page.width - place):
        page.draw.text((page.x + place, below), part, font=small, fill=colours[-1])
        below += 16
    page.y = max(page.y + int(size * 1.42), below + 3)


def _cells(vertebra: Vertebra) -> list[str]:
    heights, deformity, density = vertebra.heights, vertebra.deformity, vertebra.density
    three = (
        [_number(q, 1) for q in (heights.anterior, heights.middle, heights.posterior)]
        if isinstance(heights, Heights)
        else ["-"] * 3
    )
    loss = _number(deformity.height_loss, 0) if isinstance(deformity, Deformity) else "-"
    grade = str(deformity.grade) if isinstance(deformity, Deformity) and deformity.grade is not None else "-"
    hu = [_number(q, 0) for q in (density.mean, density.deviation)] if isinstance(density, Density) else ["-"] * 2
    name = f"{vertebra.level} ({vertebra.alternative}?)" if vertebra.alternative else str(vertebra.level)
    return [name, f"{100 * vertebra.confidence:.0f} %", *three, loss, grade, *hu, _remark(vertebra)]


def _remark(vertebra: Vertebra) -> str:
    """Fracture wording first (science.md §3.9), then why numbers are missing, each reason once."""
    parts: list[str] = []
    if isinstance(vertebra.deformity, Deformity):
        deformity = vertebra.deformity
        if deformity.grade and deformity.shape:
            sure = "Vertebral fracture" if deformity.grade >= 2 else "Mild height loss"
            parts.append(f"{sure}, {deformity.shape.value}, grade {deformity.grade}.")
        if deformity.indeterminate:
            parts.append("Borderline: to be looked at.")
        if deformity.note and deformity.grade:
            parts.append(deformity.note)
    for value in (vertebra.heights, vertebra.deformity, vertebra.density):
        if isinstance(value, Withheld) and value.reason not in parts and value.code != "level-not-graded":
            parts.append(value.reason)
    return " ".join(parts)


def _number(quantity: Measured | Withheld, digits: int) -> str:
    return f"{quantity.value:.{digits}f}" if isinstance(quantity, Measured) else "-"


def _scan(reading: SpineReading) -> str:
    source = reading.source
    kvp = f"{source.kvp:g} kV" if source.kvp is not None else "tube voltage not recorded"
    row, column = source.pixel_spacing
    return (
        f"{source.slices} slices, {row:.2f} x {column:.2f} mm, every {source.slice_spacing:.2f} mm; {kvp}; "
        f"numbering {reading.numbering.value}"
    )


def _category(reading: SpineReading) -> str:
    category = reading.density_category
    if isinstance(category, DensityCategory):
        near = ", near the limit" if category.near_limit else ""
        return (
            f"Trabecular attenuation of {category.level}: {category.value.value:.0f} HU, "
            f"{category.category}{near} (rule {category.rule}). {category.note or ''}"
        )
    if isinstance(category, Withheld):
        return f"No density category: {category.reason}"
    return "Bone density was not measured."


def _legend(reading: SpineReading) -> str:
    made = reading.provenance
    return (
        "White lines: anterior, middle and posterior height. Dashed: region of the CT numbers. Loss: against "
        "the height expected from the vertebra itself, its neighbours and norms. Grade: Genant, T4 to L4. "
        f"Read by {made.engine} {made.engine_version} ({made.engine_digest[:12]}), pipeline {made.pipeline}."
    )
