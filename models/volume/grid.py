"""Grids: from the scanner's to the network's and back, one axis at a time.

A volume that is turned so that its axes run towards the head, the back and the left differs from the
network's grid by a spacing and a shift for each axis only, so every resampling is three small matrix
products: exact, deterministic, and bounded in memory because it goes slab by slab.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

SLAB = 48
"""Native slices that are held in float32 at once."""


@dataclass(frozen=True)
class Axis:
    """Voxel centres along one axis: ``start + index · spacing`` in mm.

    Attributes:
        start: Position of the first centre in mm.
        spacing: Distance of neighbouring centres in mm.
        count: How many there are.
    """

    start: float
    spacing: float
    count: int

    @property
    def positions(self) -> npt.NDArray[np.float64]:
        """All centres in mm."""
        return np.asarray(self.start + self.spacing * np.arange(self.count), dtype=np.float64)

    @property
    def edges(self) -> tuple[float, float]:
        """Where the first voxel begins and the last one ends, mm."""
        first = self.start - 0.5 * self.spacing
        return first, first + self.count * self.spacing

    def covered(self, spacing: float, multiple: int, smallest: int) -> Axis:
        """The axis of another spacing that covers this one, its count rounded up to a multiple."""
        extent = self.count * self.spacing
        count = max(smallest, int(np.ceil(extent / spacing / multiple)) * multiple)
        return Axis(self.edges[0] + 0.5 * spacing, spacing, count)

    def part(self, low: int, high: int) -> Axis:
        """The centres from ``low`` up to ``high``, without ``high``."""
        return Axis(self.start + low * self.spacing, self.spacing, high - low)

    def window(self, low: float, high: float) -> tuple[int, int]:
        """First index and end index of the centres between two positions in mm."""
        first = int(np.clip(np.ceil((low - self.start) / self.spacing), 0, self.count))
        last = int(np.clip(np.floor((high - self.start) / self.spacing) + 1, first, self.count))
        return first, last


@dataclass(frozen=True)
class Grid:
    """Three axes ``(z, y, x)``."""

    z: Axis
    y: Axis
    x: Axis

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        return self.z.count, self.y.count, self.x.count

    @property
    def axes(self) -> tuple[Axis, Axis, Axis]:
        """The axes in order."""
        return self.z, self.y, self.x


def weights(source: Axis, target: Axis, averaging: bool = True) -> Floats:
    """Matrix ``(target, source)`` that resamples one axis.

    A coarser target takes the mean over each of its voxels, a finer one (and any without
    ``averaging``) interpolates linearly; beyond the source the border is repeated.
    """
    distance = np.abs(target.positions[:, None] - source.positions[None, :])
    if averaging and target.spacing > source.spacing:
        reach = 0.5 * (target.spacing + source.spacing)
        matrix = np.clip(reach - distance, 0.0, source.spacing)
    else:
        matrix = np.clip(1.0 - distance / source.spacing, 0.0, None)
    empty = matrix.sum(axis=1) <= 1e-9
    matrix[empty, distance[empty].argmin(axis=1)] = 1.0
    return np.asarray(matrix / matrix.sum(axis=1, keepdims=True), dtype=np.float32)


def resample(data: Array, source: Grid, target: Grid, averaging: bool = True) -> Floats:
    """Resample an array ``(z, y, x)`` of any number type from one grid to another.

    Values that are not finite count as air. Memory beyond the result is that of one slab. Without
    ``averaging`` a coarser grid takes what lies at its voxels' centres.
    """
    by_z, by_y, by_x = _matrices(source, target, averaging)
    result = torch.zeros(target.shape)
    for low in range(0, source.z.count, SLAB):
        part = by_z[:, low : low + SLAB]
        touched = np.flatnonzero(part.any(dim=1).numpy())
        if not touched.size:
            continue
        # A copy: numpy calls a turned slab of one slice contiguous, and torch refuses its negative stride.
        slab = np.array(data[low : low + SLAB], dtype=np.float32, order="C")
        if not np.isfinite(slab).all():
            slab = np.nan_to_num(slab, nan=-1024.0, posinf=3071.0, neginf=-1024.0)
        plane = torch.matmul(torch.matmul(by_y, torch.from_numpy(slab)), by_x.T)
        rows = slice(int(touched[0]), int(touched[-1]) + 1)
        result[rows] += torch.tensordot(part[rows], plane, dims=1)
    return np.asarray(result.numpy())


def resample_small(data: Floats, source: Grid, target: Grid) -> Floats:
    """Resample an array ``(channels, z, y, x)`` that fits in memory on both grids."""
    by_z, by_y, by_x = _matrices(source, target)
    # Along z first: where only a slab is asked for, the other two products are as small as the slab.
    channels, height = data.shape[0], target.z.count
    flat = torch.from_numpy(np.ascontiguousarray(data)).reshape(channels, source.z.count, -1)
    planes = torch.matmul(by_z, flat).reshape(channels, height, source.y.count, source.x.count)
    return np.asarray(torch.matmul(torch.matmul(by_y, planes), by_x.T).numpy())


def _matrices(source: Grid, target: Grid, averaging: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    pairs = zip(source.axes, target.axes, strict=True)
    by_z, by_y, by_x = (torch.from_numpy(weights(one, other, averaging)) for one, other in pairs)
    return by_z, by_y, by_x
