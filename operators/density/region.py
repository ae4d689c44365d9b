"""Where density is measured: an elliptic cylinder in a vertebral body, clear of everything that is not spongiosa.

In the lumbar spine its proportions are those of Comp2Comp (docs/science.md §2.4 [C]), so that values compare. A
thoracic body is smaller while cortex, endplates and their blur are not: there the ellipse and the height
take a larger share, within the same millimetres of clearance, as a manual region does ("the largest
possible oval", docs/science.md §2.4), or most levels would fall short of the least volume.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import interpolate, ndimage

from operators.body.core import CORTEX_MM
from operators.body.endplates import BodySurfaces
from operators.body.frame import Body, BodyFrame
from operators.body.resampling import Array, spacing_along
from operators.reading.quantity import Point, Withheld
from operators.reading.reasons import Reason


@dataclass(frozen=True)
class Proportions:
    """Share of a body that a region may take before its clearances.

    Attributes:
        width, depth: Diameters of the ellipse, as shares of the body's.
        height: Middle part of the height.
        least_cm3: Smallest region that is believed (docs/science.md §2.4).
    """

    width: float
    depth: float
    height: float
    least_cm3: float


CENTRE_FROM_POSTERIOR = 0.58
"""Centre of the ellipse from the posterior wall, as a share of the depth (Comp2Comp; docs/science.md §2.4 [C])."""
PROPORTIONS = MappingProxyType(
    {
        "L": Proportions(width=0.65, depth=0.50, height=0.60, least_cm3=2.0),
        "T": Proportions(width=0.75, depth=0.60, height=0.70, least_cm3=1.0),
    }
)
"""By region: L as Comp2Comp, T within the 50–70 % of height of docs/science.md §2.4."""
ENDPLATE_MM = 4.0
"""Least distance from endplates, or one slice, if more (docs/science.md §2.4)."""
VEIN_SHARES = (0.133, 0.107)
VEIN_LEAST_MM = (4.0, 2.5)
"""Half width and half height of the zone of the basivertebral vein behind the body's middle, as shares of the
body's width and height: 6 by 3 mm at L3."""
LEAST_SLICES = 3
"""Fewer slices are no region (docs/science.md §2.4)."""


@dataclass(frozen=True)
class Region:
    """A measuring region: its voxels in the volume and its outline.

    Attributes:
        voxels: Indices ``(n, 3)`` into the volume's array.
        local: The same voxels in the vertebra's frame (left, posterior, superior), mm, shape ``(n, 3)``.
        values: HU of these voxels.
        volume: cm3.
        grain: Distance of voxels across the vertebra's superior axis, mm.
        outline: Closed outline in the vertebra's mid-sagittal plane, LPS mm.
        surfaces: Of the body.
    """

    voxels: NDArray[np.int_]
    local: Array
    values: Array
    volume: float
    grain: float
    outline: tuple[Point, ...]
    surfaces: BodySurfaces


def density_region(
    volume: hd.Volume, body: Body, surfaces: BodySurfaces, proportions: Proportions = PROPORTIONS["L"]
) -> Region | Withheld:
    """The measuring region of one vertebral body.

    Args:
        volume: HU, shape ``(k, i, j)``, affine in mm (LPS).
        body: Mask and frame.
        surfaces: Of the body.
        proportions: Share of the body that it may take.

    Returns:
        The region, or why it cannot be placed.
    """
    cylinder = _cylinder(surfaces, proportions)
    index, spacing = _candidates(volume, cylinder)
    points = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    inside = cylinder.contains(points) & _deep_inside(body, points, spacing)
    voxels = index[inside]
    slices = len(np.unique(voxels[:, int(np.argmax(np.abs(cylinder.frame.axes[2] @ volume.affine[:3, :3])))]))
    amount = float(len(voxels) * np.abs(np.linalg.det(volume.affine[:3, :3])) / 1000)
    if slices < LEAST_SLICES:
        return Withheld(
            code=Reason.SMALL_REGION,
            reason=f"The trabecular region is seen on {slices} slices only; {LEAST_SLICES} are needed.",
        )
    if amount < proportions.least_cm3:
        return Withheld(
            code=Reason.SMALL_REGION,
            reason=f"The trabecular region has {amount:.1f} cm3 only; {proportions.least_cm3:.0f} cm3 are needed.",
        )
    values = volume.array[tuple(voxels.T)].astype(np.float64)
    return Region(
        voxels=voxels,
        local=cylinder.frame.to_local(points[inside]),
        values=values,
        volume=amount,
        grain=max(spacing_along(volume, axis) for axis in cylinder.frame.axes[:2]),
        outline=cylinder.outline(),
        surfaces=surfaces,
    )


