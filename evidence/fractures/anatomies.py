"""Real spines to be deformed: label maps with drawn CT numbers, and CTs with reference masks.

Coordinates are millimetres towards the left, the back and the head (LPS axes, origin at the array's corner).
A vertebra is known by the smooth surface of its mask: where a signed depth, positive inside, is zero.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.anatomy import Level, Region
from models.label_ids import CORD_ID, HIGHEST_ID
from models.vertebrae.names.levels import TRAINED
from models.vertebrae.training.atlas import (
    BONE_IDS,
    LUNG_IDS,
    MUSCLE_IDS,
    REST_ID,
    REST_OF_CHEST_ID,
    VESSEL_IDS,
    canonical,
)
from models.vertebrae.training.targets import make_targets

Array = NDArray[np.floating[Any]]
Vector = NDArray[np.float64]
Depth = Callable[[Array], Array]

LABEL_MAPS = ("s0004", "s0012", "s0327", "s0328")
WITH_CT = ("lumbar_3mm", "chest_2p5mm", "l3_crop")
UNSURE = {"s0327": (Level.T4, Level.T5, Level.T11), "lumbar_3mm": (Level.L1,)}
"""Levels whose mask was seen to be noisy, and a real body that is wedged with sclerosis under its
endplate, perhaps an old fracture; they are neighbours, never targets or controls."""
SMOOTH_VOXELS = 0.8
"""Standard deviation, in voxels, by which a mask's stairs are smoothed."""


@dataclass(frozen=True)
class Stand:
    """A vertebra's frame from its mask alone, found by other code than the operators'.

    Attributes:
        level: Its name.
        origin: Middle of the body, mm.
        axes: Rows are the unit vectors left, posterior, superior.
        top, bottom: Height of the endplates' planes: at the origin, and rise per mm backwards.
        front, back: Extent of the body in its mid-sagittal plane, mm from the origin.
    """

    level: Level
    origin: Vector
    axes: Vector
    top: tuple[float, float]
    bottom: tuple[float, float]
    front: float
    back: float

    @property
    def height(self) -> float:
        """Mean height, mm."""
        return self.top[0] - self.bottom[0]

    def local(self, points: Array) -> Array:
        """Points ``(..., 3)`` in this frame."""
        return np.asarray((points - self.origin.astype(points.dtype)) @ self.axes.T.astype(points.dtype))

    def world(self, local: Array) -> Array:
        """The inverse of :meth:`local`."""
        return np.asarray(local @ self.axes.astype(local.dtype) + self.origin.astype(local.dtype))


@dataclass(frozen=True)
class Anatomy:
    """One body.

    Attributes:
        name: Which.
        spacing: Voxel edges along the arrays' axes (head, back, left), mm.
        hu: CT numbers as coefficients of a cubic spline; drawn ones as they are, and without the vertebrae,
            which are drawn where they are scanned.
        numbers: uint8, 1 + rank of the level of every vertebra's voxels, grown by some voxels beyond it.
        body: uint8, :class:`Region` of the same voxels.
        depth: float32, smooth signed depth under the surface of the nearest vertebra, mm.
        stands: The vertebrae that have a body.
        drawn: True where the CT numbers are drawn and not scanned.
    """

    name: str
    spacing: Vector
    hu: NDArray[np.float32]
    numbers: NDArray[np.uint8]
    body: NDArray[np.uint8]
    depth: NDArray[np.float32]
    stands: Mapping[Level, Stand]
    drawn: bool

    def sample(self, field: NDArray[Any], points: Array, order: int, outside: float) -> Array:
        """Values of one of the arrays at points ``(..., 3)``."""
        index = np.moveaxis(points[..., ::-1] / self.spacing.astype(points.dtype), -1, 0)
        return np.asarray(
            ndimage.map_coordinates(
                field, index, output=np.float32, order=order, mode="constant", cval=outside, prefilter=False
            )
        )

    def hu_at(self, points: Array) -> Array:
        """CT numbers at points ``(..., 3)``."""
        return self.sample(self.hu, points, 1 if self.drawn else 3, -1000.0)

    def depth_at(self, points: Array) -> Array:
        """Smooth signed depth at points ``(..., 3)``, mm."""
        return self.sample(self.depth, points, 1, -20.0)

    def usable(self) -> tuple[Level, ...]:
        """Levels whose mask is sound, head first."""
        return tuple(x for x in self.stands if x not in UNSURE.get(self.name, ()))


