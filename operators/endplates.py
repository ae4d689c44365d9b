"""The surfaces of a vertebral body, found in the CT to a fraction of a voxel, guided by the mask.

An endplate is a bright sheet, thinner than the blur of the scanner, between marrow and disc, which are
about equally dense. Half-maximum and steepest-gradient edges of such a sheet lie outside of it by about
one blur width, millimetres in thick slices. So the sheet's *centre* is found instead, with a matched
filter for "sheet plus step" under the blur of this scan, which is unbiased however thick the slices are,
and half of the sheet's thickness, estimated from the sheet's total brightness, is added (the idea of
Treece et al. for cortical bone, Med Image Anal 2010). Neighbouring columns must agree: the best smooth
path through all columns is taken by dynamic programming, near the border of the mask.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import highdicom as hd
import numpy as np
from scipy import ndimage, special

from operators.resampling import Array, Flags, Indices, Sampler, spacing_along
from operators.vertebra_frame import Body, BodyFrame, frame_from

STEP_MM = 0.3
"""Sampling along a profile."""
COLUMN_MM = 1.0
"""Distance of columns front to back."""
PLANES_MM = np.arange(-10.0, 10.1, 2.0)
"""Parasagittal planes, left-right positions in the vertebra's frame."""
REACH_MM = 4.5
"""How far from the border of the mask an edge may lie; the network's mask is off by about 1.5 mm."""
GUIDE_MM = 2.2
"""Standard deviation of the mask's border about the true edge, as the search assumes it."""
KERNEL_SIGMA_MM = 0.45
"""Blur of a soft to standard kernel, and of the slice profile beyond its nominal box."""
INTERPOLATION = 0.13
"""Variance that sampling and cubic interpolation add to the blur of a sheet, in squared voxels, on average
over the sheet's place between two samples; found on phantoms with slices of 1–3 mm."""
CORTEX_HU = 900.0
"""CT number of compact endplate bone; the thickness of a sheet is its total brightness over this."""
DISC_HU, SOFT_HU = 85.0, 30.0
"""What lies behind an endplate, and behind a wall (fat, muscle, blood, nerves); 30 HU more or less moves the
edge by about 0.05 mm in slices of 1 mm."""
SHEET_MM = (0.2, 1.6)
"""Limits of the thickness that is believed."""


@dataclass(frozen=True)
class Edge:
    """A surface seen along one direction, on a grid of ``(planes, columns)``.

    Attributes:
        position: Distance from the frame's origin along the outward direction, mm; NaN where none.
        contrast: Height of the sheet above its surroundings, HU.
        scatter: Standard deviation of a single column about the smooth surface, mm.
    """

    position: Array
    contrast: Array
    scatter: float


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
        sampling: Distance of voxels along the superior axis, mm.
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


def body_surfaces(volume: hd.Volume, body: Body, slice_thickness: float | None) -> BodySurfaces:
    """Find the surfaces of one vertebral body and tilt its frame onto the endplates.

    Args:
        volume: HU, shape ``(k, i, j)``, affine in mm (LPS).
        body: Mask and first frame.
        slice_thickness: Nominal thickness in mm; the slice spacing where it is unknown.

    Returns:
        The surfaces. Columns without evidence are NaN; a body without any is all NaN, never an error.
    """
    sampler = Sampler(volume, body.mask.points, margin=12.0)
    mask = Sampler(body.mask.body, body.mask.points, margin=2 * body.mask.voxel, order=1)
    blur = _Blur(volume, slice_thickness)
    first = _surfaces(sampler, mask, body.frame, blur)
    tilted = _tilted(first, body)
    return _surfaces(sampler, mask, tilted, blur)


class _Blur:
    """The scanner's point spread along any direction, as a standard deviation in mm."""

    def __init__(self, volume: hd.Volume, slice_thickness: float | None) -> None:
        axes = volume.affine[:3, :3]
        self.volume = volume
        spacing = np.linalg.norm(axes, axis=0)
        self._unit = axes / spacing
        width = spacing.copy()
        through = int(np.argmax(spacing))
        if slice_thickness is not None and spacing.max() > 1.2 * spacing.min():
            width[through] = max(spacing[through], slice_thickness)
        self._variance = width**2 / 12 + INTERPOLATION * spacing**2 + KERNEL_SIGMA_MM**2

    def along(self, direction: Array) -> float:
        share = (self._unit.T @ direction) ** 2
        return float(np.sqrt((share * self._variance).sum()))


