"""Scanning a deformed anatomy: its CT, its masks on the CT's grid, and its bodies at 1.5 mm for the rival."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from evidence.fractures.anatomies import Anatomy, Vector
from evidence.fractures.collapse import Bent
from evidence.fractures.rival import VOXEL_MM
from models.anatomy import Level, Region
from models.engine import Numbering, SpineSegmentation, VertebraInstance
from models.vertebrae.names.levels import TRAINED

Array = NDArray[np.floating[Any]]

FINE_MM = 0.8
"""Finest distance along the slices' normal at which a slice is sampled."""
BESIDE_MM, BEFORE_MM, BEHIND_MM, BEYOND_MM = 46.0, 32.0, 50.0, 15.0
"""What is shown around the bodies' centres, and above and below the outermost endplates."""
GRAIN_KEPT = 0.47
"""Deviation that white noise of deviation one keeps after a Gaussian of 0.6 voxels in two dimensions."""


@dataclass(frozen=True)
class Scan:
    """How a deformed spine is scanned.

    Attributes:
        pixel, spacing: Of a slice and between contiguous slices, mm.
        blur: In-plane full width at half maximum, mm; 0 for a real CT, which is blurred already.
        noise: Standard deviation, HU.
        seed: Of noise, texture and bone.
    """

    pixel: float
    spacing: float
    blur: float
    noise: float
    seed: int


@dataclass(frozen=True)
class Scanned:
    """A deformed spine, scanned.

    Attributes:
        volume: HU.
        segmentation: Its masks, deformed alike.
        bodies: Map of the bodies at 1.5 mm, axes left, posterior, superior, with their levels.
        levels: Level by value in ``bodies`` and in the instance map.
    """

    volume: hd.Volume
    segmentation: SpineSegmentation
    bodies: NDArray[np.uint8]
    levels: dict[int, Level]


@dataclass(frozen=True)
class _Box:
    low: Vector
    high: Vector


