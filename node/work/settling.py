"""When a study counts as complete: several rules at once, and which one decided.

DICOM has no message "that was the last slice" over C-STORE. So a study settles when nothing has come
for a while and nobody is sending any more; later when slices are obviously missing; and after a longest
wait in any case. What arrives after that makes a new reading, so a wrong guess costs time, not slices.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from node.settings import SettlingSettings

_GAP = 1.5
"""A step between neighbours larger than this times the usual one means a missing slice."""
_SAME_POSITION_MM = 0.01


class Rule(StrEnum):
    """What decided that a study is complete."""

    QUIET = "quiet"
    QUIET_WITH_GAPS = "quiet-with-gaps"
    LONGEST_WAIT = "longest-wait"


@dataclass(frozen=True)
class Waiting:
    """A study with instances that no reading has seen.

    Attributes:
        first, last: When the first and the last of these instances came, seconds since the epoch.
        sending: Whether an association that brought some of it is still open.
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
        now: Seconds since the epoch.
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


def count_missing_slices(files: Sequence[Path]) -> int:
    """Slices missing between others, over all series with one orientation and a usual spacing.

    Files that cannot be read or have no position do not count; judging them is the reader's work.
    """
    positions: defaultdict[tuple[str, tuple[float, ...]], list[float]] = defaultdict(list)
    for file in files:
        place = _place(file)
        if place is not None:
            key, position = place
            positions[key].append(position)
    return sum(_missing(np.array(places)) for places in positions.values())


def _place(file: Path) -> tuple[tuple[str, tuple[float, ...]], float] | None:
    """Series and orientation of a slice, and its position along its normal in mm."""
    tags = ["SeriesInstanceUID", "ImageOrientationPatient", "ImagePositionPatient"]
    try:
        head = dcmread(file, stop_before_pixels=True, specific_tags=tags)
        orientation = [float(value) for value in head.ImageOrientationPatient]
        position = [float(value) for value in head.ImagePositionPatient]
        series = str(head.SeriesInstanceUID)
    except (AttributeError, EOFError, InvalidDicomError, TypeError, ValueError):
        return None
    if len(orientation) != 6 or len(position) != 3:
        return None
    normal = np.cross(orientation[:3], orientation[3:])
    return (series, tuple(round(value, 3) for value in orientation)), float(normal @ position)


def _missing(places: np.ndarray) -> int:
    """Slices missing in one stack of positions in mm."""
    steps = np.diff(np.sort(places))
    steps = steps[steps > _SAME_POSITION_MM]
    if len(steps) < 2:
        return 0
    usual = float(np.median(steps))
    gaps = steps[steps > _GAP * usual]
    return int(np.sum(np.round(gaps / usual) - 1))