def _surfaces(sampler: Sampler, mask: Sampler, frame: BodyFrame, blur: _Blur) -> BodySurfaces:
    planes = PLANES_MM[np.abs(PLANES_MM) <= max(2.0, 0.3 * frame.size[0])]
    half = frame.size[1] / 2
    columns = np.arange(-np.floor(half + 5), np.floor(half + 5) + 0.1, COLUMN_MM)
    grid = np.stack(np.meshgrid(planes, columns, [0.0], indexing="ij"), axis=-1)[:, :, 0]
    reach = frame.size[2] / 2 + REACH_MM + 4.0
    along = frame.axes[2]
    sigma = blur.along(along)
    superior = _edge(sampler, mask, frame, grid, np.array([0, 0, 1.0]), reach, sigma, DISC_HU)
    inferior = _edge(sampler, mask, frame, grid, np.array([0, 0, -1.0]), reach, sigma, DISC_HU)
    front = _wall(sampler, mask, frame, planes, blur, -1.0)
    back = _wall(sampler, mask, frame, planes, blur, 1.0)
    left, right = _sides(sampler, mask, frame, blur)
    contrast = np.concatenate([superior.contrast.ravel(), inferior.contrast.ravel()])
    seen = np.isfinite(contrast)
    return BodySurfaces(
        frame=frame,
        planes=planes,
        columns=columns,
        superior=superior.position,
        inferior=-inferior.position,
        anterior=front.waist,
        posterior=back.waist,
        anterior_rim=front.rim,
        posterior_rim=back.rim,
        left=left,
        right=right,
        contrast=float(np.median(contrast[seen])) if seen.any() else 0.0,
        scatter=float(np.hypot(superior.scatter, inferior.scatter) / np.sqrt(2)),
        sampling=spacing_along(blur.volume, along),
    )


def _edge(
    sampler: Sampler,
    mask: Sampler,
    frame: BodyFrame,
    grid: Array,
    outward: Array,
    reach: float,
    sigma: float,
    outside: float,
) -> Edge:
    """The bone's outer surface along ``outward`` from every grid point ``(p, c, 3)`` of the frame."""
    depth = np.arange(0.0, reach, STEP_MM)
    points = frame.to_patient(grid[:, :, None, :] + depth[:, None] * outward)
    guide = _guide(np.nan_to_num(mask.at(points)), depth)
    if np.isfinite(guide).sum() < 3:
        nothing = np.full(grid.shape[:2], np.nan)
        return Edge(nothing, nothing, 0.0)
    profile = sampler.at(points)
    visible = np.isfinite(profile).all(axis=2)
    profile = np.nan_to_num(np.clip(profile, -150.0, 1500.0), nan=0.0)
    # Thick slices show a tilted plate as a staircase: wider patches average over its steps.
    patch = max(1.0, sigma / 0.8)
    profile = ndimage.gaussian_filter(profile, (0.5 * patch, 0.7 * patch, 0.0), mode="nearest")
    filled = _filled(guide)
    found = _responses(profile, sigma, outside)
    gain = np.clip(found.sheet, 0.0, 400.0) / 60.0 + np.clip(-found.step, -150.0, 150.0) / 150.0
    gain = gain - 0.5 * ((depth - filled[..., None]) / GUIDE_MM) ** 2
    gain[np.abs(depth - filled[..., None]) > REACH_MM] = -1e6
    path = _smooth_path(gain)
    centre, contrast = _refined(found, path)
    thickness = np.clip(contrast * sigma * np.sqrt(2 * np.pi) / CORTEX_HU, *SHEET_MM)
    position = centre * STEP_MM + thickness / 2
    lost = ~np.isfinite(guide) | ~visible | (contrast < 15.0)
    position[lost] = np.nan
    return _smoothed(position, contrast, patch)


def _guide(occupancy: Array, depth: Array) -> Array:
    """Last depth ``(p, c)`` inside the mask along each profile; NaN where the mask is missed."""
    inside = occupancy >= 0.5
    last = inside.shape[2] - 1 - inside[..., ::-1].argmax(axis=2)
    guide = depth[last] + STEP_MM / 2
    return np.asarray(np.where(inside.any(axis=2), guide, np.nan))


