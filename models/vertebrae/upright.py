"""What the fine network is shown of one vertebra: its surroundings, turned so that it stands upright.

In a bent back the upper vertebrae lean forward by thirty degrees and more. A network that has seen upright ones
outlines them worse; the direction of the spine is known by then, so the crop is turned along it, and the answer turned
back. A lean as it is common is left as it is: there the cheaper way along the volume's axes does.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.vertebrae.fine_input import BEHIND_BODY, FINE_CROP, centre_map
from models.vertebrae.network import FINE_SPACING
from models.volume.grid import SLAB, Axis, Floats, Grid, resample
from models.volume.orientation import Oriented
from models.volume.sampling import between

Vector = npt.NDArray[np.floating[Any]]

AIR = -1024.0
DENSEST = 3071.0
COMMON_LEAN = np.radians(15.0)
"""Lean that is left; only what goes beyond it is taken away."""
STEEPEST = np.radians(60.0)
"""A spine that leans more is not believed to: two centres that lie badly would do that."""

ALONG_BODY = np.array([1.0, 0.0, 0.0])
"""The direction of a spine that does not lean."""
DEPTH = 30.0
"""Depth of a body in mm, as far as its lean brings it towards the border."""
NOTHING = 0.02
"""Probability up to which a voxel is left out where the answer is turned back."""


@dataclass(frozen=True)
class FineCrop:
    """One vertebra for the fine network.

    Attributes:
        hu: ``FINE_CROP`` voxels of ``FINE_SPACING``.
        spot: Where its centre lies, the same shape.
        middle: Of the crop, mm along the volume's axes.
        turn: Rotation from the crop's axes to the volume's, None where they are parallel.
    """

    hu: Floats
    spot: Floats
    middle: Vector
    turn: npt.NDArray[np.float64] | None

    @property
    def grid(self) -> Grid:
        """The crop's own grid, where it is not turned."""
        return _grid_around(self.middle)

    def on_volume(self, shares: Floats, native: Grid) -> tuple[Floats, Grid]:
        """The network's answer on a grid along the volume's axes.

        Args:
            shares: ``(channels, z, y, x)`` on the crop.
            native: The volume's grid.

        Returns:
            The answer, and where it lies: the crop's own grid where it is not turned, else the native voxels around all
            that is not ``NOTHING``.
        """
        if self.turn is None:
            return shares, self.grid
        filled = np.argwhere(shares.max(axis=0) > NOTHING)
        if not len(filled):
            return np.zeros_like(shares), self.grid
        first, last = (edge(axis=0) - np.array(_MIDDLE) for edge in (filled.min, filled.max))
        about = self.middle + self.turn @ (0.5 * FINE_SPACING * (first + last))
        reach = np.abs(self.turn) @ (0.5 * FINE_SPACING * (last - first + 2.0))
        windows = [axis.window(m - far, m + far) for axis, m, far in zip(native.axes, about, reach, strict=True)]
        axes = [axis.part(*window) for axis, window in zip(native.axes, windows, strict=True)]
        part = Grid(axes[0], axes[1], axes[2])
        if not all(part.shape):
            return np.zeros_like(shares), self.grid
        result = np.empty((len(shares), *part.shape), np.float32)
        offsets = [axis.positions - m for axis, m in zip(part.axes, self.middle, strict=True)]
        back = torch.from_numpy(self.turn.T).float() / FINE_SPACING
        for low in range(0, part.z.count, SLAB):
            rows = offsets[0][low : low + SLAB]
            inner = back @ _offsets([rows, *offsets[1:]]) + torch.tensor(_MIDDLE)[:, None]
            places = inner.view(3, len(rows), part.y.count, part.x.count)
            for channel, share in enumerate(shares):
                result[channel, low : low + SLAB] = between(torch.from_numpy(share), places, 0.0).numpy()
        return result, part


def fine_crop(oriented: Oriented, centre: Vector, up: Vector) -> FineCrop:
    """Cut out the surroundings of one vertebra.

    Args:
        oriented: The volume.
        centre: Of the vertebra's body, mm along the volume's axes.
        up: Unit vector along the spine towards the head.
    """
    turn = _upright(up)
    behind = np.array([0.0, BEHIND_BODY, 0.0])
    middle = centre + (behind if turn is None else turn @ behind)
    spot = centre_map(FINE_CROP, (_MIDDLE[0], _MIDDLE[1] - BEHIND_BODY / FINE_SPACING, _MIDDLE[2])).numpy()
    if turn is None:
        return FineCrop(_cut(oriented, _grid_around(middle)), spot, middle, None)
    return FineCrop(_turned_cut(oriented, middle, turn), spot, middle, turn)


