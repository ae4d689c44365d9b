"""The text of a PDF as it stands on the page: lines, paragraphs, and the table of levels by its columns."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from tests.agreement.said import level_in

_NOTHING = "\ufffe\x02"
"""What pdfium gives for a hyphen at the end of a line."""
_GAP = 0.35
"""Of the type size: a wider space divides two cells of a row."""
_CLOSE = 1.5
"""Times the type size: lines of one paragraph are not further apart."""


@dataclass(frozen=True)
class Chunk:
    """A run of text on one line, points from the lower left of its page."""

    text: str
    left: float
    right: float
    base: float
    size: float
    page: int


@dataclass(frozen=True)
class Row:
    """A row of the table of levels: its cells by heading, and the notes that it refers to."""

    cells: Mapping[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Told:
    """What a report says: its paragraphs in order, and the table of levels."""

    paragraphs: tuple[str, ...]
    rows: tuple[Row, ...]


def pdf_told(document: bytes) -> Told:
    """Take a report apart.

    Args:
        document: A PDF file, padding behind it allowed.
    """
    with pdfium.PdfDocument(document) as pdf:
        chunks = [chunk for number in range(len(pdf)) for chunk in _chunks(pdf[number].get_textpage(), number)]
    table = list(_table(chunks))
    in_table = {chunk for _, parts in table for chunk in parts}
    lines = list(_lines([chunk for chunk in chunks if chunk not in in_table]))
    notes = _notes(lines)
    rows = tuple(Row(row, tuple(notes[n] for n in _numbers(row.get("Note", "")) if n in notes)) for row, _ in table)
    return Told(tuple(_paragraphs(lines)), rows)


def _chunks(page: pdfium.PdfTextPage, number: int) -> Iterator[Chunk]:
    """Runs of characters in the order in which they were drawn."""
    text, left, right, base, size, is_spaced = "", 0.0, 0.0, 0.0, 0.0, False
    for index in range(page.count_chars()):
        letter = chr(raw.FPDFText_GetUnicode(page, index))
        if letter.isspace() or letter in _NOTHING:
            is_spaced = True
            continue
        begin, bottom, end, top = page.get_charbox(index, loose=True)
        if text and (abs(bottom - base) > 0.5 or not -size < begin - right < _GAP * size):
            yield Chunk(text, left, right, base, size, number)
            text = ""
        if not text:
            left, base, size, is_spaced = begin, bottom, top - bottom, False
        text += f" {letter}" if is_spaced else letter
        right, is_spaced = end, False
    if text:
        yield Chunk(text, left, right, base, size, number)


def _lines(chunks: list[Chunk]) -> Iterator[list[Chunk]]:
    line: list[Chunk] = []
    for chunk in chunks:
        if line and (chunk.page != line[0].page or abs(chunk.base - line[0].base) > 0.5 or chunk.left < line[-1].left):
            yield line
            line = []
        line.append(chunk)
    if line:
        yield line


def _table(chunks: list[Chunk]) -> Iterator[tuple[dict[str, str], list[Chunk]]]:
    """The rows by heading, with what they are made of; a cell may go on in the next line."""
    for first in [chunk for chunk in chunks if chunk.text == "Level"]:
        # pdfium mixes what stands beside the table into it: by place, not by the order of drawing.
        beside = [c for c in chunks if c.page == first.page and c.left > first.left - 1.5 and c.base <= first.base]
        beside.sort(key=lambda chunk: (-chunk.base, chunk.left))
        heading = [chunk for chunk in beside if chunk.base == first.base]
        cells = beside[len(heading) :]
        row: dict[str, str] = {}
        parts: list[Chunk] = []
        for chunk in itertools.takewhile(lambda chunk, size=cells[0].size: abs(chunk.size - size) < 0.2, cells):
            if abs(chunk.left - first.left) < 0.5 and level_in(chunk.text.lstrip("▲◊ ")):
                if row:
                    yield row, parts
                row, parts = {column.text: "" for column in heading}, []
            column = _column(chunk, heading)
            row[column] = f"{row[column]} {chunk.text}".strip()
            parts.append(chunk)
        if row:
            yield row, parts


def _column(cell: Chunk, heading: list[Chunk]) -> str:
    """The heading with whose left or right end a cell is aligned."""
    return min(heading, key=lambda c: min(abs(c.left - cell.left), abs(c.right - cell.right))).text


def _notes(lines: list[list[Chunk]]) -> dict[int, str]:
    """Numbered notes: a bare number and its text beside it, which may go on below."""
    found: dict[int, str] = {}
    current, left = 0, 0.0
    for line in lines:
        if len(line) == 2 and line[0].text == str(len(found) + 1):
            current, left = len(found) + 1, line[1].left
            found[current] = line[1].text
        elif current and len(line) == 1 and abs(line[0].left - left) < 0.5:
            found[current] += f" {line[0].text}"
        else:
            current = 0
    return found


def _numbers(text: str) -> Iterator[int]:
    for part in text.split(","):
        if part.strip().isdigit():
            yield int(part)


def _paragraphs(lines: list[list[Chunk]]) -> Iterator[str]:
    """Lines of one size below each other, with what leads the first."""
    text, last = "", None
    for line in lines:
        body = line[-1]
        goes_on = (
            last is not None
            and len(line) == 1
            and body.page == last.page
            and abs(body.left - last.left) < 0.5
            and abs(body.size - last.size) < 0.2
            and 0 < last.base - body.base < _CLOSE * body.size
        )
        if text and not goes_on:
            yield text
            text = ""
        text = " ".join([text, *(chunk.text for chunk in line)]).strip()
        last = body
    if text:
        yield text
