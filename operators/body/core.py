"""Filling of the middle of a vertebral body: spongiosa, cement, or something that neighbours do not have."""

from __future__ import annotations

from dataclasses import dataclass

import highdicom as hd
import numpy as np

from operators.body.endplates import BodySurfaces
from operators.body.frame import Body
from operators.body.resampling import Sampler

REACH = (0.36, 0.36, 0.34)
"""Half extents of the middle, as shares of width, depth and height: clear of cortex and endplates."""
STEP_MM = 1.5
CORTEX_MM = 3.0
"""Least distance from the border of the body's mask to what counts as its inside (docs/science.md §2.4)."""
CEMENT_HU = 1450.0
"""Denser than cortical bone (1200 ± 250 HU, docs/science.md §2.7 d [C]) inside of a body is no bone."""
CEMENT_CM3 = 0.3
"""Less of it than this is not called cement, for it may be an island or a spur of bone; a vertebroplasty fills 2 cm3
and more (a working value)."""


@dataclass(frozen=True)
class Core:
    """CT numbers of the middle of one body.

    Attributes:
        mean, deviation: HU.
        low, high: 10th and 90th percentile, HU.
        cement: As of :func:`cement_volume`, cm3.
    """

    mean: float
    deviation: float
    low: float
    high: float
    cement: float

    @property
    def is_cemented(self) -> bool:
        """True for a body after vertebroplasty or kyphoplasty."""
        return self.cement >= CEMENT_CM3


def body_core(volume: hd.Volume, surfaces: BodySurfaces, body: Body) -> Core | None:
    """Sample the middle of one body; None where it lies outside of the volume.

    Args:
        volume: HU, shape ``(k, i, j)``, affine in mm (LPS).
        surfaces: Of the body.
        body: Its mask.
    """
    width, depth, height = surfaces.frame.size
    axes = [
        np.arange(-share * extent, share * extent + 0.01, STEP_MM)
        for share, extent in zip(REACH, (width, depth, height), strict=True)
    ]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    points = surfaces.frame.to_patient(grid.reshape(-1, 3))
    values = Sampler(volume, points, margin=4.0, order=1).at(points)
    values = values[np.isfinite(values)]
    if values.size < 30:
        return None
    low, high = np.percentile(values, [10, 90])
    spread = float(values.std())
    return Core(float(values.mean()), spread, float(low), float(high), cement_volume(volume, body))


def cement_volume(volume: hd.Volume, body: Body) -> float:
    """Volume inside a body, ``CORTEX_MM`` from its border, that is denser than cortical bone, cm3."""
    spacing = np.linalg.norm(body.mask.body.affine[:3, :3], axis=0)
    inside = np.argwhere(body.mask.depth > CORTEX_MM) - 1
    if not len(inside):
        return 0.0
    points = inside @ body.mask.body.affine[:3, :3].T + body.mask.body.affine[:3, 3]
    inverse = np.linalg.inv(volume.affine)
    index = np.rint(points @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
    index = np.clip(index, 0, np.array(volume.spatial_shape) - 1)
    return float(np.count_nonzero(volume.array[tuple(index.T)] > CEMENT_HU) * spacing.prod() / 1000)
