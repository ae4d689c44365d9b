"""CT numbers at any point of patient space, from a cropped and prefiltered copy of the volume.

Cubic splines rather than trilinear interpolation: a trilinear sample between two voxels is a mean of
both, which blurs a thin endplate by as much as the scanner does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int_]
Box: TypeAlias = tuple[slice, ...]
Crop: TypeAlias = NDArray[np.generic]

FINEST_MM = 0.45
"""Voxels are averaged until they are at least half this size: finer ones cost time, not accuracy."""


class Sampler:
    """Interpolates one volume inside a box around given points.

    Args:
        volume: Scalar volume, shape ``(k, i, j)``, affine in mm (LPS), any orientation.
        around: Points ``(n, 3)`` in LPS mm whose bounding box, widened by ``margin``, is kept.
        margin: Millimetres kept around that box.
        order: 3 for CT numbers, 1 for masks.
        of: What to interpolate in a part of the volume's grid, the volume's own array where not given: a mask
            of one label is made for the box alone, and not for the whole body.
    """

    def __init__(
        self, volume: hd.Volume, around: Array, margin: float, order: int = 3, of: Callable[[Box], Crop] | None = None
    ) -> None:
        inverse = np.linalg.inv(volume.affine)
        spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)
        index = around @ inverse[:3, :3].T + inverse[:3, 3]
        pad = np.ceil(margin / spacing)
        low = np.maximum(np.floor(index.min(axis=0) - pad), 0).astype(int)
        high = np.minimum(np.ceil(index.max(axis=0) + pad) + 1, volume.spatial_shape).astype(int)
        high = np.maximum(high, low + 1)
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        data = np.asarray(volume.array[box] if of is None else of(box), dtype=np.float32)
        pool = np.minimum(_pool(spacing), data.shape)
        data = _mean_pool(data, pool)
        self._matrix = inverse[:3, :3] / pool[:, None]
        self._offset = (inverse[:3, 3] - low - (pool - 1) / 2) / pool
        self._shape = np.array(data.shape)
        self._order = order
        self._data = ndimage.spline_filter(data, order, output=np.float32) if order > 1 else data

    def at(self, points: Array) -> Array:
        """Values at ``points`` ``(..., 3)`` (LPS mm); NaN outside of the volume."""
        # One row for each axis: what follows runs along them.
        index = np.ascontiguousarray((points.reshape(-1, 3) @ self._matrix.T).T) + self._offset[:, None]
        values = ndimage.map_coordinates(self._data, index, order=self._order, mode="nearest", prefilter=False)
        values = values.astype(np.float64)
        last = self._shape - 0.5
        if not ((index.min(axis=1, initial=0.0) >= -0.5) & (index.max(axis=1, initial=0.0) <= last)).all():
            values[((index < -0.5) | (index > last[:, None])).any(axis=0)] = np.nan
        return np.asarray(values.reshape(points.shape[:-1]))


def sampled_spacing(volume: hd.Volume) -> Array:
    """Voxel spacing along the volume's axes after the averaging of fine voxels, mm."""
    spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)
    return np.asarray(spacing * _pool(spacing))


def _pool(spacing: Array) -> Indices:
    """How many voxels are averaged along each axis."""
    return np.where(spacing < FINEST_MM, np.floor(2 * FINEST_MM / spacing), 1).astype(int)


def _mean_pool(data: NDArray[np.float32], pool: NDArray[np.int_]) -> NDArray[np.float32]:
    """Mean of blocks of ``pool`` voxels; a rest at the far border is dropped."""
    if (pool == 1).all():
        return data
    kept = tuple(slice(0, int(n // p * p)) for n, p in zip(data.shape, pool, strict=True))
    blocks = [size for n, p in zip(data.shape, pool, strict=True) for size in (n // p, p)]
    return np.asarray(data[kept].reshape(blocks).mean(axis=(1, 3, 5)), dtype=np.float32)


def spacing_along(volume: hd.Volume, direction: Array) -> float:
    """Distance between samples of the volume along a unit vector ``direction``, mm."""
    unit = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)
    share = (np.linalg.solve(unit, direction)) ** 2
    return float(np.sqrt((share * spacing**2).sum()))
