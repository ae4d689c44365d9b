"""Filling of the middle of a vertebral body: spongiosa, cement, or something that neighbours do not have."""

from __future__ import annotations

from dataclasses import dataclass

import highdicom as hd
import numpy as np

from operators.body.endplates import BodySurfaces
from operators.body.resampling import Sampler

REACH = (0.36, 0.36, 0.34)
"""Half extents of the middle, as shares of width, depth and height: clear of cortex and endplates."""
STEP_MM = 1.5
CEMENT_HU = 1000.0
"""CT number above which the inside of a body is cement: compact bone, of about 900 HU, is not found there."""
CEMENT_CM3 = 0.3
"""Least volume that is called cement. A working value: a vertebroplasty fills 2 cm3 and more."""


@dataclass(frozen=True)
class Core:
    """CT numbers of the middle of one body.

    Attributes:
        mean, deviation: HU.
        low, high: 10th and 90th percentile, HU.
        cement: Volume above ``CEMENT_HU``, cm3.
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


def body_core(volume: hd.Volume, surfaces: BodySurfaces) -> Core | None:
    """Sample the middle of one body; None where it lies outside of the volume.

    Args:
        volume: HU, shape ``(k, i, j)``, affine in mm (LPS).
        surfaces: Of the body.
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
    cement = float(np.count_nonzero(values > CEMENT_HU)) * STEP_MM**3 / 1000
    return Core(float(values.mean()), float(values.std()), float(low), float(high), cement)