def load(name: str, data: Path, kept: Path, patient: int) -> Anatomy:
    """One body, from the folder ``kept`` where this code has made it before.

    Args:
        name: One of ``LABEL_MAPS`` or ``WITH_CT``.
        data: The shared data.
        kept: Folder for what is derived from the data, which takes up to a minute.
        patient: Seed of the drawn CT numbers of a label map.
    """
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    path = kept / f"{name}-{patient}-{digest}.pickle"
    if not path.exists():
        kept.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        with part.open("wb") as file:
            pickle.dump(_made(name, data, kept, patient), file)
        part.rename(path)
    with path.open("rb") as file:
        anatomy: Anatomy = pickle.load(file)
    return anatomy


def _made(name: str, data: Path, kept: Path, patient: int) -> Anatomy:
    if name in LABEL_MAPS:
        labels, levels, regions = _targets(name, data, kept)
        labels, levels, regions = _cropped(labels, levels, regions)
        hu = _drawn(labels, regions, patient)
        spacing = np.full(3, 1.5)
    else:
        hu, levels, regions, spacing = _scanned(name, data)
        hu = ndimage.spline_filter(hu, 3, output=np.float32)
    numbers, parts, depth = _surfaces(levels, regions, spacing)
    return Anatomy(
        name=name,
        spacing=spacing,
        hu=hu,
        numbers=numbers,
        body=parts,
        depth=depth,
        stands=_stands(levels, regions, spacing, depth),
        drawn=name in LABEL_MAPS,
    )


