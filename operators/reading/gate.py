"""Quality gates as values: one question put to the scan, and its answer."""

from __future__ import annotations

from enum import StrEnum

from operators.reading.quantity import Frozen
from operators.reading.reasons import Reason


class Outcome(StrEnum):
    """What a quality gate decides."""

    PASS = "pass"
    WARN = "warn"
    WITHHOLD = "withhold"


class Gate(Frozen):
    """One question put to the scan before a number is published.

    Attributes:
        code: What was asked.
        outcome: Pass, warn or withhold.
        reason: A sentence, also for a pass.
        applies_to: What the gate guards: ``density`` and ``heights`` are the numbers themselves, ``category``
            only the class that a density falls into, ``all`` everything; further biomarkers bring their own.
    """

    code: Reason
    outcome: Outcome
    reason: str
    applies_to: str = "all"
