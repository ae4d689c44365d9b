"""A reading for the terminal: the table of levels, what was found, every measurement, the checks and the remarks."""

from __future__ import annotations

from collections.abc import Iterator

from operators.reading.reading import SpineReading
from operators.results import naming, technique
from operators.results.research import RESEARCH_MARK
from operators.results.statement_text import finding_lines
from operators.results.table import ReadingTable, legend, reading_table
from operators.results.walk import findings, sentences


def reading_text(reading: SpineReading, *, details: bool = False) -> str:
    """The reading in lines of text.

    Args:
        reading: However far it has come.
        details: True for every measurement with its interval below the table, not only what the table holds.
    """
    return "\n".join(_lines(reading, details))


def _lines(reading: SpineReading, details: bool) -> Iterator[str]:
    table = reading_table(reading)
    yield from _table(table)
    for section, said in sentences(reading).items():
        yield from ["", f"{section}:", *(f"  {sentence.text}" for sentence in said)]
    if details:
        yield from ["", "Measurements:", *_measurements(reading)]
    if reading.gates:
        yield from ["", "Checks of the images:"]
        yield from (f"  {technique.gate_sentence(gate)}" for gate in technique.ordered_gates(reading))
    notes = (*naming.remarks(reading), *(f"Not read: {text}" for text in technique.not_read(reading)))
    yield from ["", "Remarks:", *(f"  {remark}" for remark in notes)] if notes else []
    yield from ["", f"numbering: {reading.numbering.value}", RESEARCH_MARK]


def _table(table: ReadingTable) -> Iterator[str]:
    if not table.rows:
        return
    head = ["Level", "Sure %", *(column.heading for column in table.columns), "Note"]
    is_text = [True, False, *(column.is_text for column in table.columns), True]
    rows = [head]
    for vertebra in table.rows:
        level = f"{vertebra.sign} {vertebra.level}".strip()
        notes = ", ".join(map(str, vertebra.notes))
        rows.append([level, vertebra.confidence, *vertebra.cells, notes])
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        cells = [
            cell.ljust(width) if text else cell.rjust(width)
            for cell, width, text in zip(row, widths, is_text, strict=True)
        ]
        yield "  ".join(cells).rstrip()
    yield from (f"  {number}: {note}" for number, note in enumerate(table.notes, start=1))
    yield f"  {legend(table)}"


def _measurements(reading: SpineReading) -> Iterator[str]:
    for finding in findings(reading):
        if not finding.topic.is_digest:
            yield from (f"  {line}" for line in finding_lines(finding))
