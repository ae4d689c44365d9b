"""Trabecular CT numbers of every vertebral body, T1–L5, and the class they fall into.

The region is an elliptic cylinder in the vertebra's own frame, clear of cortex, endplates and the
basivertebral vein (science.md §2.4). Its proportions are those of Comp2Comp, so that values compare.
A T-score is never derived from HU (science.md §2.2).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import interpolate, ndimage

from models.anatomy import Level
from operators.case import Case
from operators.density_category import density_category
from operators.endplates import BodySurfaces, body_surfaces
from operators.quality_gates import metal_within
from operators.reading import Deformity, Density, Measured, Point, SpineReading, Vertebra, Withheld
from operators.resampling import Array
from operators.vertebra_frame import Body, BodyFrame, locate_bodies

CENTRE_FROM_POSTERIOR = 0.58
DEPTH_SHARE = 0.50
WIDTH_SHARE = 0.65
"""Ellipse: centre from the posterior wall, and diameters, as shares of the body's depth and width
(Comp2Comp ``spine_utils.py``; science.md §2.4 [C])."""
HEIGHT_SHARE = 0.60
"""Middle part of the height that is used (science.md §2.4: 50–70 %)."""
ENDPLATE_MM = 4.0
CORTEX_MM = 3.0
"""Least distance from endplates (or one slice, if more) and from the border of the body (§2.4)."""
VEIN_HALF_MM = (6.0, 3.0)
"""Half width and half height of the zone of the basivertebral vein behind the body's middle."""
LEAST_CM3 = {"L": 2.0, "T": 1.0}
LEAST_SLICES = 3
"""Smallest region that is believed (science.md §2.4)."""
METAL_MARGIN_MM = 30.0
LESION_HU = 50.0
ISLAND_HU, ISLAND_SHARE = 300.0, 0.05
"""A level this far from both neighbours is a lesion; this share of voxels this far above the neighbours'
mean is a bone island or cement (science.md §2.4)."""
UNEVEN, UNEVEN_LEAST_HU = 2.0, 20.0
"""Standard deviation over that of the neighbours, and beyond it, that speaks for a lesion (science.md §2.4)."""
GRAIN_MM3 = 8.0
"""Volume within which noise and texture are correlated: one independent sample."""

MEASURED = tuple(level for level in Level if Level.T1.rank <= level.rank <= Level.L5.rank)


@dataclass(frozen=True)
class Region:
    """A measuring region: its voxels in the volume and its outline.

    Attributes:
        voxels: Indices ``(n, 3)`` into the volume's array.
        values: HU of these voxels.
        volume: cm3.
        outline: Closed outline in the vertebra's mid-sagittal plane, LPS mm.
    """

    voxels: NDArray[np.int_]
    values: NDArray[np.float64]
    volume: float
    outline: tuple[Point, ...]


def measure_bone_density(case: Case) -> Case:
    """Measure the trabecular HU of every vertebra from T1 to L5.

    Args:
        case: After :func:`operators.detect_fractures.detect_fractures`, whose grades exclude levels.

    Returns:
        The case with ``density`` of every vertebra, ``density_category`` and ``density_regions``.
        What cannot be measured is withheld with its reason; never raises for a bad mask.
    """
    if case.segmentation is None:
        return case
    bodies = locate_bodies(case.volume, case.segmentation)
    regions = {v.number: _region_of(case, v, bodies.get(v.number)) for v in case.reading.vertebrae}
    judged = _without_outliers(case.reading.vertebrae, regions)
    vertebrae = tuple(v.model_copy(update={"density": _density(judged[v.number])}) for v in case.reading.vertebrae)
    reading: SpineReading = case.reading.model_copy(update={"vertebrae": vertebrae})
    reading = reading.model_copy(update={"density_category": density_category(reading)})
    marked = np.zeros(case.volume.spatial_shape, np.uint8)
    for number, region in judged.items():
        if isinstance(region, Region):
            marked[tuple(region.voxels.T)] = number
    return replace(case, reading=reading, density_regions=case.segmentation.labels.with_array(marked))


