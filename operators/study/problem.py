"""Why an instance or a series is not read: a stable code, a sentence, and which instances are meant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom import Dataset

from operators.reading.reasons import Reason

_NAMED = 5
"""Instances that a sentence names before it stops."""


@dataclass(frozen=True)
class Problem:
    """Why something is not read.

    Attributes:
        code: Stable name of the reason.
        reason: A clause that speaks of the series or the file as "it": "it is a localizer".
    """

    code: Reason
    reason: str


def instance_name(header: Dataset) -> str:
    """How a sentence names one instance: by its Instance Number, else by its SOP Instance UID."""
    number = header.get("InstanceNumber")
    return f"UID {header.get('SOPInstanceUID')}" if number in (None, "") else str(number)


def named(headers: Iterable[Dataset]) -> str:
    """The instances of a sentence in brackets: ``(Instance Number 3, 7)``; the first few where there are many."""
    names = sorted({instance_name(header) for header in headers}, key=lambda name: (len(name), name))
    more = "" if len(names) <= _NAMED else ", …"
    text = ", ".join(names[:_NAMED])
    return f"({'' if text.startswith('UID') else 'Instance Number '}{text}{more})"


def counted(count: int, noun: str = "file") -> str:
    """``1 file``, ``2 files``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def left_out(faulty: Iterable[tuple[Dataset, Problem]]) -> tuple[str, ...]:
    """One sentence for every kind of problem: how many files, which, and why."""
    groups: dict[Problem, list[Dataset]] = defaultdict(list)
    for header, problem in faulty:
        groups[problem].append(header)
    return tuple(
        f"{counted(len(headers))} of the series left out {named(headers)}: {problem.reason}."
        for problem, headers in sorted(groups.items(), key=lambda item: item[0].code)
    )
