"""Space between two vertebral bodies: the height of the disc, and whether bone bridges it."""

from __future__ import annotations

from dataclasses import dataclass

import highdicom as hd
import numpy as np

from operators.body.endplates import BodySurfaces
from operators.body.resampling import Array, Sampler, spacing_along

PLACES = (0.3, 0.5, 0.7)
"""Places at which the height of the disc is taken, as shares of the depth from the front."""
BONE_HU = 200.0
"""CT number above which a disc space is bone: discs have 50–110 HU, and enhanced ones hardly more."""
BRIDGE_HU = 250.0
"""CT number that bone in front of a disc keeps from plate to plate."""
LEAST_GAP = 2.2
"""Lowest disc, in voxels along the spine, in which bone can be told from the blur of its two plates."""


BRIDGE_GAP = 3.5
"""Lowest disc in front, in voxels, where the corners are brighter than the plates and a bridge
runs no farther than they do."""


@dataclass(frozen=True)
class DiscSpace:
    """The space between two bodies.

    Attributes:
        height: Median distance of the plates, mm; NaN where they were not seen.
        is_bone: True where the disc itself is bone.
        is_bridged: True where bone runs from body to body in front of the disc.
    """

    height: float
    is_bone: bool
    is_bridged: bool


def disc_space(volume: hd.Volume, upper: BodySurfaces, lower: BodySurfaces) -> DiscSpace:
    """Measure the space below one body and above the next.

    Args:
        volume: HU, shape ``(k, i, j)``, affine in mm (LPS).
        upper: Surfaces of the body above.
        lower: Surfaces of the body below.
    """
    ceiling = _plate_points(upper, upper.inferior, PLACES)
    floor = _plate_points(lower, lower.superior, PLACES)
    gaps = (ceiling - floor) @ upper.frame.axes[2]
    height = float(np.nanmedian(gaps)) if np.isfinite(gaps).any() else float("nan")
    if not np.isfinite(height) or height < LEAST_GAP * spacing_along(volume, upper.frame.axes[2]):
        return DiscSpace(height, is_bone=False, is_bridged=False)
    corners = np.concatenate([ceiling, floor])
    image = Sampler(volume, corners[np.isfinite(corners).all(axis=1)], margin=25.0, order=1)
    least = BRIDGE_GAP * spacing_along(volume, upper.frame.axes[2])
    return DiscSpace(height, _is_bone(image, upper, lower), _is_bridged(image, upper, lower, least))


def _is_bone(image: Sampler, upper: BodySurfaces, lower: BodySurfaces) -> bool:
    shares = tuple(np.linspace(0.25, 0.75, 9))
    ceiling = _plate_points(upper, upper.inferior, shares)
    floor = _plate_points(lower, lower.superior, shares)
    across = np.arange(-8.0, 8.1, 2.0)[:, None, None, None] * upper.frame.axes[0]
    way = np.array([0.4, 0.5, 0.6])[:, None, None]
    inside = image.at(across + floor + way * (ceiling - floor))
    return bool(np.isfinite(inside).any() and np.nanmedian(inside) > BONE_HU)


def _is_bridged(image: Sampler, upper: BodySurfaces, lower: BodySurfaces, least: float) -> bool:
    """True where in front of the disc, ``least`` mm high, in two neighbouring sagittal planes, no gap is left."""
    top = _plate_points(upper, upper.inferior, (0.1,), upper.anterior_rim)[0]
    bottom = _plate_points(lower, lower.superior, (0.1,), lower.anterior_rim)[0]
    if not np.isfinite(top + bottom).all() or (top - bottom) @ upper.frame.axes[2] < least:
        return False
    way = np.linspace(0.0, 1.0, 11)[:, None, None, None]
    forward = np.arange(0.0, 6.1, 1.0)[None, None, :, None] * -upper.frame.axes[1]
    across = np.arange(-12.0, 12.1, 3.0)[None, :, None, None] * upper.frame.axes[0]
    brightest = np.nan_to_num(image.at(bottom + way * (top - bottom) + across + forward), nan=-1000.0).max(axis=2)
    whole = brightest.min(axis=0) > BRIDGE_HU
    return bool((whole[1:] & whole[:-1]).any())


def _plate_points(surfaces: BodySurfaces, plate: Array, shares: tuple[float, ...], place: float | None = None) -> Array:
    """Points of a plate near the midline, LPS, shape ``(n, 3)``; ``place`` moves them front to back."""
    depth = surfaces.posterior_rim - surfaces.anterior_rim
    near = np.abs(surfaces.planes) <= 2.0
    points = []
    for share in shares:
        column = surfaces.anterior_rim + share * depth
        use = np.abs(surfaces.columns - column) <= 1.5
        values = plate[near][:, use]
        height = float(np.nanmedian(values)) if np.isfinite(values).any() else float("nan")
        points.append([0.0, column if place is None else place, height])
    return surfaces.frame.to_patient(np.array(points))
