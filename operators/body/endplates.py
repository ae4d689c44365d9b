"""The surfaces of a vertebral body: both endplates, column by column, and the walls around them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import highdicom as hd
import numpy as np

from operators.body.bone_edges import COLUMN_MM, REACH_MM, Blur, Rays, Sight, find_edge, look
from operators.body.frame import Body, BodyFrame, frame_from
from operators.body.resampling import Array, Flags, Sampler, spacing_along

PLANES_MM = np.arange(-10.0, 10.1, 2.0)
"""Parasagittal planes, left-right positions in the vertebra's frame."""
DISC_HU, SOFT_HU = 85.0, 30.0
"""CT numbers behind an endplate, and behind a wall (fat, muscle, blood, nerves); 30 HU more or less moves an
edge by 30 · blur / (2.5 · sheet), 0.02 mm in slices of 1 mm and 0.1 mm in slices of 3 mm."""

WALL_SHARES = np.linspace(-0.4, 0.4, 11)
"""Rows on which a wall is looked for, as shares of the body's extent there."""
BLURS = (1.0, 1.6, 2.5)
"""Point spreads that are tried in turn, as multiples of what the voxels say, until the plates are seen."""
SEEN_SHARE = 0.8
"""Share of the columns between the rims that shows both plates where the point spread is right."""


@dataclass(frozen=True)
class BodySurfaces:
    """Endplates and walls of one body in its own frame, mm.

    Attributes:
        frame: The frame, tilted onto the endplates.
        planes: Left-right positions of the parasagittal planes, shape ``(p,)``.
        columns: Front-back positions, shape ``(c,)``; positive is posterior.
        superior, inferior: Height of the endplates' outer surface, shape ``(p, c)``.
        anterior, posterior: Front-back position of the walls at mid-height.
        anterior_rim, posterior_rim: The same where the walls meet the endplates.
        left, right: Left-right position of the side walls at mid-height.
        contrast: Median height of the endplate sheets above their surroundings, HU.
        scatter: Standard deviation of one endplate column, mm.
        sampling: Distance of voxels along the superior axis, mm; more where the image is more blurred
            than its voxels say.
        resolved: Share, 0…1, to which the plates are peaks of their own in the image; the less of the two.
    """

    frame: BodyFrame
    planes: Array
    columns: Array
    superior: Array
    inferior: Array
    anterior: float
    posterior: float
    anterior_rim: float
    posterior_rim: float
    left: float
    right: float
    contrast: float
    scatter: float
    sampling: float
    resolved: float = 1.0


def body_surfaces(volume: hd.Volume, body: Body, slice_thickness: float | None) -> BodySurfaces:
    """Find the surfaces of one vertebral body and tilt its frame onto the endplates.

    Args:
        volume: HU, shape ``(k, i, j)``, affine in mm (LPS).
        body: Mask and first frame.
        slice_thickness: Nominal thickness in mm; the slice spacing where it is unknown.

    Returns:
        The surfaces. Columns without evidence are NaN; a body without any is all NaN, never an error.
    """
    points = body.mask.points
    sight = Sight(
        image=Sampler(volume, points, margin=12.0),
        body=Sampler(body.mask.body, points, margin=2 * body.mask.voxel, order=1),
        others=Sampler(body.mask.others, points, margin=12.0, order=1),
    )
    view = _View(sight, body.frame, points)
    tried = []
    for factor in BLURS:
        blur = Blur(volume, slice_thickness, factor)
        found = _surfaces(view, blur)
        tried.append((_seen_share(found), found, blur))
        if tried[-1][0] >= SEEN_SHARE:
            break
    _, found, blur = max(tried, key=lambda attempt: attempt[0])
    tilted = _tilted(found, body)
    if tilted is not body.frame:
        view = _View(sight, tilted, points)
        found = _surfaces(view, blur)
    left, right = _sides(view, blur)
    return replace(found, left=left, right=right)


