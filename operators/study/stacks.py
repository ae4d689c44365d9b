"""Parallel, evenly spaced slices: what a series must come down to before it can be a volume.

Positions are compared with a straight line through all of them, within half of their last written digit, so
that rounding makes no false spacing. Missing slices are counted and named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from operators.reading.reasons import Reason
from operators.study.grid import Slice, last_digit
from operators.study.header_values import number
from operators.study.problem import Problem, counted, named
from operators.study.receive import Instance, pixel_digest

_SAME_POSITION = 0.01
"""Slices closer than this along the normal are at the same place, mm."""
_SPACING_TOLERANCE = 0.02
"""Spacings within this part of each other are even (docs/science.md §18.1: median ± 2 %)."""
_SMALLEST_TOLERANCE = 0.02
"""Positions are written with two decimals by some scanners, mm."""
_MOST_ROUNDING = 0.4
"""Two positions that are rounded by more than this part of their distance say nothing of it."""
_MOST_TILT = 0.5
"""Degrees. Highdicom's own tolerance is 2.6, which shifts a spine by 20 mm."""
_ODD_TWINS = 0.03
"""Share of the places at which slices with other pixels may lie, as those of bolus tracking do; more are two series
in one."""
_WHOLE = 0.1
"""By how much a gap may miss a whole number of spacings for slices to be missing in it."""
_NAMED = 5
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Stack:
    """Slices in the order of a highdicom volume: descending along the normal, head first for an axial CT.

    Attributes:
        instances: The slices; one multi-frame instance for an enhanced CT.
        slices: Number of slices.
        spacing: Distance between slice centres, mm; that of a single slice is its thickness.
        normal: Unit normal of the slices, LPS.
        origin: Centre of the first pixel of the first slice, LPS mm, on the line through all slices.
        orientation: Direction along a row, then down a column: six cosines.
        remarks: Sentences on what was left out on the way.
    """

    instances: tuple[Instance, ...]
    slices: int
    spacing: float
    normal: Vector
    origin: Vector
    orientation: tuple[float, ...]
    remarks: tuple[str, ...] = ()

    @property
    def header(self) -> Dataset:
        """Header of the first instance."""
        return self.instances[0].header

    @property
    def extent(self) -> float:
        """Length of the covered part of the body along the normal, mm."""
        return self.slices * self.spacing

    @property
    def reach(self) -> tuple[float, float]:
        """Lowest and highest place along the normal that a slice covers, mm."""
        top = float(np.dot(self.origin, self.normal)) + self.spacing / 2
        return top - self.extent, top


@dataclass(frozen=True)
class Runs:
    """Slices of one acquisition, taken apart where their spacing changes.

    Attributes:
        stacks: Evenly spaced runs, from head to feet; neighbours share a slice where no slice is missing.
        problem: Why the slices are not one run; None where they are.
        remarks: Sentences on slices that were left out.
    """

    stacks: tuple[Stack, ...]
    problem: Problem | None
    remarks: tuple[str, ...]


def even_runs(slices: Sequence[Slice]) -> Runs | Problem:
    """Sort slices, leave out doubled ones and part them where they are not evenly spaced.

    Args:
        slices: Slices of one grid and one acquisition.

    Returns:
        The runs; or why there is none.
    """
    ordered = _sorted(slices)
    found = _without_twins(ordered)
    if isinstance(found, Problem):
        return found
    single, remarks = found
    if len(single) < 2:
        return Runs((_stack(single, number(single[0].header, "SliceThickness") or 0.0),), None, remarks)
    tilt = _tilt_degrees(single)
    if tilt > _MOST_TILT:
        return Problem(Reason.GANTRY_TILT, f"its slices are sheared by a gantry tilt of {tilt:.1f}°")
    gaps = -np.diff(_heights(single))
    stretches = _even_stretches(gaps, _tolerance(single, float(np.median(gaps))))
    stacks = tuple(
        _stack(single[start : stop + 1], _slope(single[start : stop + 1])) for start, stop in stretches if stop > start
    )
    if len(stretches) == 1:
        return Runs(stacks, None, remarks)
    return Runs(stacks, _unevenness(single, gaps), remarks)


