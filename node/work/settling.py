"""When a study counts as complete: several rules at once, and which one decided.

DICOM has no message "that was the last slice" over C-STORE. So a study settles when nothing of it has come
for a while and nobody is sending it any more; later when slices are obviously missing; and after a longest
wait in any case. What arrives after that makes a new reading, so a wrong guess costs time, not slices.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from node.settings import SettlingSettings

_GAP = 1.5
"""A step between neighbours larger than this times the usual one means a missing slice."""
_SAME_POSITION_MM = 0.01
_FARTHEST_MM = 1e5
_SERIES, _POSITION, _ORIENTATION = 0x0020000E, 0x00200032, 0x00200037


class Rule(StrEnum):
    """What decided that a study is complete."""

    QUIET = "quiet"
    QUIET_WITH_GAPS = "quiet-with-gaps"
    LONGEST_WAIT = "longest-wait"


@dataclass(frozen=True)
class Waiting:
    """A study with instances that no reading has seen.

    Attributes:
        first, last: When the first and the last of these instances came, seconds of a clock that is never set.
        sending: Whether somebody is in the middle of sending more of it.
    """

    first: float
    last: float
    sending: bool


def settled_by(
    waiting: Waiting, now: float, settings: SettlingSettings, missing_slices: Callable[[], int]
) -> Rule | None:
    """The rule by which the study is complete now, or None while it is not.

    Args:
        waiting: What is there.
        now: Seconds of the same clock.
        settings: Quiet times and longest wait.
        missing_slices: Number of slices missing between others; asked only when it matters.
    """
    if now - waiting.first >= settings.longest_wait_seconds:
        return Rule.LONGEST_WAIT
    quiet = now - waiting.last
    if waiting.sending or quiet < settings.quiet_seconds:
        return None
    if missing_slices() == 0:
        return Rule.QUIET
    return Rule.QUIET_WITH_GAPS if quiet >= settings.gap_seconds else None


PLACE = frozenset({_SERIES, _POSITION, _ORIENTATION})
"""Tags by which :func:`count_missing_slices` knows where a slice lies."""


def count_missing_slices(heads: Iterable[Mapping[int, str]]) -> int:
    """Slices missing between others, over all series with one orientation and a usual spacing.

    Args:
        heads: Values of the :data:`PLACE` elements, one mapping per instance. Instances without a position do
            not count; judging them is the reader's work.
    """
    positions: defaultdict[tuple[str, tuple[float, ...]], list[float]] = defaultdict(list)
    for head in heads:
        place = _place(head)
        if place is not None:
            key, position = place
            positions[key].append(position)
    return sum(_missing(np.array(places)) for places in positions.values())


def _place(head: Mapping[int, str]) -> tuple[tuple[str, tuple[float, ...]], float] | None:
    """Series and orientation of a slice, and its position along its normal in mm."""
    orientation, position = _numbers(head.get(_ORIENTATION, "")), _numbers(head.get(_POSITION, ""))
    if len(orientation) != 6 or len(position) != 3:
        return None
    normal = np.cross(orientation[:3], orientation[3:])
    return (head.get(_SERIES, ""), tuple(round(value, 3) for value in orientation)), float(normal @ position)


def _numbers(text: str) -> list[float]:
    """The values of a DS element; none where one of them is no number or lies outside any scanner."""
    try:
        values = [float(part) for part in text.split("\\")]
    except ValueError:
        return []
    return values if all(abs(value) <= _FARTHEST_MM for value in values) else []


def _missing(places: np.ndarray) -> int:
    """Slices missing in one stack of positions in mm."""
    steps = np.diff(np.sort(places))
    steps = steps[steps > _SAME_POSITION_MM]
    if len(steps) < 2:
        return 0
    usual = float(np.median(steps))
    gaps = steps[steps > _GAP * usual]
    return int(np.sum(np.round(gaps / usual) - 1))