def density_region(volume: hd.Volume, body: Body, slice_thickness: float | None) -> Region | Withheld:
    """The measuring region of one vertebral body.

    Args:
        volume: HU, shape ``(k, i, j)``, affine in mm (LPS).
        body: Mask and frame.
        slice_thickness: Nominal, mm, where known.

    Returns:
        The region, or why it cannot be placed.
    """
    with warnings.catch_warnings():
        # Columns that miss the bone are NaN by design; their medians are NaN, not a problem.
        warnings.filterwarnings("ignore", "(All-NaN|Mean of empty)", RuntimeWarning)
        cylinder = _cylinder(body_surfaces(volume, body, slice_thickness))
    index, spacing = _candidates(volume, cylinder)
    points = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    inside = cylinder.contains(points) & _deep_inside(body, points, spacing)
    voxels = index[inside]
    slices = len(np.unique(voxels[:, int(np.argmax(np.abs(cylinder.frame.axes[2] @ volume.affine[:3, :3])))]))
    amount = float(len(voxels) * np.abs(np.linalg.det(volume.affine[:3, :3])) / 1000)
    if slices < LEAST_SLICES:
        return Withheld(
            code="small-region",
            reason=f"The trabecular region is seen on {slices} slices only; {LEAST_SLICES} are needed.",
        )
    values = volume.array[tuple(voxels.T)].astype(np.float64)
    return Region(voxels, values, amount, cylinder.outline())


@dataclass(frozen=True)
class _Cylinder:
    """The elliptic cylinder between two endplates, in the vertebra's frame."""

    frame: BodyFrame
    centre: tuple[float, float]
    half: tuple[float, float]
    middle: float
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
            (np.abs(x - self.centre[0]) < VEIN_HALF_MM[0])
            & (np.abs(z - (high + low) / 2) < VEIN_HALF_MM[1])
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


