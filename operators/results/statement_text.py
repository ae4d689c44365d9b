"""A statement in words, for encodings without codes: ``Anterior vertebral body height 22.6 ± 0.9 mm``."""

from __future__ import annotations

from pydicom.sr.coding import Code

from operators.biomarker import Count, Finding, Statement, Uid
from operators.reading.quantity import Measured, Withheld

DECIMALS = {"cm3": 2, "cm2": 2, "g/cm2": 3}
"""Decimals by unit; one for every other: more than any scan supports reads as precision."""
_SPOKEN_UNITS = {"[hnsf'U]": "HU", "deg": "°"}


def rounded(value: float, unit: str) -> float:
    """``value`` as it is published; never minus zero."""
    return round(value, DECIMALS.get(unit, 1)) + 0.0


def published(quantity: Measured) -> Measured:
    """The quantity with its numbers as they are published."""
    uncertainty = None if quantity.uncertainty is None else rounded(quantity.uncertainty, quantity.unit)
    return Measured(value=rounded(quantity.value, quantity.unit), unit=quantity.unit, uncertainty=uncertainty)


def finding_lines(finding: Finding) -> list[str]:
    """A finding in lines that each name its place: all statements in the first, then every note by itself."""
    title = finding.topic.title or finding.topic.name
    place = f"{title[0].upper()}{title[1:]}" if finding.vertebra is None else f"{finding.vertebra.level} {title}"
    said = "; ".join(statement_text(statement) for statement in finding.statements)
    return [f"{place}: {text}" for text in ([f"{said}."] if said else []) + list(finding.notes)]


def statement_text(statement: Statement) -> str:
    """Question and answer, with method and note behind them."""
    question = statement.question.meaning
    beside = [statement.method.meaning] if statement.method else []
    beside += [statement.note.rstrip(".")] if statement.note else []
    note = f" ({'; '.join(beside)})" if beside else ""
    if isinstance(statement.answer, Withheld):
        return f"{question} withheld ({statement.answer.code}): {statement.answer.reason.rstrip('.')}{note}"
    return f"{question}{_answer(statement.answer)}{note}"


def _answer(answer: Measured | Count | Uid | Code) -> str:
    if isinstance(answer, Measured):
        value, form = published(answer), f".{DECIMALS.get(answer.unit, 1)}f"
        error = f" ± {value.uncertainty:{form}}" if value.uncertainty is not None else ""
        return f" {value.value:{form}}{error}{spoken_unit(answer.unit)}"
    if isinstance(answer, Count):
        return f" {answer.value}"
    return f": {answer.value}" if isinstance(answer, Uid) else f": {answer.meaning}"


def spoken_unit(unit: str) -> str:
    """The unit as it stands behind a number, with the space before it; nothing for counts."""
    if unit.startswith("{"):
        return ""
    spoken = _SPOKEN_UNITS.get(unit, unit)
    return spoken if spoken == "°" else f" {spoken}"