def scanned(anatomy: Anatomy, bent: Bent, levels: Sequence[Level], how: Scan) -> Scanned:
    """Scan the given vertebrae of a deformed anatomy.

    Args:
        anatomy: The body.
        bent: Its deformation and pose.
        levels: Vertebrae in view, head first.
        how: Resolution, blur and noise.
    """
    box = _box(anatomy, bent, levels)
    parts = max(1, int(np.ceil(how.spacing / FINE_MM)))
    count = int(np.ceil((box.high[2] - box.low[2]) / how.spacing))
    rows, columns = (int(np.ceil((box.high[axis] - box.low[axis]) / how.pixel)) for axis in (1, 0))
    fine = how.spacing / parts
    z = box.high[2] - (np.arange(count * parts) + 0.5) * fine
    y = box.low[1] + np.arange(rows) * how.pixel
    x = box.low[0] + np.arange(columns) * how.pixel
    points = _lattice(z, y, x)
    source = bent.applied(points)
    hu = anatomy.hu_at(source)
    depth = anatomy.depth_at(source)
    if anatomy.drawn:
        hu = _with_bone(anatomy, bent, points, source, depth, hu, (fine, how.pixel, how.pixel), how.seed)
    hu = hu.reshape(count, parts, rows, columns).mean(axis=1)
    middle = slice(parts // 2, None, parts)
    labels, regions = _masks(anatomy, source[middle], depth[middle])
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (0, 0, -how.spacing), (0, how.pixel, 0), (how.pixel, 0, 0)
    affine[:3, 3] = (x[0], y[0], box.high[2] - how.spacing / 2)
    volume = hd.Volume(_seen(hu, how), affine, coordinate_system="PATIENT")
    numbers = {anatomy_number(level): level for level in anatomy.stands}
    present = {number: level for number, level in numbers.items() if (labels == number).any()}
    segmentation = _segmentation(volume, labels, regions, anatomy, bent, present, levels)
    return Scanned(volume, segmentation, _coarse_bodies(anatomy, bent, box), present)


def anatomy_number(level: Level) -> int:
    """Value of a level in the maps of an anatomy."""
    return TRAINED.index(level) + 1


def _lattice(z: Vector, y: Vector, x: Vector) -> Array:
    """Points ``(z, y, x, 3)`` as left, posterior, superior, float32."""
    grid = np.empty((len(z), len(y), len(x), 3), np.float32)
    grid[..., 0], grid[..., 1], grid[..., 2] = x[None, None, :], y[None, :, None], z[:, None, None]
    return grid


def _box(anatomy: Anatomy, bent: Bent, levels: Sequence[Level]) -> _Box:
    stands = [anatomy.stands[level] for level in levels]
    ends = [s.origin + offset * s.axes[2] for s in stands for offset in (s.top[0], s.bottom[0])]
    placed = bent.placed(np.array(ends))
    around = np.array([BESIDE_MM, BEFORE_MM, BEYOND_MM]), np.array([BESIDE_MM, BEHIND_MM, BEYOND_MM])
    return _Box(placed.min(axis=0) - around[0], placed.max(axis=0) + around[1])


def _with_bone(
    anatomy: Anatomy,
    bent: Bent,
    points: Array,
    source: Array,
    depth: Array,
    hu: Array,
    spacing: tuple[float, float, float],
    seed: int,
) -> Array:
    """Vertebrae drawn into the soft tissue: a thin cortex, spongiosa with texture, impacted bone."""
    rng = np.random.default_rng([seed, 5])
    # Where space is squeezed the depth of the real mask is not that of the deformed one.
    slope = np.sqrt(sum(g * g for g in np.gradient(depth, *spacing)))
    under = depth / np.clip(slope, 0.5, 4.0)
    body = anatomy.sample(anatomy.body, source, 0, 0) == Region.BODY
    spongy = rng.uniform(60, 190)
    texture = ndimage.gaussian_filter(rng.standard_normal(hu.shape, np.float32), 1.2 / np.array(spacing))
    marrow = spongy + texture * np.float32(rng.uniform(12, 30) / texture.std())
    marrow += np.float32(60) * ~body
    impacted = bent.impacted(points)
    if impacted is not None and bent.collapse is not None:
        marrow += np.float32(bent.collapse.sclerosis) * (impacted & body)
    shell = np.where(body, np.float32(rng.uniform(0.5, 0.9)), np.float32(1.2))
    width = np.float32(np.mean(spacing))
    compact = np.float32(rng.uniform(750, 950))
    hu = hu + np.clip(0.5 + under / width, 0, 1) * (compact - hu)
    return np.asarray(hu + np.clip(0.5 + (under - shell) / width, 0, 1) * (marrow - hu))


def _seen(hu: Array, how: Scan) -> NDArray[np.float32]:
    """Point spread and noise."""
    if how.blur > 0:
        sigma = how.blur / 2.3548 / how.pixel
        hu = ndimage.gaussian_filter(hu, (0, sigma, sigma), mode="nearest")
    if how.noise > 0:
        grain = np.random.default_rng([how.seed, 1]).standard_normal(hu.shape, np.float32)
        hu = hu + ndimage.gaussian_filter(grain, (0, 0.6, 0.6)) * np.float32(how.noise / GRAIN_KEPT)
    return np.asarray(np.clip(np.round(hu), -1024, 3071), dtype=np.float32)


def _masks(anatomy: Anatomy, source: Array, depth: Array) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    bone = depth > 0
    numbers = anatomy.sample(anatomy.numbers, source, 0, 0).astype(np.uint8) * bone
    regions = anatomy.sample(anatomy.body, source, 0, 0).astype(np.uint8) * bone
    return numbers.astype(np.uint8), regions.astype(np.uint8)


def _coarse_bodies(anatomy: Anatomy, bent: Bent, box: _Box) -> NDArray[np.uint8]:
    axes = [np.arange(box.low[axis], box.high[axis], VOXEL_MM) for axis in (2, 1, 0)]
    source = bent.applied(_lattice(axes[0], axes[1], axes[2]))
    labels, regions = _masks(anatomy, source, anatomy.depth_at(source))
    return np.ascontiguousarray((labels * (regions == Region.BODY)).transpose(2, 1, 0).astype(np.uint8))


def _segmentation(
    volume: hd.Volume,
    labels: NDArray[np.uint8],
    regions: NDArray[np.uint8],
    anatomy: Anatomy,
    bent: Bent,
    present: dict[int, Level],
    shown: Sequence[Level],
) -> SpineSegmentation:
    instances = []
    # What peeps in at the borders is no vertebra of this scan.
    kept = {number: level for number, level in present.items() if level in shown}
    ordered = sorted(kept.items(), key=lambda item: item[1].rank)
    centres = bent.placed(np.array([anatomy.stands[level].origin for _, level in ordered]))
    for (number, level), (x, y, z) in zip(ordered, centres, strict=True):
        instances.append(VertebraInstance(number, level, 1.0, True, (float(x), float(y), float(z))))
    return SpineSegmentation(
        labels=volume.with_array(labels),
        regions=volume.with_array(regions),
        vertebrae=tuple(instances),
        numbering=Numbering.RELATIVE,
    )
