"""Search for masks that hold two vertebrae, or half of one, by comparing every body with its neighbours.

A body twice as high as its neighbours is no tall vertebra, and two bodies that touch and together are as high
as one are no two fractures: fractured neighbours keep a disc between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from scipy.spatial import cKDTree

from operators.body.frame import Body
from operators.body.resampling import Array
from operators.reading.quantity import Withheld
from operators.reading.reasons import Reason

MERGED_RATIO = 1.6
"""Height over that of the other bodies from which a mask holds two: two thoracic bodies and their disc are
more than twice as high as one, and no fracture makes a body higher."""
SPLIT_RATIO = 1.4
"""Height of two touching bodies together, over that of one, up to which they are one that was split."""
TOUCHING_SHARE = 0.3
"""Share of a body's cross-section that must touch the other mask."""
COLLAPSED_RATIO = 0.6
"""Height of a mask over its neighbours' from which a severe fracture (40 % and more) is possible."""
MOST_POINTS = 20000


def instance_faults(bodies: Mapping[int, Body], order: Sequence[int]) -> dict[int, Withheld]:
    """Bodies whose masks are not one whole vertebra, with the reason.

    Args:
        bodies: By number of the vertebra.
        order: Numbers from head to feet.
    """
    present = [number for number in order if number in bodies]
    heights = {number: bodies[number].frame.size[2] for number in present}
    faults = {}
    for number in present:
        usual = _usual(heights, present, (number,))
        if usual is not None and heights[number] > MERGED_RATIO * usual:
            reason = (
                f"The mask of this vertebral body is {heights[number]:.0f} mm high and its neighbours' are "
                f"{usual:.0f} mm: it seems to hold two vertebrae."
            )
            faults[number] = Withheld(code=Reason.MERGED_LEVELS, reason=reason)
    for upper, lower in pairwise(present):
        usual = _usual(heights, present, (upper, lower))
        if usual is None or {upper, lower} & set(faults):
            continue
        together = _height_together(bodies[upper], bodies[lower])
        if together <= SPLIT_RATIO * usual and _touching(bodies[upper], bodies[lower]):
            reason = (
                f"Two masks touch and are together {together:.0f} mm high, as one vertebra is here: "
                "one vertebra seems to be split in two, and the levels may be off by one."
            )
            faults[upper] = faults[lower] = Withheld(code=Reason.SPLIT_VERTEBRA, reason=reason)
    return faults


def possible_collapse(bodies: Mapping[int, Body], order: Sequence[int], number: int) -> Withheld | None:
    """Reason to look at a body whose plates were not seen: its mask is much lower than its neighbours'.

    Args:
        bodies: By number of the vertebra.
        order: Numbers from head to feet.
        number: Of the vertebra.
    """
    present = [key for key in order if key in bodies]
    heights = {key: bodies[key].frame.size[2] for key in present}
    usual = _usual(heights, present, (number,)) if number in heights else None
    if usual is None or heights[number] > COLLAPSED_RATIO * usual:
        return None
    reason = (
        f"Its endplates cannot be measured, and its mask is {heights[number]:.0f} mm high where its neighbours' are "
        f"{usual:.0f} mm: a severe vertebral fracture is possible."
    )
    return Withheld(code=Reason.POSSIBLE_COLLAPSE, reason=reason)


def _usual(heights: Mapping[int, float], order: Sequence[int], left_out: Sequence[int]) -> float | None:
    """Median height of the four nearest other bodies; None with fewer than two."""
    place = order.index(left_out[0])
    others = sorted(
        (number for number in order if number not in left_out), key=lambda number: abs(order.index(number) - place)
    )
    return float(np.median([heights[number] for number in others[:4]])) if len(others) >= 2 else None


def _height_together(upper: Body, lower: Body) -> float:
    axis = upper.frame.axes[2] + lower.frame.axes[2]
    axis = axis / np.linalg.norm(axis)
    along = np.concatenate([upper.mask.points, lower.mask.points]) @ axis
    low, high = np.percentile(along, [1, 99])
    return float(high - low)


def _touching(upper: Body, lower: Body) -> bool:
    """True where much of one body lies within about a voxel of the other one."""
    above, below = _thinned(upper.mask.points), _thinned(lower.mask.points)
    step = 1.5 * _spacing(upper)
    near, _ = cKDTree(below).query(above, distance_upper_bound=step)
    share = float(np.isfinite(near).mean())
    # A layer one step thick over the whole cross-section would be this share of the body.
    layer = step / max(upper.frame.size[2], step)
    return share > TOUCHING_SHARE * layer


def _thinned(points: Array) -> Array:
    """Every n-th point of a dense mask, in the order of the slices; distances stay those of the voxels."""
    return points if len(points) <= MOST_POINTS else points[:: len(points) // MOST_POINTS + 1]


def _spacing(body: Body) -> float:
    """Largest edge of a voxel of the mask, mm, widened where the points were thinned."""
    edges = np.linalg.norm(body.mask.body.affine[:3, :3], axis=0)
    return float(max(edges.max(), edges.min() * (len(body.mask.points) // MOST_POINTS + 1)))
