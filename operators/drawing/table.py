"""The table of levels on the page, and its notes."""

from __future__ import annotations

from operators.drawing.page import ALARM, QUIET, TINT, Cell, Colour, ReportPages
from operators.reading.reading import SpineReading
from operators.results.table import NOT_GIVEN, LevelRow, ReadingTable, reading_table
from operators.terms.colours import LEVEL_COLOURS

_SIZE = 8.5
_CHARACTER = 1.78
"""Room for a character of a column, mm."""
_SQUARE = 4.2
"""Room for the colour of the vertebra, mm."""
_GAP = 2.6
"""Between a right-aligned column and the left-aligned one after it, mm."""
_LEVEL, _SURE, _NOTE = 18.0, 8.5, 10.0
"""Widths of the columns that every table has, mm."""

_Place = tuple[str, float, float, str, bool]
"""Heading, left end, width, alignment, and whether it is printed strongly in a flagged row."""


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


def _places(page: ReportPages, table: ReadingTable) -> list[_Place]:
    # The level stands behind the square in the colour that it has in the picture.
    shown = [("Level", _LEVEL, "L", True), ("Sure", _SURE, "R", False)]
    shown += [
        (column.heading, column.width * _CHARACTER, "L" if column.is_text else "R", column.is_telling)
        for column in table.columns
    ]
    shown.append(("Note", _NOTE, "L", False))
    texts = sum(align == "L" for _, _, align, _ in shown) - 1
    rest = page.width - _SQUARE - sum(width for _, width, _, _ in shown) - _GAP * texts
    x = _SQUARE
    places: list[_Place] = []
    for heading, given, align, is_telling in shown:
        x += _GAP if align == "L" and places else 0.0
        width = given or rest
        places.append((heading, x, width, align, is_telling))
        x += width
    return places


def _write_heading(page: ReportPages, table: ReadingTable) -> None:
    page.row([Cell(name, x, width, align, colour=QUIET) for name, x, width, align, _ in _places(page, table)], 7.5)
    page.rule()
    page.y += 0.3


def _cells(page: ReportPages, row: LevelRow, table: ReadingTable) -> list[Cell]:
    texts = [f"{row.sign} {row.level}".strip(), row.confidence, *row.cells, ", ".join(map(str, row.notes))]
    cells = []
    for text, (heading, x, width, align, is_telling) in zip(texts, _places(page, table), strict=True):
        is_strong = is_telling if row.is_finding else heading == "Level" and bool(row.sign)
        cells.append(Cell(text, x, width, align, is_strong, _colour(row, text, is_strong)))
    return cells


def _colour(row: LevelRow, text: str, is_strong: bool) -> Colour:
    if row.is_finding and is_strong:
        return ALARM
    return QUIET if text == NOT_GIVEN else Cell("", 0, 0).colour


def _row_height(page: ReportPages, row: LevelRow, table: ReadingTable) -> float:
    page.font(_SIZE, bold=True)
    lines = max(len(page.lines(cell.text, cell.width)) for cell in _cells(page, row, table))
    return lines * page.line_height + 0.4


def _write_row(page: ReportPages, row: LevelRow, table: ReadingTable) -> None:
    top = page.y
    page.row(_cells(page, row, table), _SIZE, fill=TINT if row.is_finding else None)
    page.box(page.left + 0.6, top + 0.8, 2.4, 2.4, (60, 60, 60))
    page.box(page.left + 0.8, top + 1.0, 2.0, 2.0, LEVEL_COLOURS[row.vertebra.level])
