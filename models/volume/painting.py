"""Masks on the scanner's own grid, from probabilities on the networks' grids.

Probabilities are interpolated linearly and compared on the native grid, so that borders are smooth
and neighbouring vertebrae never overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.anatomy import Region
from models.volume.grid import Axis, Floats, Grid, resample_small

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]

BORDER_MM = 1.5
"""Depth in which the border is looked for, mm: one slice of a usual thin scan."""
RAGGED_MM2 = 10.0
"""Area in mm² on a face of the volume up to which a body is not cut by it: a voxel or two that stand out of a mask."""
SURE = 0.5
"""Probability from which a voxel belongs to a structure."""


@dataclass(frozen=True)
class Patch:
    """Probabilities of one vertebra.

    Attributes:
        probabilities: Body, posterior elements, adjoining discs: ``(3, z, y, x)``.
        grid: Where they lie.
        body_region: What its body is called: body, or sacrum for the first sacral vertebra.
    """

    probabilities: Floats
    grid: Grid
    body_region: Region = Region.BODY


def _window(native: Grid, own: Grid) -> tuple[tuple[slice, slice, slice], Grid] | None:
    """The voxels of a grid that lie within another one, if there are any."""
    slices, axes = [], []
    for outer, inner in zip(native.axes, own.axes, strict=True):
        low, high = outer.window(*inner.edges)
        if low >= high:
            return None
        slices.append(slice(low, high))
        axes.append(outer.part(low, high))
    return (slices[0], slices[1], slices[2]), Grid(axes[0], axes[1], axes[2])


class Canvas:
    """The masks of one volume while they are painted.

    Args:
        native: The native grid.
        surroundings: A grid around all that will be painted; what lies beyond it is not held in
            memory, since a long scan has half a billion voxels.
    """

    def __init__(self, native: Grid, surroundings: Grid) -> None:
        nowhere = slice(0, 0), slice(0, 0), slice(0, 0)
        nothing = Grid(native.z.part(0, 0), native.y.part(0, 0), native.x.part(0, 0))
        self._native = native
        box, part = _window(native, surroundings) or (nowhere, nothing)
        self._box = box
        self.grid = part
        self.labels: Bytes = np.zeros(self.grid.shape, np.uint8)
        self.regions: Bytes = np.zeros(self.grid.shape, np.uint8)
        self._best: Bytes = np.zeros(self.grid.shape, np.uint8)

    def whole(self, painted: Bytes) -> Bytes:
        """What was painted, on the native grid."""
        result: Bytes = np.zeros(self._native.shape, np.uint8)
        result[self._box] = painted
        return result

    def paint_vertebra(self, number: int, patch: Patch) -> None:
        """Paint one vertebra where it is more probable than those painted before.

        Args:
            number: Its value in the instance map.
            patch: Its probabilities.
        """
        window = _window(self.grid, patch.grid)
        if window is None:
            return
        box, part = window
        body, posterior, disc = resample_small(patch.probabilities, patch.grid, part)
        score = np.minimum(np.round((body + posterior) * 255.0), 255).astype(np.uint8)
        won = (body + posterior > SURE) & (score > self._best[box])
        self._best[box][won] = score[won]
        self.labels[box][won] = number
        kind = np.where(body >= posterior, patch.body_region, Region.POSTERIOR_ELEMENTS).astype(np.uint8)
        self.regions[box][won] = kind[won]
        between = (disc > SURE) & (self.regions[box] == Region.BACKGROUND)
        self.regions[box][between] = Region.DISC

    def paint_surroundings(self, kinds: tuple[Region, ...], probabilities: Floats, grid: Grid) -> None:
        """Paint what is no vertebra (sacrum, ribs, canal) where nothing is painted yet.

        Args:
            kinds: What the channels are.
            probabilities: One channel for each kind, ``(kinds, z, y, x)``.
            grid: Where they lie.
        """
        window = _window(self.grid, grid)
        if window is None:
            return
        (rows, columns, depth), part = window
        for low in range(rows.start, rows.stop, 32):
            high = min(low + 32, rows.stop)
            slab = Grid(self.grid.z.part(low, high), part.y, part.x)
            values = resample_small(probabilities, grid, slab)
            box = (slice(low, high), columns, depth)
            free = self.regions[box] == Region.BACKGROUND
            for channel, kind in enumerate(kinds):
                self.regions[box][free & (values[channel] > SURE)] = kind

    def touches_border(self, number: int) -> bool:
        """Whether the border of the volume cuts the body of a vertebra, by more than the mask's ragged edge.

        Looked at as deep as one slice of usual thickness, however thin the slices are: the mask of a cut body ends
        at no certain slice.
        """
        body = (int(Region.BODY), int(Region.SACRUM))
        for axis, (span, native) in enumerate(zip(self._box, self._native.axes, strict=True)):
            deep = range(max(1, round(BORDER_MM / native.spacing)))
            ends = [place for place in deep if span.start == 0]
            ends += [-1 - place for place in deep if span.stop == native.count]
            for place in ends:
                face = (slice(None),) * axis + (place,)
                cut = (self.labels[face] == number) & np.isin(self.regions[face], body)
                edges = [own.spacing for other, own in enumerate(self.grid.axes) if other != axis]
                if np.count_nonzero(cut) * edges[0] * edges[1] > RAGGED_MM2:
                    return True
        return False


def coarse_patch(
    probabilities: Floats, centre: npt.NDArray[np.floating[Any]], grid: Grid, body_region: Region
) -> Patch:
    """Cut the surroundings of one vertebra out of coarse probabilities.

    Args:
        probabilities: Of this vertebra over the whole coarse grid, ``(3, z, y, x)``.
        centre: Of its body in coarse voxels.
        grid: The coarse grid.
        body_region: What its body is called.
    """
    boxes: list[slice] = []
    axes: list[Axis] = []
    for axis, reach, middle in zip(grid.axes, (48.0, 72.0, 66.0), centre, strict=True):
        span = round(reach / axis.spacing)
        low = max(0, int(middle) - span)
        high = min(axis.count, int(middle) + span + 1)
        boxes.append(slice(low, high))
        axes.append(axis.part(low, high))
    cut = np.ascontiguousarray(probabilities[(slice(None), *boxes)], dtype=np.float32)
    return Patch(cut, Grid(axes[0], axes[1], axes[2]), body_region)
