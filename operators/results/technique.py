"""How the result came about, in words: the series, the checks of the images, what was not read, what read it."""

from __future__ import annotations

from operators.reading.gate import Gate, Outcome
from operators.reading.reading import SpineReading
from operators.reading.source import SeriesVerdict
from operators.results import naming
from operators.results.table import REVIEW_SIGN

OUTCOME_WORDS = {Outcome.PASS: "passed", Outcome.WARN: "warning", Outcome.WITHHOLD: "withheld"}
OUTCOME_SIGNS = {Outcome.PASS: "●", Outcome.WARN: REVIEW_SIGN, Outcome.WITHHOLD: "■"}
_EVERYTHING = {Outcome.WARN: "for every result", Outcome.WITHHOLD: "every result"}


def scan(reading: SpineReading) -> str:
    """The series that was read, in one line."""
    source = reading.source
    thickness = f", {source.slice_thickness:g} mm thick" if source.slice_thickness is not None else ""
    kvp = f"{source.kvp:g} kV" if source.kvp is not None else "tube voltage not recorded"
    kernel = f", kernel {source.kernel}" if source.kernel else ""
    row, column = source.pixel_spacing
    return (
        f"{source.slices} slices every {source.slice_spacing:.2f} mm{thickness}, "
        f"pixels {row:.2f} × {column:.2f} mm; {kvp}{kernel}"
    )


def ordered_gates(reading: SpineReading) -> tuple[Gate, ...]:
    """The checks of the images, those that withhold first and those that passed last."""
    order = [Outcome.WITHHOLD, Outcome.WARN, Outcome.PASS]
    return tuple(sorted(reading.gates, key=lambda gate: order.index(gate.outcome)))


def gate_word(gate: Gate) -> str:
    """The outcome, and what it holds for: ``warning: heights``, ``withheld: category``."""
    if gate.outcome is Outcome.PASS:
        return OUTCOME_WORDS[gate.outcome]
    subject = _EVERYTHING[gate.outcome] if gate.applies_to == "all" else gate.applies_to
    return f"{OUTCOME_WORDS[gate.outcome]}: {subject}"


def signed_gate_word(gate: Gate) -> str:
    """The same behind its sign, so that colour is never alone."""
    return f"{OUTCOME_SIGNS[gate.outcome]} {gate_word(gate)}"


def gate_sentence(gate: Gate) -> str:
    """One check in a line of text."""
    word = gate_word(gate)
    return f"{word[0].upper()}{word[1:]}. {gate.reason} ({gate.code})"


def checks(reading: SpineReading) -> list[str]:
    """Every check of the images and every remark, in lines of text: for messages, which have no place of their own."""
    return [*(gate_sentence(gate) for gate in ordered_gates(reading)), *naming.remarks(reading)]


def series_sentence(verdict: SeriesVerdict) -> str:
    """One series of the study and why it was or was not read."""
    number = "without number" if verdict.series_number is None else str(verdict.series_number)
    return f"Series {number} ({verdict.modality or 'no modality'}, {verdict.instances} images): {verdict.reason}"


def not_read(reading: SpineReading) -> tuple[str, ...]:
    """The series that were not read, each with its reason."""
    return tuple(series_sentence(verdict) for verdict in reading.series if not verdict.taken)


def provenance(reading: SpineReading) -> tuple[tuple[str, str], ...]:
    """What made the result, as pairs of a name and a value."""
    by, source = reading.provenance, reading.source
    taken = next((verdict for verdict in reading.series if verdict.taken), None)
    number = "" if taken is None or taken.series_number is None else f"{taken.series_number}, "
    pairs = [
        ("Software", f"Osteon {by.pipeline}; engine {by.engine} {by.engine_version}"),
        ("Weights (SHA-256)", by.engine_digest),
        ("Series read", f"{number}{source.series_uid}; study {source.study_uid}"),
        ("Input (SHA-256)", source.content_digest),
    ]
    if by.options:
        pairs.append(("Site options (SHA-256)", by.options))
    return tuple(pairs)