class _View:
    """Image and masks as seen from one frame in the directions of its axes, sampled when first asked for."""

    def __init__(self, sight: Sight, frame: BodyFrame, points: Array) -> None:
        self.sight, self.frame, self.points = sight, frame, points
        self.planes = PLANES_MM[np.abs(PLANES_MM) <= max(2.0, 0.3 * frame.size[0])]
        half = frame.size[1] / 2
        self.columns = np.arange(-np.floor(half + 5), np.floor(half + 5) + 0.1, COLUMN_MM)

    @cached_property
    def superior(self) -> Rays:
        """Towards the upper endplate."""
        return self._plate(1.0)

    @cached_property
    def inferior(self) -> Rays:
        """Towards the lower endplate."""
        return self._plate(-1.0)

    @cached_property
    def anterior(self) -> Rays:
        """Towards the front, on rows from endplate to endplate."""
        return self._wall(-1.0)

    @cached_property
    def posterior(self) -> Rays:
        """The same towards the back."""
        return self._wall(1.0)

    def side(self, outward: float) -> Rays:
        """Towards the left (1) or the right (-1), in front of the pedicles."""
        columns = np.array([-0.2, -0.1, 0.0, 0.1]) * self.frame.size[1]
        rows = np.arange(-0.2, 0.21, 0.1) * self.frame.size[2]
        grid = np.stack(np.meshgrid([0.0], columns, rows, indexing="ij"), axis=-1)[0]
        return self._along(grid, np.array([outward, 0.0, 0.0]))

    def _plate(self, outward: float) -> Rays:
        grid = np.stack(np.meshgrid(self.planes, self.columns, [0.0], indexing="ij"), axis=-1)[:, :, 0]
        return self._along(grid, np.array([0, 0, outward]))

    def _wall(self, outward: float) -> Rays:
        near = self.planes[np.abs(self.planes) <= 4.0]
        middle, extent = _rows(self.frame, self.points, outward)
        grid = np.stack(np.meshgrid(near, [0.0], middle + WALL_SHARES * extent, indexing="ij"), axis=-1)[:, 0]
        return self._along(grid, np.array([0, outward, 0.0]))

    def _along(self, grid: Array, outward: Array) -> Rays:
        reach = float(np.abs(outward) @ self.frame.size) / 2 + REACH_MM + 4.0
        return look(self.sight, self.frame, grid, outward, reach)


def _seen_share(surfaces: BodySurfaces) -> float:
    """Share of the columns between the rims in which both plates were found."""
    between = (surfaces.columns > surfaces.anterior_rim) & (surfaces.columns < surfaces.posterior_rim)
    if not between.any():
        return 0.0
    return float(np.isfinite(surfaces.superior + surfaces.inferior)[:, between].mean())


def _surfaces(view: _View, blur: Blur) -> BodySurfaces:
    """Endplates, front and back wall under one point spread; the side walls are those of the mask."""
    frame = view.frame
    along = frame.axes[2]
    sigma = blur.along(along)
    superior = find_edge(view.superior, sigma, DISC_HU)
    inferior = find_edge(view.inferior, sigma, DISC_HU)
    sigma = blur.along(frame.axes[1])
    front = _wall(view.anterior, sigma, -1.0, frame.size[1])
    back = _wall(view.posterior, sigma, 1.0, frame.size[1])
    contrast = np.concatenate([superior.contrast.ravel(), inferior.contrast.ravel()])
    seen = np.isfinite(contrast)
    return BodySurfaces(
        frame=frame,
        planes=view.planes,
        columns=view.columns,
        superior=superior.position,
        inferior=-inferior.position,
        anterior=front.waist,
        posterior=back.waist,
        anterior_rim=front.rim,
        posterior_rim=back.rim,
        left=frame.size[0] / 2,
        right=-frame.size[0] / 2,
        contrast=float(np.median(contrast[seen])) if seen.any() else 0.0,
        scatter=float(np.hypot(superior.scatter, inferior.scatter) / np.sqrt(2)),
        sampling=blur.factor * spacing_along(blur.volume, along),
        resolved=min(superior.resolved, inferior.resolved),
    )


@dataclass(frozen=True)
class _Wall:
    """Front-back position of one wall near the midline: at mid-height, and where it meets the endplates."""

    waist: float
    rim: float