def _sorted(slices: Sequence[Slice]) -> list[Slice]:
    def order(one: Slice) -> tuple[float, float, str]:
        instance = number(one.header, "InstanceNumber")
        return (
            -float(one.position @ slices[0].normal),
            np.inf if instance is None else instance,
            str(one.header.SOPInstanceUID),
        )

    return sorted(slices, key=order)


def _heights(slices: Sequence[Slice]) -> NDArray[np.float64]:
    """Positions along the normal, mm."""
    normal = slices[0].normal
    return np.array([float(one.position @ normal) for one in slices])


def _stack(slices: Sequence[Slice], spacing: float) -> Stack:
    """A stack whose grid is the mean of what its slices say."""
    directions = np.mean([one.directions for one in slices], axis=0)
    row = directions[0] / np.linalg.norm(directions[0])
    column = directions[1] - (directions[1] @ row) * row
    column /= np.linalg.norm(column)
    normal = np.cross(row, column)
    heights = np.array([float(one.position @ normal) for one in slices])
    first = float(np.mean(heights + spacing * np.arange(len(slices))))
    origin = slices[0].position + (first - heights[0]) * normal
    return Stack(
        instances=tuple(one.instance for one in slices),
        slices=len(slices),
        spacing=spacing,
        normal=_vector(normal),
        origin=_vector(origin),
        orientation=tuple(float(value) for value in (*row, *column)),
    )


def _vector(values: NDArray[np.float64]) -> Vector:
    return float(values[0]), float(values[1]), float(values[2])


def _without_twins(ordered: list[Slice]) -> tuple[list[Slice], tuple[str, ...]] | Problem:
    """One slice per position, with a sentence for what was left out; or that too many have other pixels."""
    kept: list[Slice] = []
    same, odd = 0, []
    places = 0
    heights = _heights(ordered).tolist()
    last, is_odd = np.inf, False
    for one, height in zip(ordered, heights, strict=True):
        if kept and last - height < _SAME_POSITION:
            if pixel_digest(one.instance) == pixel_digest(kept[-1].instance):
                same += 1
            else:
                odd.append(one)
                places += not is_odd
                is_odd = True
            continue
        kept.append(one)
        last, is_odd = height, False
    if places > max(1.0, _ODD_TWINS * len(kept)):
        return Problem(Reason.REPEATED_POSITIONS, "it holds different slices at the same position")
    remarks = []
    if same:
        remarks.append(f"{same} repeated slice(s) with the same pixels were left out")
    if odd:
        which = named(one.header for one in odd)
        remarks.append(f"{counted(len(odd), 'slice')} {which} left out: another slice lies at the same position.")
    return kept, tuple(remarks)