@dataclass(frozen=True)
class _Cylinder:
    """The elliptic cylinder between two endplates, in the vertebra's frame."""

    frame: BodyFrame
    centre: tuple[float, float]
    half: tuple[float, float]
    middle: float
    vein: tuple[float, float]
    top: interpolate.RegularGridInterpolator
    bottom: interpolate.RegularGridInterpolator
    lateral: float

    def contains(self, points: Array) -> NDArray[np.bool_]:
        """Whether points ``(n, 3)`` in LPS mm lie inside and outside of the vein's zone."""
        x, y, z = self.frame.to_local(points).T
        ellipse = ((x - self.centre[0]) / self.half[0]) ** 2 + ((y - self.centre[1]) / self.half[1]) ** 2 <= 1
        ends = np.stack([np.clip(x, -self.lateral, self.lateral), y], axis=1)
        high, low = self.top(ends), self.bottom(ends)
        between = (z <= high) & (z >= low)
        vein = (
            (np.abs(x - self.centre[0]) < self.vein[0])
            & (np.abs(z - (high + low) / 2) < self.vein[1])
            & (y > self.middle)
        )
        return np.asarray(ellipse & between & ~vein)

    def outline(self) -> tuple[Point, ...]:
        """Closed outline in the mid-sagittal plane."""
        depth = np.linspace(self.centre[1] - self.half[1], self.centre[1] + self.half[1], 9)
        ends = np.stack([np.zeros_like(depth), depth], axis=1)
        upper = [self.frame.point(0.0, float(y), float(z)) for y, z in zip(depth, self.top(ends), strict=True)]
        lower = [self.frame.point(0.0, float(y), float(z)) for y, z in zip(depth, self.bottom(ends), strict=True)]
        return tuple(upper + lower[::-1])


def _cylinder(surfaces: BodySurfaces, proportions: Proportions) -> _Cylinder:
    frame = surfaces.frame
    front, back = surfaces.anterior, surfaces.posterior
    depth, width = back - front, surfaces.left - surfaces.right
    top = _whole(surfaces.superior, frame.size[2] / 2)
    bottom = _whole(surfaces.inferior, -frame.size[2] / 2)
    height = top - bottom
    margin = np.maximum((1 - proportions.height) / 2 * height, max(ENDPLATE_MM, surfaces.sampling))
    grid = (surfaces.planes, surfaces.columns)
    options = {"bounds_error": False, "fill_value": None}
    extent = (width, frame.size[2])
    half_width, half_height = (
        max(least, share * size) for least, share, size in zip(VEIN_LEAST_MM, VEIN_SHARES, extent, strict=True)
    )
    return _Cylinder(
        frame=frame,
        centre=((surfaces.left + surfaces.right) / 2, back - CENTRE_FROM_POSTERIOR * depth),
        half=(proportions.width * width / 2, proportions.depth * depth / 2),
        middle=(front + back) / 2,
        vein=(half_width, half_height),
        top=interpolate.RegularGridInterpolator(grid, top - margin, **options),
        bottom=interpolate.RegularGridInterpolator(grid, bottom + margin, **options),
        lateral=float(surfaces.planes[-1]),
    )


def _whole(plate: Array, fallback: float) -> Array:
    """An endplate without holes: the nearest seen column, or the mask's extent if none was seen."""
    seen = np.isfinite(plate)
    if not seen.any():
        return np.full(plate.shape, fallback)
    nearest = ndimage.distance_transform_edt(~seen, return_distances=False, return_indices=True)
    return np.asarray(plate[tuple(nearest)])


def _candidates(volume: hd.Volume, cylinder: _Cylinder) -> tuple[NDArray[np.int_], Array]:
    """Indices of all voxels in a box around the cylinder, and the voxel spacing."""
    outline = np.array(cylinder.outline())
    side = cylinder.half[0] * cylinder.frame.axes[0]
    corners = np.concatenate([outline + side, outline - side])
    inverse = np.linalg.inv(volume.affine)
    box = corners @ inverse[:3, :3].T + inverse[:3, 3]
    low = np.clip(np.floor(box.min(axis=0)) - 1, 0, None).astype(int)
    high = np.minimum(np.ceil(box.max(axis=0)) + 2, volume.spatial_shape).astype(int)
    ranges = [np.arange(a, max(a, b)) for a, b in zip(low, high, strict=True)]
    index = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    return index, np.linalg.norm(volume.affine[:3, :3], axis=0)


def _deep_inside(body: Body, points: Array, spacing: Array) -> NDArray[np.bool_]:
    """Whether points lie at least ``CORTEX_MM`` inside of the body's mask, measured in millimetres."""
    # Depth is measured to the centre of the nearest outer voxel; the border is half a voxel nearer.
    distance = body.mask.depth - 0.5 * float(spacing.mean())
    inverse = np.linalg.inv(body.mask.body.affine)
    index = points @ inverse[:3, :3].T + inverse[:3, 3] + 1
    depth = ndimage.map_coordinates(distance, index.T, order=1, mode="constant", cval=-1.0)
    return np.asarray(depth >= CORTEX_MM)
