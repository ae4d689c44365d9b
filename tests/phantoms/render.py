"""From solids to voxels: each slice is the average of thinner ones, each edge covers voxels in part.

The painter works slab by slab so that memory stays bounded, and from back to front: what is painted
later covers what is there. A voxel that a surface crosses is mixed by the share that lies inside,
estimated from the signed distance, so that the half-maximum of an edge lies on the surface.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.anatomy import Region
from tests.phantoms.anatomy.shapes import UPRIGHT, Array, Frame, Solid, Vector, smooth_min

FAR = np.float32(1e3)


@dataclass(frozen=True)
class Grid:
    """Where the voxels are.

    Attributes:
        affine: From voxel indices (slice, row, column) to patient coordinates, LPS, mm; 4 by 4.
        shape: Slices, rows, columns.
        thickness: Extent of a voxel along the slice normal, mm; may differ from the slice spacing.
    """

    affine: Vector
    shape: tuple[int, int, int]
    thickness: float

    @property
    def spacing(self) -> Vector:
        """Distances between voxel centres along slices, rows and columns, mm."""
        lengths: Vector = np.linalg.norm(self.affine[:3, :3], axis=0)
        return lengths

    @property
    def pixel(self) -> float:
        """Geometric mean of the pixel spacings, mm."""
        return float(np.sqrt(self.spacing[1] * self.spacing[2]))

    def offsets(self, finest: float) -> Vector:
        """Places at which a slice is sampled along its thickness, in slices from its middle; odd in number."""
        count = max(1, int(np.ceil(self.thickness / finest - 1e-9)))
        count += 1 - count % 2
        places: Vector = ((np.arange(count) + 0.5) / count - 0.5) * self.thickness / self.spacing[0]
        return places


@dataclass(frozen=True)
class Texture:
    """Zero-mean, unit-deviation noise in the frame of a bone, coarser along its cranio-caudal axis.

    Attributes:
        seed: Decides the noise.
        reach: Half lengths of the box that it fills, mm.
        inside: The solid in which, 2 mm below its surface, mean and deviation are to be exact.
    """

    seed: tuple[int, ...]
    reach: Vector
    inside: Solid

    @cached_property
    def _noise(self) -> Array:
        # Made when the bone is painted: most bones of a column lie outside a field of view.
        grids = [np.arange(-r, r + 1.0, 1.0, dtype=np.float32) for r in self.reach]
        noise = np.random.default_rng(self.seed).standard_normal([len(g) for g in grids], np.float32)
        noise = ndimage.gaussian_filter(noise, (0.8, 0.8, 1.4), mode="wrap")
        u, v, w = np.meshgrid(*grids, indexing="ij", sparse=True)
        kept = noise[self.inside.distance(u, v, w) < -2.0]
        even: Array = (noise - kept.mean()) / kept.std()
        return even

    def at(self, u: Array, v: Array, w: Array) -> Array:
        """Values at local coordinates."""
        places = np.stack([c + np.float32(r) for c, r in zip((u, v, w), self.reach, strict=True)])
        values: Array = ndimage.map_coordinates(self._noise, places, order=1, mode="nearest")
        return values


@dataclass(frozen=True)
class Material:
    """What a solid is made of.

    Attributes:
        hu: CT number inside.
        cortex_hu: CT number of the shell.
        cortex: Thickness of the shell, mm; zero for none.
        texture: Deviation of the texture inside, HU.
    """

    hu: float
    cortex_hu: float = 0.0
    cortex: float = 0.0
    texture: float = 0.0


@dataclass(frozen=True)
class Part:
    """Solids of one frame and one material, joined.

    Attributes:
        solids: Members.
        material: What they are made of.
        region: Value in the region map; BACKGROUND leaves the map as it is.
        label: Value in the instance map, where the region is not BACKGROUND.
        frame: Their frame.
        blend: Fillet between members, mm.
        joined: A part that belongs to the same bone: its shell opens where the two meet.
        pattern: Texture.
    """

    solids: Sequence[Solid]
    material: Material
    region: Region = Region.BACKGROUND
    label: int = 0
    frame: Frame = UPRIGHT
    blend: float = 0.0
    joined: Part | None = None
    pattern: Texture | None = None
    soften: Callable[[Array, Array, Array], Array] | None = field(default=None)
    """Change of the inner CT number at local coordinates, HU (the basivertebral veins)."""


Box = tuple[slice, slice, slice]


class Slab:
    """Some slices of the grid, sampled more finely along their normal, while they are painted."""

    def __init__(self, grid: Grid, first: int, last: int, finest: float) -> None:
        self.grid, self.first, self.last = grid, first, last
        self.offsets = grid.offsets(finest)
        slices = np.arange(first, last)
        self.k = (slices[:, None] + self.offsets[None, :]).ravel()
        shape = (len(self.k), *grid.shape[1:])
        self.hu: Array = np.full(shape, -1000, np.float32)
        middle = (len(slices), *grid.shape[1:])
        self.labels: NDArray[np.uint8] = np.zeros(middle, np.uint8)
        self.regions: NDArray[np.uint8] = np.zeros(middle, np.uint8)
        self._inverse = np.linalg.inv(grid.affine)

    def start(self, background: Callable[[Array, Array, Array, float], Array]) -> None:
        """Fill with a background of patient coordinates, sampled once per slice."""
        a = self.grid.affine
        axes = [np.arange(self.first, self.last), *(np.arange(n) for n in self.grid.shape[1:])]
        axes = [axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]]
        # Only the axes along which a coordinate changes: for a patient who lies straight it is one.
        x, y, z = (
            sum((a[n, m] * axes[m] for m in range(3) if abs(a[n, m]) > 1e-9), np.full((1, 1, 1), a[n, 3]))
            for n in range(3)
        )
        x, y, z = (np.asarray(c, np.float32) for c in (x, y, z))
        hu = background(x, y, z, self.grid.pixel)
        whole = np.broadcast_to(hu, (self.last - self.first, *self.grid.shape[1:]))
        self.hu = np.repeat(whole, len(self.offsets), axis=0)

    def load(self, hu: Array) -> None:
        """Fill with slices that exist already, shape (slices of the slab, rows, columns)."""
        self.hu = np.repeat(np.asarray(hu, np.float32), len(self.offsets), axis=0)

    def coordinates(self, frame: Frame, box: Box) -> tuple[Array, Array, Array]:
        """Local coordinates of the samples in a box, each of the box's shape."""
        a = self.grid.affine
        base = frame.axes @ (a[:3, 3] - frame.origin)
        steps = frame.axes @ a[:3, :3]
        k = self.k[box[0]]
        i = np.arange(box[1].start, box[1].stop)
        j = np.arange(box[2].start, box[2].stop)
        out = []
        for row in range(3):
            along_k = (base[row] + steps[row, 0] * k).astype(np.float32)[:, None, None]
            along_i = (steps[row, 1] * i).astype(np.float32)[None, :, None]
            along_j = (steps[row, 2] * j).astype(np.float32)[None, None, :]
            out.append(along_k + along_i + along_j)
        return out[0], out[1], out[2]

    def box(self, frame: Frame, solid: Solid, margin: float) -> Box | None:
        """The samples that may lie within ``margin`` mm of a solid; None where there are none."""
        low, high = solid.bounds
        corners = np.array([[(low, high)[b][axis] for axis, b in enumerate(bits)] for bits in np.ndindex(2, 2, 2)])
        corners += np.where(corners == low, -margin, margin)
        index = frame.to_patient(corners) @ self._inverse[:3, :3].T + self._inverse[:3, 3]
        near, far = index.min(axis=0), index.max(axis=0)
        # Overlapping slices sample the same heights twice, so the samples are not sorted.
        among = np.nonzero((self.k >= near[0]) & (self.k <= far[0]))[0]
        if among.size == 0:
            return None
        spans = [slice(int(among[0]), int(among[-1]) + 1)]
        for axis in (1, 2):
            start = max(0, int(np.floor(near[axis])))
            spans.append(slice(start, min(self.grid.shape[axis], int(np.ceil(far[axis])) + 1)))
        if any(s.stop <= s.start for s in spans):
            return None
        return spans[0], spans[1], spans[2]

    def field(self, part: Part, box: Box, margin: float) -> Array:
        """Signed distance to the union of a part's solids inside a box; far outside it, 1000."""
        distance = np.full([s.stop - s.start for s in box], FAR, np.float32)
        for solid in part.solids:
            own = self.box(part.frame, solid, margin + part.blend)
            if own is None:
                continue
            cut = tuple(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(own, box, strict=True))
            if any(s.stop <= s.start for s in cut):
                continue
            view = tuple(slice(c.start - b.start, c.stop - b.start) for c, b in zip(cut, box, strict=True))
            here = solid.distance(*self.coordinates(part.frame, (cut[0], cut[1], cut[2])))
            distance[view] = smooth_min(distance[view], here, part.blend)
        return distance

    def hull(self, part: Part, margin: float) -> Box | None:
        """A box around all solids of a part."""
        boxes = [b for s in part.solids if (b := self.box(part.frame, s, margin + part.blend)) is not None]
        if not boxes:
            return None
        spans = [slice(min(b[n].start for b in boxes), max(b[n].stop for b in boxes)) for n in range(3)]
        return spans[0], spans[1], spans[2]

    def paint(self, part: Part) -> None:
        """Paint a part over what is there."""
        width = np.float32(self.grid.pixel)
        margin = 0.5 * float(width) + 0.5
        box = self.hull(part, margin)
        if box is None:
            return
        distance = self.field(part, box, margin)
        whole = distance
        if part.joined is not None:
            whole = smooth_min(distance, self.field(part.joined, box, margin + 3), 2.0)
        touched = np.nonzero(distance < width / 2)
        d = distance[touched]
        if d.size == 0:
            return
        view = self.hu[box]
        values = view[touched]
        material = part.material
        cover = np.clip(0.5 - d / width, 0, 1)
        if material.cortex > 0:
            values += cover * (np.float32(material.cortex_hu) - values)
            cover = np.clip(0.5 - (whole[touched] + np.float32(material.cortex)) / width, 0, 1)
        view[touched] = values + cover * (self._inner(part, box, touched) - values)
        self._mark(part, box, distance)

    def _inner(self, part: Part, box: Box, touched: tuple[NDArray[np.intp], ...]) -> Array:
        inner: Array = np.full(touched[0].shape, part.material.hu, np.float32)
        if part.pattern is None and part.soften is None:
            return inner
        u, v, w = (c[touched] for c in self.coordinates(part.frame, box))
        if part.pattern is not None:
            inner += np.float32(part.material.texture) * part.pattern.at(u, v, w)
        if part.soften is not None:
            inner += part.soften(u, v, w)
        return inner

    def _mark(self, part: Part, box: Box, distance: Array) -> None:
        if part.region is Region.BACKGROUND:
            return
        count = len(self.offsets)
        middle = np.arange(box[0].start, box[0].stop) % count == count // 2
        rows = np.arange(box[0].start, box[0].stop)[middle] // count
        if rows.size == 0:
            return
        inside = distance[middle] < 0
        where = (slice(rows[0], rows[-1] + 1), box[1], box[2])
        self.regions[where][inside] = part.region
        self.labels[where][inside] = part.label

    def averaged(self) -> Array:
        """The slices: means over their samples along the normal, HU."""
        count = len(self.offsets)
        mean: Array = self.hu.reshape(-1, count, *self.hu.shape[1:]).mean(axis=1)
        return mean


def slabs(grid: Grid, finest: float, samples: int = 12_000_000) -> Iterator[Slab]:
    """Cut the grid into slabs of at most about ``samples`` samples each."""
    per_slice = len(grid.offsets(finest)) * grid.shape[1] * grid.shape[2]
    step = max(1, samples // per_slice)
    for first in range(0, grid.shape[0], step):
        yield Slab(grid, first, min(grid.shape[0], first + step), finest)