def _tilt_degrees(slices: Sequence[Slice]) -> float:
    """Angle between the slices' normal and the line through their positions, degrees.

    The line's direction is the median step, so that a gap or a single odd slice does not count; steps over
    several slices, so that rounding does not count either.
    """
    positions = np.array([one.position for one in slices])
    over = max(1, len(slices) // 4)
    steps = positions[:-over] - positions[over:]
    step = np.median(steps / np.linalg.norm(steps, axis=1, keepdims=True), axis=0)
    cosine = abs(float(step @ slices[0].normal)) / float(np.linalg.norm(step))
    return float(np.degrees(np.arccos(min(1.0, cosine))))


def _tolerance(slices: Sequence[Slice], spacing: float) -> float:
    """How far a position may lie beside its place on the line, mm.

    The fitted line itself lies a little beside the one that was rounded, so that half a digit is not enough.
    """
    rounding = min(last_digit(slices) / 2, _MOST_ROUNDING / 2 * spacing)
    return max(_SPACING_TOLERANCE * spacing, _SMALLEST_TOLERANCE, 1.5 * rounding)


def _even_stretches(gaps: NDArray[np.float64], tolerance: float) -> list[tuple[int, int]]:
    """First and last slice of every run whose slices lie on a straight line; single slices between are runs of one."""
    stretches: list[tuple[int, int]] = []
    heights = np.concatenate([[0.0], np.cumsum(gaps)])
    start = 0
    while start < len(heights) - 1:
        stop = _end_of_run(heights, start, tolerance)
        stretches.append((start, stop))
        start = stop
    return _merged(stretches)


def _end_of_run(heights: NDArray[np.float64], start: int, tolerance: float) -> int:
    """The last slice that lies on a line with all slices since ``start``, found by doubling and halving."""
    first = start + 1
    step = 1
    good = first
    while good + step < len(heights) and _is_even(heights[start : good + step + 1], tolerance):
        good += step
        step *= 2
    while step:
        if good + step < len(heights) and _is_even(heights[start : good + step + 1], tolerance):
            good += step
        else:
            step //= 2
    return good


def _is_even(heights: NDArray[np.float64], tolerance: float) -> bool:
    index = np.arange(len(heights))
    slope, start = np.polyfit(index, heights, 1)
    return slope > 0 and bool(np.abs(heights - start - slope * index).max() <= tolerance)


def _merged(stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Without the runs of two slices that only bridge a gap."""
    longer = [one for one in stretches if one[1] - one[0] > 1]
    return longer if longer and len(longer) < len(stretches) and len(stretches) > 1 else stretches


def _slope(slices: Sequence[Slice]) -> float:
    heights = -_heights(slices)
    if len(slices) == 2:
        return float(heights[1] - heights[0])
    return float(np.polyfit(np.arange(len(slices)), heights, 1)[0])


def _unevenness(slices: Sequence[Slice], gaps: NDArray[np.float64]) -> Problem:
    """What is wrong with the distances of slices: some are missing, or they are none that one scan has."""
    spacing = float(np.median(gaps))
    times = gaps / spacing
    wide = times > 1.5
    tolerance = max(_WHOLE, 2 * _tolerance(slices, spacing) / spacing)
    if wide.any() and bool((np.abs(times - np.rint(times)) <= tolerance * np.maximum(1, np.rint(times))).all()):
        count = int((np.rint(times[wide]) - 1).sum())
        verb = "slice is" if count == 1 else "slices are"
        return Problem(Reason.GAPS, f"{count} {verb} missing ({_missing(slices, gaps, spacing)})")
    names = ", ".join(f"{value:.2f}" for value in sorted({round(float(gap), 2) for gap in gaps})[:4])
    return Problem(Reason.UNEVEN_SPACING, f"its slices are not evenly spaced ({names} mm)")


def _missing(slices: Sequence[Slice], gaps: NDArray[np.float64], spacing: float) -> str:
    """The missing slices: by Instance Number where the neighbours' numbers leave room for just them, else by place."""
    numbers: list[str] = []
    places: list[str] = []
    for index in np.flatnonzero(gaps > 1.5 * spacing).tolist():
        lost = round(float(gaps[index]) / spacing) - 1
        above, below = slices[index], slices[index + 1]
        one, other = number(above.header, "InstanceNumber"), number(below.header, "InstanceNumber")
        for step in range(1, lost + 1):
            part = step / (lost + 1)
            places.append(f"{float((1 - part) * above.position[2] + part * below.position[2]):.1f}")
            if one is not None and other is not None and abs(other - one) == lost + 1:
                numbers.append(str(round((1 - part) * one + part * other)))
    if len(numbers) == len(places):
        return f"Instance Number {', '.join(numbers[:_NAMED])}{', …' if len(numbers) > _NAMED else ''}"
    return f"at z = {', '.join(places[:_NAMED])}{', …' if len(places) > _NAMED else ''} mm"


def with_remarks(stack: Stack, *remarks: str) -> Stack:
    """The stack with more sentences."""
    return replace(stack, remarks=(*stack.remarks, *remarks))