def _filled(guide: Array) -> Array:
    """The mask's border made smooth and continued over columns that miss the mask."""
    holes = ~np.isfinite(guide)
    if holes.any():
        nearest = ndimage.distance_transform_edt(holes, return_distances=False, return_indices=True)
        guide = guide[tuple(nearest)]
    return np.asarray(ndimage.gaussian_filter(ndimage.median_filter(guide, (3, 5)), (1.0, 1.5)))


@dataclass(frozen=True)
class _Responses:
    """What a blurred sheet on a blurred step would be at every sample of the profiles ``(p, c, z)``.

    Attributes:
        sheet: Height of the sheet, HU.
        step: Rise from inside to outside, HU; negative at the border of bone.
        offset: How far from the sample the sheet lies, mm.
    """

    sheet: Array
    step: Array
    offset: Array


def _responses(profile: Array, sigma: float, outside: float) -> _Responses:
    """Weighted least squares of a sheet under a Gaussian blur of ``sigma`` mm, in a window at each sample.

    The step from marrow to what lies outside pulls the top of the blurred sheet inwards. Its size is
    known (the marrow is seen further in, ``outside`` is given), so its part of the slope is taken off.
    """
    half = int(np.ceil(max(2.5 * sigma, 1.5) / STEP_MM))
    z = np.arange(-half, half + 1) * STEP_MM
    bump = np.exp(-0.5 * (z / sigma) ** 2)
    slope = -z / sigma**2 * bump
    edge = special.ndtr(z / sigma) - 0.5
    weight = np.exp(-0.25 * (z / (1.6 * sigma)) ** 2)
    design = np.stack([np.ones_like(z), bump, slope], axis=1)
    solve = np.linalg.pinv(design * weight[:, None]) * weight
    sheet = ndimage.correlate1d(profile, solve[1], axis=2, mode="nearest")
    tilt = ndimage.correlate1d(profile, solve[2], axis=2, mode="nearest")
    back = int(np.ceil((2.5 * sigma + 1.5) / STEP_MM))
    marrow = ndimage.uniform_filter1d(profile, max(3, back // 2), axis=2, mode="nearest")
    marrow = np.concatenate([np.repeat(marrow[..., :1], back, axis=2), marrow[..., :-back]], axis=2)
    step = outside - marrow
    tilt = tilt - step * float(solve[2] @ edge)
    return _Responses(sheet, step, np.clip(-tilt / np.maximum(sheet, 20.0), -1.0, 1.0))


def _smooth_path(gain: Array) -> Indices:
    """Index ``(p, c)`` of the best path along the columns of every plane (Viterbi)."""
    planes, columns, depth = gain.shape
    gain = ndimage.gaussian_filter1d(gain, 0.7, axis=0, mode="nearest")
    shifts = np.arange(-5, 6)
    cost = 0.5 * (shifts * STEP_MM / (0.45 * COLUMN_MM)) ** 2
    best = gain[:, 0]
    origin = np.zeros((columns, planes, depth), dtype=int)
    for column in range(1, columns):
        padded = np.pad(best, ((0, 0), (5, 5)), constant_values=-1e9)
        options = np.stack([padded[:, 5 + s : 5 + s + depth] - c for s, c in zip(shifts, cost, strict=True)])
        choice = options.argmax(axis=0)
        origin[column] = np.clip(np.arange(depth) + shifts[choice], 0, depth - 1)
        best = np.take_along_axis(options, choice[None], axis=0)[0] + gain[:, column]
    path = np.empty((planes, columns), dtype=int)
    path[:, -1] = best.argmax(axis=1)
    for column in range(columns - 1, 0, -1):
        path[:, column - 1] = np.take_along_axis(origin[column], path[:, column, None], axis=1)[:, 0]
    return path


def _refined(found: _Responses, path: Indices) -> tuple[Array, Array]:
    """Place of the sheet next to the path, in samples and fractions, and its height there."""
    last = found.sheet.shape[2] - 1.0
    place = path.astype(np.float64)
    plane, column = np.indices(path.shape)
    for _ in range(4):
        step = ndimage.map_coordinates(found.offset, [plane, column, place], order=1, mode="nearest")
        place = np.clip(place + np.clip(step, -0.6, 0.6) / STEP_MM, 1.0, last - 1)
    return place, ndimage.map_coordinates(found.sheet, [plane, column, place], order=1, mode="nearest")


def _smoothed(position: Array, contrast: Array, patch: float) -> Edge:
    """Weighted local means over neighbouring columns, and the scatter about them."""
    seen = np.isfinite(position)
    weight = np.where(seen, np.clip(contrast, 10.0, 400.0), 0.0)
    width = (0.6 * patch, 0.9 * patch)
    total = ndimage.gaussian_filter(weight, width, mode="constant")
    mean = ndimage.gaussian_filter(np.where(seen, position, 0.0) * weight, width, mode="constant")
    smooth = np.where(seen, mean / np.where(total > 0, total, 1.0), np.nan)
    apart = (position - smooth)[seen]
    scatter = float(1.4826 * np.median(np.abs(apart))) if apart.size else 0.0
    return Edge(smooth, np.where(seen, contrast, np.nan), scatter)


@dataclass(frozen=True)
class _Wall:
    """Front-back position of one wall near the midline: at mid-height, and where it meets the endplates."""

    waist: float
    rim: float


def _wall(sampler: Sampler, mask: Sampler, frame: BodyFrame, planes: Array, blur: _Blur, outward: float) -> _Wall:
    """The anterior (``outward`` -1) or posterior (1) wall; from the mask where the image shows none.

    Walls draw in at mid-height, so a parabola through the rows is continued to the endplates. Rows right
    at the endplates would be easier, but osteophytes sit there.
    """
    shares = np.linspace(-0.38, 0.38, 9)
    near = planes[np.abs(planes) <= 6.0]
    grid = np.stack(np.meshgrid(near, [0.0], shares * frame.size[2], indexing="ij"), axis=-1)[:, 0]
    reach = frame.size[1] / 2 + REACH_MM + 4.0
    direction = np.array([0, outward, 0.0])
    edge = _edge(sampler, mask, frame, grid, direction, reach, blur.along(frame.axes[1]), SOFT_HU)
    rows = np.nanmedian(edge.position, axis=0)
    seen = np.isfinite(rows)
    if seen.sum() < 4:
        return _Wall(outward * frame.size[1] / 2, outward * frame.size[1] / 2)
    design = np.stack([np.ones(seen.sum()), shares[seen], shares[seen] ** 2], axis=1)
    fit = _robust(design, rows[seen])
    waist = float(fit[0])
    rim = waist + float(np.clip(0.47**2 * fit[2], 0.0, 3.5))
    return _Wall(outward * waist, outward * rim)


def _sides(sampler: Sampler, mask: Sampler, frame: BodyFrame, blur: _Blur) -> tuple[float, float]:
    """Left-right position of the side walls, in front of the pedicles, mm."""
    columns = np.array([-0.2, -0.1, 0.0, 0.1]) * frame.size[1]
    rows = np.arange(-0.2, 0.21, 0.1) * frame.size[2]
    grid = np.stack(np.meshgrid([0.0], columns, rows, indexing="ij"), axis=-1)[0]
    reach = frame.size[0] / 2 + REACH_MM + 4.0
    sigma = blur.along(frame.axes[0])
    sides = []
    for outward in (1.0, -1.0):
        edge = _edge(sampler, mask, frame, grid, np.array([outward, 0.0, 0.0]), reach, sigma, SOFT_HU)
        seen = edge.position[np.isfinite(edge.position)]
        sides.append(outward * (float(np.median(seen)) if seen.size else frame.size[0] / 2))
    return sides[0], sides[1]


def _robust(design: Array, values: Array) -> Array:
    """Least squares in which values far from the fit count little."""
    weight: Array = np.ones(len(values))
    fit: Array = np.zeros(design.shape[1])
    for _ in range(6):
        fit = np.asarray(np.linalg.lstsq(design * weight[:, None], values * weight, rcond=None)[0])
        rest = values - design @ fit
        scale = max(0.3, 1.4826 * float(np.median(np.abs(rest))))
        weight = 1.0 / np.sqrt(1.0 + (rest / (2 * scale)) ** 2)
    return fit


def _tilted(surfaces: BodySurfaces, body: Body) -> BodyFrame:
    """The frame with its superior axis on the bisector of the two endplates' normals."""
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
    fit = _robust(design, plate[use])
    normal = np.array([-fit[0], -fit[1], 1.0])
    return np.asarray(normal / np.linalg.norm(normal))