def _wall(rays: Rays, sigma: float, outward: float, depth: float) -> _Wall:
    """The anterior (``outward`` -1) or posterior (1) wall; from the mask's ``depth`` where the image shows none.

    Walls draw in at mid-height, so a parabola through the rows is continued to the endplates. Rows right
    at the endplates would be easier, but osteophytes sit there.
    """
    places = np.nanmedian(find_edge(rays, sigma, SOFT_HU).position, axis=0)
    seen = np.isfinite(places)
    if seen.sum() < 4:
        return _Wall(outward * depth / 2, outward * depth / 2)
    design = np.stack([np.ones(seen.sum()), WALL_SHARES[seen], WALL_SHARES[seen] ** 2], axis=1)
    fit = robust_fit(design, places[seen])
    waist = float(fit[0])
    rim = waist + float(np.clip(0.25 * fit[2], 0.0, 3.0))
    return _Wall(outward * waist, outward * rim)


def _rows(frame: BodyFrame, points: Array, outward: float) -> tuple[float, float]:
    """Middle and extent of the body along its superior axis near one wall, mm.

    The front of a wedge is low: rows as far apart as the whole body is high would leave it through an endplate.
    """
    local = frame.to_local(points)
    beside = (outward * local[:, 1] > 0.3 * frame.size[1]) & (np.abs(local[:, 0]) < 6.0)
    if beside.sum() < 20:
        return 0.0, frame.size[2]
    low, high = np.percentile(local[beside, 2], [2, 98])
    return float(low + high) / 2, float(high - low) / 0.96


def _sides(view: _View, blur: Blur) -> tuple[float, float]:
    """Left-right position of the side walls, in front of the pedicles, mm."""
    sigma = blur.along(view.frame.axes[0])
    sides = []
    for outward in (1.0, -1.0):
        edge = find_edge(view.side(outward), sigma, SOFT_HU)
        seen = edge.position[np.isfinite(edge.position)]
        sides.append(outward * (float(np.median(seen)) if seen.size else view.frame.size[0] / 2))
    return sides[0], sides[1]


def robust_fit(design: Array, values: Array) -> Array:
    """Coefficients of a least-squares fit in which values far from it count little.

    Args:
        design: Terms, shape ``(n, t)``.
        values: Shape ``(n,)``, mm.
    """
    weight: Array = np.ones(len(values))
    fit: Array = np.zeros(design.shape[1])
    for _ in range(6):
        fit = np.asarray(np.linalg.lstsq(design * weight[:, None], values * weight, rcond=None)[0])
        rest = values - design @ fit
        scale = max(0.3, 1.4826 * float(np.median(np.abs(rest))))
        weight = 1.0 / np.sqrt(1.0 + (rest / (2 * scale)) ** 2)
    return fit


def _tilted(surfaces: BodySurfaces, body: Body) -> BodyFrame:
    """Frame with its superior axis on the bisector of the two endplates' normals."""
    frame = surfaces.frame
    depth = surfaces.columns
    inner = (depth > surfaces.anterior + 3) & (depth < surfaces.posterior - 3)
    if not inner.any():
        return frame
    normals = [_plane_normal(surfaces, plate, inner) for plate in (surfaces.superior, surfaces.inferior)]
    if any(normal is None for normal in normals):
        return frame
    local = np.sum([normal for normal in normals if normal is not None], axis=0)
    local = local / np.linalg.norm(local)
    if np.degrees(np.arccos(np.clip(local[2], -1, 1))) > 20.0:
        return frame
    # In thick slices the plates' own tilt is noise; the curve of the spine is the better guide there.
    trust = 1.0 / (1.0 + (surfaces.sampling / 3.0) ** 4)
    local = trust * local + (1 - trust) * np.array([0.0, 0.0, 1.0])
    superior = local / np.linalg.norm(local) @ frame.axes
    tilted = frame_from(frame.number, frame.origin, superior, frame.axes[1], body.mask.points)
    middle = np.nanmedian((surfaces.superior + surfaces.inferior)[:, inner]) / 2
    return replace(tilted, origin=tilted.to_patient(np.array([0.0, 0.0, float(middle)])))


def _plane_normal(surfaces: BodySurfaces, plate: Array, inner: Flags) -> Array | None:
    """Unit normal, in the frame, of the plane through an endplate; outliers are weighted down."""
    lateral, depth = np.meshgrid(surfaces.planes, surfaces.columns, indexing="ij")
    use = np.isfinite(plate) & inner[None, :]
    if use.sum() < 12:
        return None
    design = np.stack([lateral[use], depth[use], np.ones(use.sum())], axis=1)
    fit = robust_fit(design, plate[use])
    normal = np.array([-fit[0], -fit[1], 1.0])
    return np.asarray(normal / np.linalg.norm(normal))
