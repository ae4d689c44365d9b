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
from models.vertebrae.grid import Axis, Floats, Grid, resample_small

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]

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


class Canvas:
    """The masks of one volume while they are painted.

    Args:
        grid: The native grid.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.labels: Bytes = np.zeros(grid.shape, np.uint8)
        self.regions: Bytes = np.zeros(grid.shape, np.uint8)
        # Bytes, not floats: a long scan has half a billion voxels.
        self._best: Bytes = np.zeros(grid.shape, np.uint8)

    def _window(self, grid: Grid) -> tuple[tuple[slice, slice, slice], Grid] | None:
        """The native voxels within a patch."""
        slices, axes = [], []
        for native, own in zip(self.grid.axes, grid.axes, strict=True):
            positions = own.positions
            low, high = native.window(positions[0] - 0.5 * own.spacing, positions[-1] + 0.5 * own.spacing)
            if low >= high:
                return None
            slices.append(slice(low, high))
            axes.append(native.part(low, high))
        return (slices[0], slices[1], slices[2]), Grid(*axes)

    def paint_vertebra(self, number: int, patch: Patch) -> None:
        """Paint one vertebra where it is more probable than those painted before.

        Args:
            number: Its value in the instance map.
            patch: Its probabilities.
        """
        window = self._window(patch.grid)
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

    def paint_surroundings(self, probabilities: Floats, grid: Grid, kinds: tuple[Region, ...]) -> None:
        """Paint what is no vertebra (sacrum, ribs, canal) where nothing is painted yet.

        Args:
            probabilities: One channel for each kind, ``(kinds, z, y, x)``.
            grid: Where they lie.
            kinds: What the channels are.
        """
        window = self._window(grid)
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
        """Whether the body of a vertebra reaches the border of the volume."""
        body = (int(Region.BODY), int(Region.SACRUM))
        for axis in range(3):
            for place in (0, -1):
                face = (slice(None),) * axis + (place,)
                if np.any((self.labels[face] == number) & np.isin(self.regions[face], body)):
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
