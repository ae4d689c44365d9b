"""A reading as a table for people: one row per vertebra, every reason once as a numbered note.

The same rows stand in the picture, the PDF, the text report and the terminal, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from operators.biomarker import Biomarker, Column, Flag, Weight
from operators.reading.reading import SpineReading
from operators.reading.vertebra import Vertebra
from operators.registered import BIOMARKERS
from operators.results.naming import level_name
from operators.results.walk import flag_of

NOT_GIVEN = "–"
"""Stands where a number is withheld; the row's note says why."""
FRACTURE_SIGN, REVIEW_SIGN = "▲", "◊"
"""Before the level: a finding, and what a person should look at. Signs, so that colour is never alone."""
_SIGNS = {Weight.FINDING: FRACTURE_SIGN, Weight.REVIEW: REVIEW_SIGN, Weight.PLAIN: ""}


@dataclass(frozen=True)
class LevelRow:
    """What is said of one vertebra, as text.

    Attributes:
        vertebra: The vertebra itself.
        flag: Why it deserves a look; None where it deserves none.
        level: The name, with the other possible one in brackets.
        confidence: In %.
        cells: One text per column of the table, :data:`NOT_GIVEN` where there is none.
        notes: Numbers of the notes that belong to the row, from 1.
    """

    vertebra: Vertebra
    flag: Flag | None
    level: str
    confidence: str
    cells: tuple[str, ...]
    notes: tuple[int, ...]

    @property
    def sign(self) -> str:
        """:data:`FRACTURE_SIGN`, :data:`REVIEW_SIGN` or nothing."""
        return sign_of(self.flag)

    @property
    def is_finding(self) -> bool:
        """Whether the row is one of a finding, such as a vertebral fracture."""
        return self.sign == FRACTURE_SIGN


@dataclass(frozen=True)
class ReadingTable:
    """The columns between the level and the notes, the rows from head to feet, and the notes, counted from 1."""

    columns: tuple[Column, ...]
    rows: tuple[LevelRow, ...]
    notes: tuple[str, ...]


def sign_of(flag: Flag | None) -> str:
    """The sign before a level; nothing where there is nothing to look at."""
    return "" if flag is None else _SIGNS[flag.weight]


def reading_table(reading: SpineReading, biomarkers: Sequence[Biomarker] = BIOMARKERS) -> ReadingTable:
    """The table of a reading, however far that has come."""
    offered = [column for one in biomarkers for column in one.columns]
    cells = {column: [column.cell(vertebra) for vertebra in reading.vertebrae] for column in offered}
    columns = tuple(column for column in offered if not column.is_optional or any(cells[column]))
    numbers: dict[str, int] = {}
    rows = []
    for place, vertebra in enumerate(reading.vertebrae):
        own = dict.fromkeys(note for one in biomarkers for note in one.notes(vertebra))
        rows.append(
            LevelRow(
                vertebra=vertebra,
                flag=flag_of(reading, vertebra, biomarkers),
                level=level_name(vertebra, reading.numbering),
                confidence=f"{100 * vertebra.confidence:.0f}",
                cells=tuple(cells[column][place] or NOT_GIVEN for column in columns),
                notes=tuple(sorted(numbers.setdefault(note, len(numbers) + 1) for note in own)),
            )
        )
    return ReadingTable(columns, tuple(rows), tuple(numbers))


def level_line(row: LevelRow, table: ReadingTable) -> str:
    """One vertebra in one line of text; what is withheld is left out, and its reason given."""
    parts = [row.flag.reason] if row.flag is not None and row.flag.weight is not Weight.PLAIN else []
    for column, cell in zip(table.columns, row.cells, strict=True):
        if cell != NOT_GIVEN:
            unit = f" {column.unit}" if column.unit else ""
            parts.append(f"{column.spoken} {cell}{unit}")
    said = "; ".join([*parts, f"confidence {row.confidence} %"])
    word = f"{row.sign} {row.level}".strip() if row.sign else row.level
    return " ".join([f"{word}: {said}.", *(table.notes[number - 1] for number in row.notes)])


def legend(table: ReadingTable) -> str:
    """What the signs and headings of the table mean."""
    columns = " ".join(f"{column.heading.split()[0]}: {column.legend or column.spoken}." for column in table.columns)
    return (
        f"{FRACTURE_SIGN} finding. {REVIEW_SIGN} to be looked at. "
        f"Sure: probability in % that the name is right. {columns}"
    )