def _targets(name: str, data: Path, kept: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Labels, ranks of the levels and regions of a label map at 1.5 mm."""
    path = kept / f"{name}.npz"
    if not path.exists():
        labels = canonical(data / "labels" / f"{name}_labels.nii.gz", 0)
        targets = make_targets(labels, 1.5)
        part = path.with_suffix(".part.npz")
        np.savez(part, labels=labels, levels=targets.levels, regions=targets.regions)
        part.rename(path)
    with np.load(path) as found:
        return found["labels"], found["levels"], found["regions"]


def _cropped(*maps: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
    """The part of maps around the vertebral bodies; the last one holds the regions."""
    spine = np.argwhere(maps[-1] == Region.BODY)
    low = np.maximum(spine.min(axis=0) - np.array([14, 30, 42]), 0)
    high = np.minimum(spine.max(axis=0) + np.array([14, 46, 42]), maps[-1].shape)
    return tuple(
        np.ascontiguousarray(m[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))]) for m in maps
    )


def _drawn(labels: NDArray[np.uint8], regions: NDArray[np.uint8], patient: int) -> NDArray[np.float32]:
    """CT numbers of everything around the vertebrae: soft tissue, vessels with or without contrast, lung, discs."""
    rng = np.random.default_rng([patient, 3])
    enhanced = float(rng.choice([0.0, rng.uniform(60, 220)]))
    table = np.full(256, 45.0) + rng.uniform(-12, 12, 256) + 0.3 * enhanced
    table[list(BONE_IDS)] = rng.uniform(150, 260)
    table[list(MUSCLE_IDS)] = rng.uniform(45, 62)
    table[list(LUNG_IDS)] = rng.uniform(-880, -780)
    table[list(VESSEL_IDS)] = 40.0 + enhanced * rng.uniform(0.6, 1.0, len(VESSEL_IDS))
    table[CORD_ID] = rng.uniform(20, 45)
    fat = rng.uniform(-110, -85)
    table[[0, REST_ID, REST_OF_CHEST_ID]] = fat
    hu = table[labels].astype(np.float32)
    # Flesh around the bones and in flat layers, fat elsewhere, where the map says nothing.
    unnamed = np.isin(labels, (0, REST_ID, REST_OF_CHEST_ID))
    bone = np.isin(regions, (Region.BODY, Region.POSTERIOR_ELEMENTS, Region.RIB, Region.SACRUM))
    near = ndimage.uniform_filter(bone.astype(np.float32), 5) > 0.02
    grain = ndimage.gaussian_filter(rng.standard_normal(labels.shape, np.float32), 3.0)
    hu[unnamed & near & (grain > -0.6 * grain.std())] = rng.uniform(35, 60)
    hu[regions == Region.DISC] = rng.uniform(65, 110)
    hu[(regions == Region.CANAL) & (labels != CORD_ID)] = rng.uniform(-10, 30)
    vertebra = np.isin(regions, (Region.BODY, Region.POSTERIOR_ELEMENTS))
    nearest = ndimage.distance_transform_edt(vertebra, return_distances=False, return_indices=True)
    return np.asarray(hu[tuple(nearest)] + np.float32(4.0) * grain / grain.std(), dtype=np.float32)


def _scanned(name: str, data: Path) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.uint8], Vector]:
    """CT numbers, ranks of the levels and regions of a CT, and its voxel edges."""
    folder = data / "ct" / name
    if name == "l3_crop":
        hu, spacing = _read(folder / "sub-ct_label-22_ct.nii.gz")
        whole = _read(folder / "sub-ct_seg-vert_label-22_msk.nii.gz")[0]
        parts = _read(folder / "sub-ct_seg-subreg_label-22_msk.nii.gz")[0]
        # VerSe's number 22 is L3; TPTBox's 49 and 50 are the corpus.
        ranks = np.where(whole == 22, TRAINED.index(Level.L3), 255).astype(np.uint8)
        inside = np.isin(parts, (49, 50))
    else:
        hu, spacing = _read(folder / "ct.nii.gz")
        file = "vertebrae.nii.gz" if name == "lumbar_3mm" else "labels.nii.gz"
        labels = _read(folder / file)[0].astype(np.uint8)
        ranks = np.where((labels >= 26) & (labels <= HIGHEST_ID), HIGHEST_ID - labels, 255).astype(np.uint8)
        inside = _read(folder / "bodies.nii.gz")[0] == 1 if name == "lumbar_3mm" else _body_by_canal(labels, spacing)
    bone = ranks != 255
    regions = np.where(bone & inside, Region.BODY, np.where(bone, Region.POSTERIOR_ELEMENTS, 0)).astype(np.uint8)
    return hu, ranks, regions, spacing


def _read(path: Path) -> tuple[NDArray[np.float32], Vector]:
    """An image with axes head, back, left, and its voxel edges; only the axes' directions are kept."""
    loaded: Any = nib.load(path)
    image: Any = nib.as_closest_canonical(loaded)
    array = np.asarray(image.dataobj)[::-1, ::-1, :].transpose(2, 1, 0)
    zooms = np.array(image.header.get_zooms()[:3], dtype=float)
    return np.ascontiguousarray(array, dtype=np.float32), zooms[::-1]


def _body_by_canal(labels: NDArray[np.uint8], spacing: Vector) -> NDArray[np.bool_]:
    """Bodies of a label map on an anisotropic grid, split from the arches at 1.5 mm."""
    factors = spacing / 1.5
    fine = ndimage.zoom(labels, factors, order=0, grid_mode=True, mode="nearest")
    regions = make_targets(fine, 1.5).regions
    back = np.array(labels.shape) / np.array(regions.shape)
    coarse = ndimage.zoom((regions == Region.BODY).astype(np.float32), back, order=1, grid_mode=True, mode="nearest")
    out = np.zeros(labels.shape, bool)
    shared = tuple(slice(0, min(a, b)) for a, b in zip(labels.shape, coarse.shape, strict=True))
    out[shared] = coarse[shared] > 0.5
    return out


def _surfaces(
    levels: NDArray[np.uint8], regions: NDArray[np.uint8], spacing: Vector
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
    """Number and region of the nearest vertebra, and the smooth depth under its surface."""
    numbers = np.zeros(levels.shape, np.uint8)
    parts = np.zeros(levels.shape, np.uint8)
    depth = np.full(levels.shape, -20.0, np.float32)
    bone = np.isin(regions, (Region.BODY, Region.POSTERIOR_ELEMENTS))
    pad = np.ceil(5.0 / spacing).astype(int)
    for rank in np.unique(levels[bone]).tolist():
        own = (levels == rank) & bone
        box = ndimage.find_objects(own.astype(np.uint8))[0]
        wide = tuple(slice(max(0, s.start - p), s.stop + p) for s, p in zip(box, pad, strict=True))
        mask = own[wide]
        inner = ndimage.distance_transform_edt(mask, sampling=spacing)
        outer, index = ndimage.distance_transform_edt(~mask, sampling=spacing, return_indices=True)
        # Distances run to voxel centres; the surface lies half a voxel before them.
        half = 0.5 * float(spacing.mean())
        signed = np.where(mask, inner - half, half - outer)
        signed = ndimage.gaussian_filter(signed, SMOOTH_VOXELS).astype(np.float32)
        nearer = signed > depth[wide]
        depth[wide] = np.where(nearer, signed, depth[wide])
        numbers[wide] = np.where(nearer, rank + 1, numbers[wide])
        parts[wide] = np.where(nearer, regions[wide][tuple(index)], parts[wide])
    return numbers, parts, depth


def _stands(
    levels: NDArray[np.uint8], regions: NDArray[np.uint8], spacing: Vector, depth: NDArray[np.float32]
) -> dict[Level, Stand]:
    """Frames of all vertebrae with a body of plausible size."""
    centres: dict[Level, Vector] = {}
    behind: dict[Level, Vector] = {}
    for rank in np.unique(levels[regions == Region.BODY]).tolist():
        level = TRAINED[rank]
        own = levels == rank
        body = np.argwhere(own & (regions == Region.BODY)) * spacing
        cut = own[0].any() or own[-1].any()
        if cut or len(body) * float(np.prod(spacing)) < 4000.0 or level is Level.S1:
            continue
        centres[level] = np.median(body, axis=0)[::-1]
        arch = np.argwhere(own & (regions == Region.POSTERIOR_ELEMENTS)) * spacing
        behind[level] = np.median(arch, axis=0)[::-1] if len(arch) else centres[level] + np.array([0.0, 30.0, 0.0])
    order = sorted(centres, key=lambda x: x.rank)

    def depth_at(points: Array) -> Array:
        index = np.moveaxis(points[..., ::-1] / spacing, -1, 0)
        return np.asarray(ndimage.map_coordinates(depth, index, order=1, mode="constant", cval=-20.0))

    stands = {}
    for place, level in enumerate(order):
        above, below = centres[order[max(0, place - 1)]], centres[order[min(len(order) - 1, place + 1)]]
        up = above - below if len(order) > 1 else np.array([0.0, 0.0, 1.0])
        stand = _stand(level, centres[level], up, behind[level] - centres[level], depth_at)
        if stand is not None:
            stands[level] = stand
    return stands


def _axes(up: Vector, back: Vector) -> Vector:
    superior = up / np.linalg.norm(up)
    posterior = back - (back @ superior) * superior
    posterior /= np.linalg.norm(posterior)
    return np.stack([np.cross(posterior, superior), posterior, superior])


def _stand(level: Level, centre: Vector, up: Vector, back: Vector, depth_at: Depth) -> Stand | None:
    """A frame whose superior axis is the bisector of the endplates' planes."""
    axes = _axes(up, back)
    origin = centre
    for _ in range(3):
        u, v = np.meshgrid(np.arange(-8.0, 8.1, 2.0), np.arange(-9.0, 9.1, 1.5), indexing="ij")
        top, bottom = plates(depth_at, origin, axes, u, v)
        seen = np.isfinite(top) & np.isfinite(bottom)
        if seen.sum() < 30:
            return None
        design = np.stack([np.ones(seen.sum()), u[seen], v[seen]], axis=1)
        (t0, tu, tv), (b0, bu, bv) = (np.linalg.lstsq(design, p[seen], rcond=None)[0] for p in (top, bottom))
        tilt = np.array([-(tu + bu) / 2, -(tv + bv) / 2, 1.0])
        origin = origin + axes[2] * (t0 + b0) / 2
        up = tilt @ axes
        axes = _axes(up, axes[1])
    line = np.arange(-30.0, 30.1, 0.25)
    inside = depth_at(origin + line[:, None] * axes[1]) > 0
    middle = len(line) // 2
    if not inside[middle]:
        return None
    front = line[middle - int(np.argmin(inside[middle::-1]))]
    last = line[middle + int(np.argmin(inside[middle:]))]
    half, slope = float(t0 - b0) / 2, float(tv - bv) / 2
    return Stand(level, origin, axes, (half, slope), (-half, -slope), float(front), float(min(last, front + 45)))


def plates(depth_at: Depth, origin: Vector, axes: Vector, u: Array, v: Array) -> tuple[Vector, Vector]:
    """Where rays from the mid-plane leave the bone, upwards and downwards, at places ``(u, v)``; NaN where never in."""
    reach = np.arange(0.0, 32.0, 0.3)
    found = []
    for sign in (1.0, -1.0):
        local = np.stack(np.broadcast_arrays(u[..., None], v[..., None], sign * reach), axis=-1)
        depth = depth_at(local @ axes + origin)
        outside = depth <= 0
        first = np.argmax(outside, axis=-1)
        ok = (first > 0) & outside.any(axis=-1)
        before = np.take_along_axis(depth, np.maximum(first - 1, 0)[..., None], -1)[..., 0]
        after = np.take_along_axis(depth, first[..., None], -1)[..., 0]
        share = before / np.where(before - after > 1e-6, before - after, 1.0)
        found.append(np.where(ok, sign * (reach[np.maximum(first - 1, 0)] + share * 0.3), np.nan))
    return found[0], found[1]
