"""Stacks of parallel, evenly spaced slices, which a series must come down to before it can be a volume.

One series may hold several stacks (two acquisitions, two orientations), repeated slices, or gaps. This
file takes it apart by geometry alone; which stack is read is decided in :mod:`operators.study.select`.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from operators.study.receive import Instance

_SAME_POSITION = 0.01
"""Distance along the normal, mm, below which two slices are at the same place."""
_SPACING_TOLERANCE = 0.02
"""Share of the median spacing within which spacings are even (docs/science.md §18.1: median ± 2 %)."""
_SMALLEST_TOLERANCE = 0.02
"""Least tolerance of positions, mm: some scanners write two decimals."""
_GAP = 1.5
"""Multiple of the median spacing above which a spacing is a gap (docs/science.md §11.1)."""


@dataclass(frozen=True)
class Problem:
    """Reason why slices do not make a volume: a stable code and a sentence."""

    code: str
    reason: str


@dataclass(frozen=True)
class Stack:
    """Slices in the order of a highdicom volume: descending along the normal, head first for an axial CT.

    Attributes:
        instances: The slices; one multi-frame instance for an enhanced CT.
        slices: Number of slices.
        spacing: Distance between slice centres, mm; 0 where it is not known yet.
        normal: Unit normal of the slices, LPS.
        remarks: Sentences on what was left out on the way.
    """

    instances: tuple[Instance, ...]
    slices: int
    spacing: float
    normal: tuple[float, float, float]
    remarks: tuple[str, ...] = ()

    @property
    def header(self) -> Dataset:
        """Header of the first instance."""
        return self.instances[0].header

    @property
    def extent(self) -> float:
        """Length of the covered part of the body along the normal, mm."""
        return self.slices * self.spacing


def split_into_stacks(instances: Iterable[Instance]) -> list[Stack]:
    """Group the slices of a series that share orientation, matrix and pixel spacing, and sort each group.

    Args:
        instances: Single-frame instances with Image Position and Orientation.
    """
    groups: dict[object, list[Instance]] = defaultdict(list)
    for instance in instances:
        header = instance.header
        orientation = tuple(round(float(v), 3) for v in header.ImageOrientationPatient)
        spacing = tuple(round(float(v), 4) for v in header.PixelSpacing)
        groups[orientation, spacing, int(header.Rows), int(header.Columns)].append(instance)
    return [_sorted_stack(group) for group in groups.values()]


def make_even(stack: Stack) -> Stack | Problem:
    """Remove repeated slices and keep the longest run without a gap.

    Args:
        stack: Sorted slices of one orientation.

    Returns:
        The stack with its spacing, and with a remark for everything left out; or why there is none.
    """
    if len(stack.instances) < 2:  # one slice has no spacing
        return replace(stack, spacing=float(stack.header.get("SliceThickness") or 0.0))
    single = _without_repeats(stack)
    if isinstance(single, Problem):
        return single
    if len(single.instances) < 2:
        return replace(single, spacing=float(stack.header.get("SliceThickness") or 0.0))
    tilt = _tilt_degrees(single)
    if tilt > 0.5:  # highdicom's own tolerance is 2.6 degrees, which shifts a spine by 20 mm
        return Problem("gantry-tilt", f"its slices are sheared by a gantry tilt of {tilt:.1f}°")
    return _longest_even_run(single)


def _normal(header: Dataset) -> NDArray[np.float64]:
    row, column = np.array([float(v) for v in header.ImageOrientationPatient]).reshape(2, 3)
    normal: NDArray[np.float64] = np.cross(row, column)
    return normal / np.linalg.norm(normal)


def _positions(stack: Stack) -> NDArray[np.float64]:
    """Image positions, shape (slices, 3), LPS mm."""
    return np.array([[float(v) for v in i.header.ImagePositionPatient] for i in stack.instances])


def _distances(stack: Stack) -> NDArray[np.float64]:
    """Positions along the normal, descending, mm."""
    distances: NDArray[np.float64] = _positions(stack) @ np.array(stack.normal)
    return distances


def _sorted_stack(instances: list[Instance]) -> Stack:
    normal = _normal(instances[0].header)

    def order(instance: Instance) -> tuple[float, str]:
        position = np.array([float(v) for v in instance.header.ImagePositionPatient])
        return -float(position @ normal), str(instance.header.SOPInstanceUID)

    ordered = tuple(sorted(instances, key=order))
    return Stack(ordered, len(ordered), 0.0, (float(normal[0]), float(normal[1]), float(normal[2])))


def _without_repeats(stack: Stack) -> Stack | Problem:
    """One slice per position: by acquisition where there are several, else only if the pixels are the same."""
    if _is_single(stack):
        return stack
    for key, name in (("AcquisitionNumber", "acquisitions"), ("TemporalPositionIdentifier", "time points")):
        parts = _parts_by(stack, key)
        if len(parts) > 1 and all(_is_single(part) for part in parts):
            best = max(parts, key=lambda part: len(part.instances))
            remark = f"the series holds {len(parts)} {name} of the same place: the longest one was read"
            return replace(best, remarks=(*stack.remarks, remark))
    kept: list[Instance] = []
    dropped, last = 0, np.inf
    for instance, distance in zip(stack.instances, _distances(stack).tolist(), strict=True):
        if kept and abs(distance - last) < _SAME_POSITION:
            if _pixel_digest(instance) != _pixel_digest(kept[-1]):
                return Problem("repeated-positions", "it holds different slices at the same position")
            dropped += 1
            continue
        kept.append(instance)
        last = distance
    remark = f"{dropped} repeated slice(s) with the same pixels were left out"
    return replace(stack, instances=tuple(kept), slices=len(kept), remarks=(*stack.remarks, remark))


def _is_single(stack: Stack) -> bool:
    return len(stack.instances) < 2 or bool(np.all(-np.diff(_distances(stack)) >= _SAME_POSITION))


def _parts_by(stack: Stack, keyword: str) -> list[Stack]:
    groups: dict[str, list[Instance]] = defaultdict(list)
    for instance in stack.instances:
        groups[str(instance.header.get(keyword, ""))].append(instance)
    return [replace(stack, instances=tuple(g), slices=len(g)) for _, g in sorted(groups.items())]


def _pixel_digest(instance: Instance) -> bytes:
    pixels = dcmread(instance.path, specific_tags=["PixelData"], force=True).get("PixelData", b"")
    return hashlib.sha256(pixels).digest()


def _tilt_degrees(stack: Stack) -> float:
    """Angle between the slices' normal and the line through their positions, degrees.

    The line's direction is the median step, so that a gap or a single odd slice does not count.
    """
    steps = -np.diff(_positions(stack), axis=0)
    step = np.median(steps / np.linalg.norm(steps, axis=1, keepdims=True), axis=0)
    cosine = abs(float(step @ np.array(stack.normal))) / float(np.linalg.norm(step))
    return float(np.degrees(np.arccos(min(1.0, cosine))))


def _longest_even_run(stack: Stack) -> Stack | Problem:
    gaps = -np.diff(_distances(stack))
    spacing = float(np.median(gaps))
    tolerance = max(_SPACING_TOLERANCE * spacing, _SMALLEST_TOLERANCE)
    even = np.abs(gaps - spacing) <= tolerance
    if even.all():
        return replace(stack, spacing=float(gaps.mean()))
    start, stop = _longest_true_run(even)
    kept = stack.instances[start : stop + 1]
    share = len(kept) / len(stack.instances)
    missing = bool((gaps > _GAP * spacing).any())
    if share < 0.5:  # what is left would no longer stand for the series
        names = ", ".join(f"{value:.2f}" for value in sorted({round(float(gap), 2) for gap in gaps})[:4])
        code = "gaps" if missing else "uneven-spacing"
        return Problem(code, f"its slices are not evenly spaced ({names} mm)")
    remark = (
        f"{'slices are missing' if missing else 'the spacing changes'} within the series: "
        f"the longest even run was read, {len(kept)} of {len(stack.instances)} slices"
    )
    run = replace(stack, instances=kept, slices=len(kept), remarks=(*stack.remarks, remark))
    return replace(run, spacing=float((-np.diff(_distances(run))).mean()))


def _longest_true_run(flags: NDArray[np.bool_]) -> tuple[int, int]:
    """First and last-plus-one index of the longest run of True."""
    best, start = (0, 0), 0
    for index, flag in enumerate([*flags.tolist(), False]):
        if not flag:
            if index - start > best[1] - best[0]:
                best = (start, index)
            start = index + 1
    return best
