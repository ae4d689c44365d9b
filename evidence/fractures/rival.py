"""The rule of TotalSegmentator's ``totalseg_spine_report``, written anew from its public description and source.

Version 2.18.0 (Apache-2.0), ``totalsegmentator/spine_report``: on a mask of the vertebral bodies at 1.5 mm the
height axis runs from the centre of the vertebra below to that of the one above. In sagittal slices of the
*image*, about every 5 mm over the middle half of the width, a line through the body's centre at right angles
to that axis ends at the mask's border; chords along the axis are taken at 15, 50 and 85 % of it. The slice
whose three chords differ most counts. A ratio of the least to the greatest chord below 0.8 is a fracture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.anatomy import Level

Array = NDArray[np.floating[Any]]

VOXEL_MM = 1.5
PLACES = (0.15, 0.5, 0.85)
THRESHOLD = 0.8
SLICES_MM = 5.0
LEFT_OUT = 0.25
"""Share of the width that is left out on either side."""
ERODED_MM = 3.0
STEP = 0.125
"""Sampling along a chord, in voxels."""


def least_ratios(bodies: NDArray[np.uint8], levels: Mapping[int, Level]) -> dict[Level, tuple[float, float, float]]:
    """The three chords of every body, front to back, mm; their least over their greatest is the rule's figure.

    Args:
        bodies: Map of the vertebral bodies at 1.5 mm, axes left, posterior, superior.
        levels: Level by value in the map; every body counts for its neighbours' axes.
    """
    ordered = sorted(levels, key=lambda number: levels[number].rank)
    masks = {number: bodies == number for number in ordered if (bodies == number).any()}
    ordered = [number for number in ordered if number in masks]
    inner = {number: _eroded(mask) for number, mask in masks.items()}
    centres = {number: np.argwhere(mask).mean(axis=0) for number, mask in inner.items()}
    found = {}
    for place, number in enumerate(ordered):
        above, below = ordered[max(0, place - 1)], ordered[min(len(ordered) - 1, place + 1)]
        up = centres[above] - centres[below] if above != below else np.array([0.0, 0.0, 1.0])
        chords = _most_uneven(masks[number], inner[number], centres[number], up / np.linalg.norm(up))
        if chords is not None:
            found[levels[number]] = chords
    return found


def ratio(chords: tuple[float, float, float]) -> float:
    """The rule's figure; a fracture below ``THRESHOLD``."""
    return min(chords) / max(chords)


def _eroded(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    reach = round(ERODED_MM / VOXEL_MM)
    inner = ndimage.minimum_filter(mask, 2 * reach + 1)
    return inner if inner.any() else mask


def _most_uneven(
    mask: NDArray[np.bool_], inner: NDArray[np.bool_], centre: Array, up: Array
) -> tuple[float, float, float] | None:
    present = np.nonzero(inner.any(axis=(1, 2)))[0]
    first, last = int(present[0]), int(present[-1])
    margin = round(LEFT_OUT * (last - first + 1))
    best: tuple[float, float, float] | None = None
    for x in range(first + margin, last - margin + 1, max(1, round(SLICES_MM / VOXEL_MM))):
        chords = _chords(mask[x], centre[1:], up[1:])
        if chords is not None and (best is None or np.ptp(chords) > np.ptp(best)):
            best = chords
    return best


def _chords(sagittal: NDArray[np.bool_], centre: Array, up: Array) -> tuple[float, float, float] | None:
    tall = up / np.linalg.norm(up)
    # Towards the back, as the first axis runs.
    deep = np.array([tall[1], -tall[0]])
    ends = _ends(sagittal, centre, deep)
    if ends is None:
        return None
    found = []
    for place in PLACES:
        chord = _ends(sagittal, centre + (ends[0] + place * (ends[1] - ends[0])) * deep, tall)
        if chord is None:
            return None
        found.append(VOXEL_MM * (chord[1] - chord[0]))
    return found[0], found[1], found[2]


def _ends(sagittal: NDArray[np.bool_], start: Array, along: Array) -> tuple[float, float] | None:
    """Where a line leaves the mask on both sides of ``start``, in voxels; None where it starts outside."""
    reach = np.arange(0.0, max(sagittal.shape), STEP)
    ends = []
    for sign in (-1.0, 1.0):
        line = start[:, None] + sign * reach * along[:, None]
        inside = ndimage.map_coordinates(sagittal.astype(np.float32), line, order=1) > 0.5
        if not inside[0]:
            return None
        ends.append(sign * reach[int(np.argmin(inside)) - 1])
    return ends[0], ends[1]
