"""The table of levels on the page, its legend and its notes."""

from __future__ import annotations

from operators.drawing.page import ALARM, QUIET, TINT, Cell, Colour, ReportPages
from operators.drawing.sagittal_panel import colour_of
from operators.reading.reading import SpineReading
from operators.results.table import NOT_GIVEN, LevelRow, ReadingTable, reading_table

_SIZE = 8.5
_COLUMNS: tuple[tuple[str, float, str], ...] = (
    ("Level", 18.0, "L"),
    ("Sure", 8.5, "R"),
    ("Ha", 10.0, "R"),
    ("Hm", 10.0, "R"),
    ("Hp mm", 11.5, "R"),
    ("Loss %", 11.5, "R"),
    ("Grade", 0.0, "L"),
    ("HU", 8.5, "R"),
    ("SD", 7.5, "R"),
    ("mg/cm3", 12.5, "R"),
    ("Note", 10.0, "L"),
)
"""Heading, width in mm (zero: what is left) and alignment."""
_SQUARE = 4.2
"""Room for the colour of the vertebra, mm."""
_GAP = 2.6
"""Between a right-aligned column and the left-aligned one after it, mm."""


def write_table(page: ReportPages, reading: SpineReading) -> None:
    """Write one row per vertebra, then the numbered notes; nothing where there is no vertebra."""
    if not reading.vertebrae:
        return
    table = reading_table(reading)
    page.heading("Levels", keep=14.0)
    _write_heading(page, table)
    for row in table.rows:
        if page.make_room(_row_height(page, row, table)):
            _write_heading(page, table)
        _write_row(page, row, table)
    page.y += 1.0
    for number, note in enumerate(table.notes, start=1):
        page.paragraph(note, 7.5, indent=5, lead=str(number), gap=0.1)


def _places(page: ReportPages, table: ReadingTable) -> list[tuple[str, float, float, str]]:
    """Heading, left end, width and alignment of the columns that are shown."""
    # The level stands behind the square in the colour that it has in the picture.
    shown = [column for column in _COLUMNS if column[0] != "mg/cm3" or table.has_calibrated]
    rest = page.width - _SQUARE - sum(width for _, width, _ in shown) - _GAP * 2
    x = _SQUARE
    places: list[tuple[str, float, float, str]] = []
    for heading, given, align in shown:
        x += _GAP if align == "L" and places else 0.0
        width = given or rest
        places.append((heading, x, width, align))
        x += width
    return places


def _write_heading(page: ReportPages, table: ReadingTable) -> None:
    page.row([Cell(name, x, width, align, colour=QUIET) for name, x, width, align in _places(page, table)], 7.5)
    page.rule()
    page.y += 0.3


def _cells(page: ReportPages, row: LevelRow, table: ReadingTable) -> list[Cell]:
    values = {
        "Level": f"{row.sign} {row.level}".strip(),
        "Sure": row.confidence,
        "Ha": row.anterior,
        "Hm": row.middle,
        "Hp mm": row.posterior,
        "Loss %": row.loss,
        "Grade": row.grade,
        "HU": row.mean,
        "SD": row.deviation,
        "mg/cm3": row.calibrated,
        "Note": ", ".join(map(str, row.notes)),
    }
    strong = {"Level", "Loss %", "Grade"} if row.is_fracture else {"Level"} if row.sign else set()
    return [
        Cell(values[name], x, width, align, name in strong, _colour(row, values[name], name in strong))
        for name, x, width, align in _places(page, table)
    ]


def _colour(row: LevelRow, text: str, strong: bool) -> Colour:
    if row.is_fracture and strong:
        return ALARM
    return QUIET if text == NOT_GIVEN else Cell("", 0, 0).colour


def _row_height(page: ReportPages, row: LevelRow, table: ReadingTable) -> float:
    page.font(_SIZE, bold=True)
    lines = max(len(page.lines(cell.text, cell.width)) for cell in _cells(page, row, table))
    return lines * page.line_height + 0.4


def _write_row(page: ReportPages, row: LevelRow, table: ReadingTable) -> None:
    top = page.y
    page.row(_cells(page, row, table), _SIZE, fill=TINT if row.is_fracture else None)
    page.box(page.left + 0.6, top + 0.8, 2.4, 2.4, (60, 60, 60))
    page.box(page.left + 0.8, top + 1.0, 2.0, 2.0, colour_of(row.vertebra))
