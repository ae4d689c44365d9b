"""One series is not one volume: its images, parted into what can be one, and what is said of the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from operators.reading.reasons import Reason
from operators.study.acquisitions import (
    Circumstances,
    order_of_acquisition,
    split_by_acquisition,
    split_by_circumstances,
)
from operators.study.grid import SAME_DIRECTION, SAME_SPACING, Slice, split_by_grid
from operators.study.problem import Problem, counted
from operators.study.stacks import Runs, Stack, even_runs

_NAMED = 3
"""Acquisitions that are named one by one; a series over time has dozens."""


@dataclass(frozen=True)
class Part:
    """Images of one series that belong together: one grid, one way of acquisition, one time.

    Attributes:
        slices: The images.
        grid: Which of the series' grids.
        circumstances: How they were acquired.
        runs: What they come down to; or why to nothing.
    """

    slices: tuple[Slice, ...]
    grid: int
    circumstances: Circumstances
    runs: Runs | Problem

    @property
    def label(self) -> str:
        """How a sentence calls the acquisition: by its number, where it has one."""
        numbers = {str(one.header.get("AcquisitionNumber") or "") for one in self.slices}
        return f"number {numbers.pop()}" if len(numbers) == 1 and "" not in numbers else ""


def parts_of(slices: Sequence[Slice]) -> tuple[Part, ...]:
    """Part the images of a series, in the order of acquisition within each grid."""
    return tuple(
        Part(tuple(chain), index, Circumstances.of(chain[0].header), even_runs(chain))
        for index, grid in enumerate(split_by_grid(slices))
        for chain in sorted(
            (chain for alike in split_by_circumstances(grid) for chain in split_by_acquisition(alike)),
            key=lambda chain: min(order_of_acquisition(one.header) for one in chain),
        )
    )


def what_was_left(chosen: Stack, own: Part, parts: Sequence[Part], decided: str) -> tuple[str, ...]:
    """Sentences on all that was not read beside the stack that was.

    Args:
        chosen: The stack.
        own: The part that it comes from.
        parts: All parts of the series.
        decided: Why it was chosen among the acquisitions of its grid.
    """
    total = sum(len(part.slices) for part in parts)
    return (
        *_rest_of_run(chosen, own),
        *_other_acquisitions(chosen, own, [part for part in parts if part.grid == own.grid], decided),
        *(_other_grid(chosen, own, part, total) for part in parts if part.grid != own.grid),
    )


def what_lies_beyond(chosen: Stack, other: Stack, least: float) -> str:
    """The stretches of at least ``least`` mm that a stack of another series covers beyond the one that was read."""
    if chosen.header.get("FrameOfReferenceUID") != other.header.get("FrameOfReferenceUID"):
        return ""
    own, its = (_from_feet_to_head(stack) for stack in (chosen, other))
    ends = (("head", max(own[1], its[0]), its[1]), ("feet", its[0], min(own[0], its[1])))
    said = [
        f"{high - low:.0f} mm towards the {end} (z {low:.0f} to {high:.0f} mm)"
        for end, low, high in ends
        if high - low >= least
    ]
    return " and ".join(said)


def _from_feet_to_head(stack: Stack) -> tuple[float, float]:
    low, high = stack.reach
    return (low, high) if stack.normal[2] >= 0 else (-high, -low)


def _rest_of_run(chosen: Stack, own: Part) -> Iterator[str]:
    if not isinstance(own.runs, Runs) or own.runs.problem is None:
        return
    problem, count = own.runs.problem, len(own.slices)
    why = problem.reason if problem.code is Reason.GAPS else "the spacing of the slices changes within the series"
    again = " Send the study again to have all of it read." if problem.code is Reason.GAPS else ""
    yield (
        f"{why[0].upper()}{why[1:]}: the longest even run was read, {chosen.slices} of {count} slices"
        f"{_unread(chosen, own.slices)}.{again}"
    )


def _other_acquisitions(chosen: Stack, own: Part, parts: Sequence[Part], decided: str) -> Iterator[str]:
    others = [part for part in parts if part is not own]
    if not others:
        return
    names = [_name(part, own if part is not own else others[0]) for part in parts]
    called = ", ".join(name for name in names if name) if len(parts) <= _NAMED + 1 else ""
    mine = _name(own, others[0])
    which = f"the one {'at' if mine[:1].isdigit() else 'with'} {mine}"  # a voltage begins with its number
    yield (
        f"The series holds {len(parts)} acquisitions{f' ({called})' if called else ''}; "
        f"{which if mine else 'one of them'} was read: {decided}."
    )
    if len(others) > _NAMED:
        slices = [one for part in others for one in part.slices]
        yield f"{len(others)} other acquisitions ({len(slices)} slices) were not read{_unread(chosen, slices)}."
        return
    for part in others:
        article = "The other" if len(others) == 1 else "Another"
        told = ", ".join(text for text in (counted(len(part.slices), "slice"), _name(part, own)) if text)
        yield f"{article} acquisition ({told}) was not read{_unread(chosen, part.slices)}."


def _name(part: Part, beside: Part) -> str:
    return part.circumstances.beside(beside.circumstances) or part.label


def _other_grid(chosen: Stack, own: Part, part: Part, total: int) -> str:
    return (
        f"{len(part.slices)} of {total} slices of the series were not read, because they have another "
        f"{_differences(own.slices[0], part.slices[0])}{_unread(chosen, part.slices)}."
    )


def _differences(own: Slice, other: Slice) -> str:
    found = []
    if own.frame_of_reference != other.frame_of_reference:
        found.append("frame of reference")
    if float((own.directions * other.directions).sum(axis=1).min()) < SAME_DIRECTION:
        found.append("orientation")
    if not np.allclose(own.spacing, other.spacing, rtol=SAME_SPACING, atol=0.0):
        found.append(f"pixel spacing ({other.spacing[0]:.4g} instead of {own.spacing[0]:.4g} mm)")
    if own.matrix != other.matrix:
        found.append("matrix ({} x {} instead of {} x {})".format(*other.matrix, *own.matrix))
    return " and another ".join(found) or "field of view"


def _unread(chosen: Stack, slices: Sequence[Slice]) -> str:
    """The stretches of the body that these slices cover and the stack does not, as the end of a sentence."""
    if slices[0].frame_of_reference != str(chosen.header.get("FrameOfReferenceUID", "")):
        return "; how they lie to the others is not known"
    said = [
        f"{high - low:.0f} mm towards the {end} (z {min(bounds):.0f} to {max(bounds):.0f} mm)"
        for end, low, high, bounds in _stretches(chosen, slices)
        if high - low > chosen.spacing  # less than a slice is no stretch of a body
    ]
    return f"; of the body {' and '.join(said)} were not read" if said else ""


def _stretches(chosen: Stack, slices: Sequence[Slice]) -> Iterator[tuple[str, float, float, tuple[float, float]]]:
    """End of the body, and from where to where along the normal and in z, for both ends."""
    normal = np.array(chosen.normal)
    if normal[2] < 0:
        normal = -normal
    along = sorted((float(one.position @ normal), float(one.position[2])) for one in slices)
    low, high = _from_feet_to_head(chosen)
    above = [z for place, z in along if place > high]
    below = [z for place, z in along if place < low]
    if above:
        yield "head", high, along[-1][0] + chosen.spacing / 2, (above[0], above[-1])
    if below:
        yield "feet", along[0][0] - chosen.spacing / 2, low, (below[0], below[-1])