def is_cut(grid: Grid, centre: Vector, up: Vector, height: float) -> bool:
    """Whether the upper or lower border of the volume comes near enough to cut a body.

    Such a one is better shown as it lies: turned, the air beyond the border would run through it aslant.

    Args:
        grid: The volume's.
        centre: Of the body, mm along the volume's axes.
        up: Unit vector along the spine.
        height: Of the body, mm.
    """
    reach = 0.5 * (height * float(abs(up[0])) + DEPTH * float(np.hypot(up[1], up[2])))
    low, high = grid.z.edges
    return bool(min(centre[0] - low, high - centre[0]) < reach)


_MIDDLE = (0.5 * (FINE_CROP[0] - 1), 0.5 * (FINE_CROP[1] - 1), 0.5 * (FINE_CROP[2] - 1))


def _upright(up: Vector) -> npt.NDArray[np.float64] | None:
    """The smallest rotation of the first axis towards a direction that leaves ``COMMON_LEAN`` between them.

    None where it is none, or the direction too steep to be believed.
    """
    lean = float(np.arccos(np.clip(up[0], -1.0, 1.0)))
    if not COMMON_LEAN < lean < STEEPEST:
        return None
    angle = lean - COMMON_LEAN
    towards = np.array([0.0, up[1], up[2]]) / float(np.hypot(up[1], up[2]))
    cross = np.outer(towards, [1.0, 0.0, 0.0]) - np.outer([1.0, 0.0, 0.0], towards)
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross)


def _grid_around(middle: Vector) -> Grid:
    """The grid of a crop along the volume's axes."""
    starts = middle - np.array(_MIDDLE) * FINE_SPACING
    axes = [Axis(float(start), FINE_SPACING, count) for start, count in zip(starts, FINE_CROP, strict=True)]
    return Grid(axes[0], axes[1], axes[2])


def _offsets(parts: list[npt.NDArray[np.float64]]) -> Tensor:
    """All combinations of offsets along three axes, ``(3, n)``."""
    axes = [torch.from_numpy(part).float() for part in parts]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).view(3, -1)


def _turned_cut(oriented: Oriented, middle: Vector, turn: npt.NDArray[np.float64]) -> Floats:
    """Native voxels on a turned crop: of each of its voxels the mean of eight places, as wide as a voxel is."""
    offsets = _offsets([FINE_SPACING * (np.arange(n, dtype=np.float64) - 0.5 * (n - 1)) for n in FINE_CROP])
    moved = torch.from_numpy(turn).float() @ offsets
    low, high = moved.amin(dim=1).numpy() + middle, moved.amax(dim=1).numpy() + middle
    slices, starts, spacings = [], [], []
    for native, a, b in zip(oriented.grid.axes, low, high, strict=True):
        first, last = native.window(float(a) - 2 * native.spacing, float(b) + 2 * native.spacing)
        if first == last:
            return np.full(FINE_CROP, AIR, np.float32)
        slices.append(slice(first, last))
        starts.append(native.start + first * native.spacing)
        spacings.append(native.spacing)
    part = np.array(oriented.volume.array[tuple(slices)], np.float32)
    np.nan_to_num(part, copy=False, nan=AIR, posinf=DENSEST, neginf=AIR)
    hu = torch.from_numpy(part).clamp_(AIR, DENSEST)
    scale, start = torch.tensor(spacings)[:, None], torch.from_numpy(middle - np.array(starts)).float()[:, None]
    result = torch.zeros(FINE_CROP)
    for corner in product((-0.25, 0.25), repeat=3):
        inside = torch.from_numpy(turn @ np.array(corner)).float()[:, None] * FINE_SPACING
        result += between(hu, ((moved + inside + start) / scale).view(3, *FINE_CROP), AIR) / 8.0
    return np.asarray(result.numpy())


def _cut(oriented: Oriented, grid: Grid) -> Floats:
    """Resample the native voxels around a small grid onto it; beyond the volume there is air."""
    slices, axes = [], []
    for native, own in zip(oriented.grid.axes, grid.axes, strict=True):
        margin = max(native.spacing, own.spacing)
        low, high = native.window(own.positions[0] - margin, own.positions[-1] + margin)
        if low == high:
            return np.full(grid.shape, AIR, np.float32)
        slices.append(slice(low, high))
        axes.append(native.part(low, high))
    source = Grid(axes[0], axes[1], axes[2])
    hu = resample(np.asarray(oriented.volume.array[tuple(slices)]), source, grid)
    _air_beyond(hu, oriented.grid, grid)
    return np.clip(hu, AIR, DENSEST)


def _air_beyond(hu: Floats, native: Grid, grid: Grid) -> None:
    """Write air where a grid leaves the native volume."""
    for axis, (source, own) in enumerate(zip(native.axes, grid.axes, strict=True)):
        positions = own.positions
        low, high = source.edges
        beyond = (positions < low) | (positions > high)
        hu[(slice(None),) * axis + (beyond,)] = AIR