def _cylinder(surfaces: BodySurfaces) -> _Cylinder:
    frame = surfaces.frame
    front, back = surfaces.anterior, surfaces.posterior
    depth, width = back - front, surfaces.left - surfaces.right
    top = _whole(surfaces.superior, frame.size[2] / 2)
    bottom = _whole(surfaces.inferior, -frame.size[2] / 2)
    height = top - bottom
    margin = np.maximum((1 - HEIGHT_SHARE) / 2 * height, max(ENDPLATE_MM, surfaces.sampling))
    grid = (surfaces.planes, surfaces.columns)
    options = {"bounds_error": False, "fill_value": None}
    return _Cylinder(
        frame=frame,
        centre=((surfaces.left + surfaces.right) / 2, back - CENTRE_FROM_POSTERIOR * depth),
        half=(WIDTH_SHARE * width / 2, DEPTH_SHARE * depth / 2),
        middle=(front + back) / 2,
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
    mask = ndimage.binary_fill_holes(np.pad(body.mask.body.array > 0, 1))
    distance = ndimage.distance_transform_edt(mask, sampling=spacing)
    # The transform measures to the centre of the nearest outer voxel; the border is half a voxel nearer.
    distance = distance - 0.5 * float(spacing.mean())
    inverse = np.linalg.inv(body.mask.body.affine)
    index = points @ inverse[:3, :3].T + inverse[:3, 3] + 1
    depth = ndimage.map_coordinates(distance, index.T, order=1, mode="constant", cval=-1.0)
    return np.asarray(depth >= CORTEX_MM)


def _region_of(case: Case, vertebra: Vertebra, body: Body | Withheld | None) -> Region | Withheld:
    gate = case.reading.withholding("density")
    if gate is not None:
        return Withheld(code=gate.code, reason=gate.reason)
    if vertebra.level not in MEASURED:
        return Withheld(code="level-not-measured", reason="Bone density is measured from T1 to L5 only.")
    if not vertebra.complete:
        return Withheld(code="incomplete", reason="The vertebra is cut off by the border of the scanned volume.")
    if vertebra.confidence < 0.5:
        return Withheld(
            code="low-confidence",
            reason=f"The segmentation is only {100 * vertebra.confidence:.0f} % sure of this vertebra.",
        )
    if isinstance(vertebra.deformity, Deformity) and (vertebra.deformity.grade or 0) >= 1:
        return Withheld(code="fractured", reason="A fractured vertebra reads falsely high; its density is not used.")
    if body is None:
        return Withheld(code="no-body", reason="No vertebral body was found for this vertebra.")
    if isinstance(body, Withheld):
        return body
    if metal_within(case.volume, body.mask.points, METAL_MARGIN_MM) > 0.1:
        return Withheld(code="metal", reason="Metal within 3 cm falsifies the attenuation of this level.")
    region = density_region(case.volume, body, case.reading.source.slice_thickness)
    least = LEAST_CM3.get(vertebra.level.region, 1.0)
    if isinstance(region, Region) and region.volume < least:
        return Withheld(
            code="small-region",
            reason=f"The trabecular region has {region.volume:.1f} cm3 only; {least:.0f} cm3 are needed.",
        )
    return region


def _without_outliers(
    vertebrae: tuple[Vertebra, ...], regions: Mapping[int, Region | Withheld]
) -> dict[int, Region | Withheld]:
    """Regions with lesions, bone islands and cement withheld, by comparison with the nearest neighbours."""
    judged = dict(regions)
    for place, vertebra in enumerate(vertebrae):
        own = regions[vertebra.number]
        above = _nearest(regions, vertebrae[max(0, place - 2) : place][::-1])
        below = _nearest(regions, vertebrae[place + 1 : place + 3])
        near = [region for region in (above, below) if region is not None]
        if isinstance(own, Region) and near:
            outlier = _outlier(own, near)
            judged[vertebra.number] = own if outlier is None else outlier
    return judged


def _nearest(regions: Mapping[int, Region | Withheld], candidates: Sequence[Vertebra]) -> Region | None:
    found = (regions[vertebra.number] for vertebra in candidates)
    return next((region for region in found if isinstance(region, Region)), None)


def _outlier(own: Region, near: Sequence[Region]) -> Withheld | None:
    """Why a region is not trabecular bone like that of its neighbours; None if it is."""
    means = [float(region.values.mean()) for region in near]
    if float((own.values > np.mean(means) + ISLAND_HU).mean()) > ISLAND_SHARE:
        return Withheld(
            code="dense-focus",
            reason="Part of this body is far denser than its neighbours: bone island, cement, lesion or fracture.",
        )
    spread = max(float(region.values.std()) for region in near)
    if own.values.std() > UNEVEN * spread and own.values.std() - spread > UNEVEN_LEAST_HU:
        return Withheld(
            code="uneven",
            reason="The attenuation within this body varies more than twice as much as in its neighbours: check it "
            "for a lesion or a fracture.",
        )
    apart = [float(own.values.mean()) - mean for mean in means]
    if len(near) == 2 and min(abs(a) for a in apart) > LESION_HU and apart[0] * apart[1] > 0:
        return Withheld(
            code="unlike-neighbours",
            reason=f"This body differs from both neighbours by more than {LESION_HU:.0f} HU: check it "
            "for a lesion or a fracture.",
        )
    return None


def _density(region: Region | Withheld) -> Density | Withheld:
    if isinstance(region, Withheld):
        return region
    values, unit = region.values, "[hnsf'U]"
    deviation = float(values.std(ddof=1))
    independent = max(2.0, min(float(len(values)), 1000 * region.volume / GRAIN_MM3))
    half = round(1.96 * deviation / np.sqrt(independent), 1)
    return Density(
        mean=Measured(value=round(float(values.mean()), 1), unit=unit, uncertainty=half),
        median=Measured(value=round(float(np.median(values)), 1), unit=unit),
        deviation=Measured(value=round(deviation, 1), unit=unit),
        volume=Measured(value=round(region.volume, 2), unit="cm3"),
        voxels=len(values),
        outline=region.outline,
    )
