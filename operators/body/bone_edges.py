"""Edges of bone along straight lines, to a fraction of a voxel, guided by a mask.

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

from operators.body.frame import BodyFrame
from operators.body.resampling import Array, Indices, Sampler, sampled_spacing

STEP_MM = 0.3
"""Sampling along a profile."""
COLUMN_MM = 1.0
"""Distance of columns front to back."""
REACH_MM = 4.5
"""Greatest distance of an edge from the border of the mask; the network's mask is off by about 1.5 mm."""
GUIDE_MM = 2.2
"""Standard deviation of the mask's border about the true edge, as the search assumes it."""
KERNEL_SIGMA_MM = 0.45
"""Blur of a soft to standard kernel, and of the slice profile beyond its nominal box."""
INTERPOLATION = 0.13
"""Variance that sampling and cubic interpolation add to the blur of a sheet, in squared voxels, on average
over the sheet's place between two samples; found on phantoms with slices of 1–3 mm."""
CORTEX_HU = 900.0
"""CT number of compact endplate bone; the thickness of a sheet is its total brightness over this."""
SHARED_MM = 0.5
"""Distance past the middle between two masks up to which an edge is believed to be the nearer vertebra's."""
GAP_SHARE = 0.35
"""Share of a column's neighbourhood that must show the plate for the column to be filled in."""
SHEET_MM = (0.2, 1.6)
"""Limits of the thickness of an endplate that is believed."""
RESOLVED_SIGMA = (2.2, 3.0)
"""Distance of two sheets in blur widths: below the first they are one peak, two apart above the second. Two
Gaussian peaks of equal height have a dip between them from 2 widths on (Sparrow)."""
THICK_SIGMA_MM = 1.5
"""Blur (of 3 mm slices) above which the image places a plate no better than the mask does."""
BEYOND_MM = 2.0
"""Distance past the mask's border, beside one blur width, that must be in view for an edge to be believed."""
SEEN_SHARE = 0.2
"""Share of the columns that must show a sheet before the mask may stand in for those that do not."""
FEWEST_LINES = 3
"""Lines that must meet the mask before an edge is looked for."""
MOST_SHIFT = 5
"""How many samples an edge may move from one column to the next."""


@dataclass(frozen=True)
class Edge:
    """A surface seen along one direction, on a grid of ``(planes, columns)``.

    Attributes:
        position: Distance from the frame's origin along the outward direction, mm; NaN where none.
        contrast: Height of the sheet above its surroundings, HU.
        scatter: Standard deviation of a single column about the smooth surface, mm.
        resolved: Share, 0…1, to which the sheet is a peak of its own and not one with the next vertebra's.
    """

    position: Array
    contrast: Array
    scatter: float
    resolved: float = 1.0


@dataclass(frozen=True)
class Sight:
    """Image, body and other vertebrae around it, at any point."""

    image: Sampler
    body: Sampler
    others: Sampler


@dataclass(frozen=True)
class Rays:
    """What is seen along lines ``(p, c)`` in one direction, whatever the point spread is.

    Attributes:
        depth: Distance of the samples from the grid, mm, shape ``(z,)``.
        guide: Depth of the mask's border, mm; NaN where a line misses the mask. With fewer than
            :data:`FEWEST_LINES` that meet it the rest is NaN: nothing is looked for.
        filled: The same, smooth and without gaps.
        profile: HU along the lines, ``(p, c, z)``, going on beyond the border of the image.
        ends: Depth up to which each line was seen, mm.
        limit: Depth halfway to the next vertebra, mm.
    """

    depth: Array
    guide: Array
    filled: Array
    profile: Array
    ends: Array
    limit: Array


class Blur:
    """The scanner's point spread along any direction, as a standard deviation in mm.

    Args:
        volume: Whose voxels decide the point spread.
        slice_thickness: Nominal, mm, where known.
        factor: How much more than its voxels say the volume is blurred: thick slices that were resampled
            to small voxels do not tell how thick they were.
    """

    def __init__(self, volume: hd.Volume, slice_thickness: float | None, factor: float = 1.0) -> None:
        axes = volume.affine[:3, :3]
        self.volume = volume
        self.factor = factor
        self._unit = axes / np.linalg.norm(axes, axis=0)
        spacing = sampled_spacing(volume)
        width = spacing.copy()
        through = int(np.argmax(spacing))
        if slice_thickness is not None and spacing.max() > 1.2 * spacing.min():
            width[through] = max(spacing[through], slice_thickness)
        self._variance = width**2 / 12 + INTERPOLATION * spacing**2 + KERNEL_SIGMA_MM**2

    def along(self, direction: Array) -> float:
        """Standard deviation along a unit vector in LPS."""
        share = (self._unit.T @ direction) ** 2
        return self.factor * float(np.sqrt((share * self._variance).sum()))


def look(sight: Sight, frame: BodyFrame, grid: Array, outward: Array, reach: float) -> Rays:
    """Sample image and masks along ``outward``, ``reach`` mm far, from every grid point ``(p, c, 3)`` of the frame."""
    depth = np.arange(0.0, reach, STEP_MM)
    points = frame.to_patient(grid[:, :, None, :] + depth[:, None] * outward)
    guide = _guide(np.nan_to_num(sight.body.at(points)), depth)
    if np.isfinite(guide).sum() < FEWEST_LINES:
        return Rays(depth, guide, guide, guide[..., None], guide, guide)
    profile, ends = _continued(np.clip(sight.image.at(points), -150.0, 1500.0), depth)
    filled = _filled(guide)
    limit = _half_way(np.nan_to_num(sight.others.at(points)), depth, filled)
    return Rays(depth, guide, filled, profile, ends, limit)


def find_edge(rays: Rays, sigma: float, outside: float) -> Edge:
    """The bone's outer surface on every line, under a point spread of ``sigma`` mm, before ``outside`` HU."""
    if np.isfinite(rays.guide).sum() < FEWEST_LINES:
        nothing = np.full(rays.guide.shape, np.nan)
        return Edge(nothing, nothing, 0.0)
    depth, filled, limit = rays.depth, rays.filled, rays.limit
    # Thick slices show a tilted plate as a staircase: wider patches average over its steps.
    patch = max(1.0, sigma / 0.8)
    profile = ndimage.gaussian_filter(rays.profile, (0.5 * patch, 0.7 * patch, 0.0), mode="nearest")
    visible = rays.ends >= filled + BEYOND_MM + sigma
    found = _responses(profile, sigma, outside)
    gain = np.clip(found.sheet, 0.0, 400.0) / 60.0 + np.clip(-found.step, -150.0, 150.0) / 150.0
    # Where two sheets are one peak the path keeps to the mask, or it would leave it for the peak's top.
    apart = 2 * (limit - SHARED_MM - filled) / sigma
    resolved = np.clip((apart - RESOLVED_SIGMA[0]) / (RESOLVED_SIGMA[1] - RESOLVED_SIGMA[0]), 0.0, 1.0)
    leash = GUIDE_MM * (0.3 + 0.7 * resolved) * np.clip(THICK_SIGMA_MM / sigma, 0.4, 1.0) ** 2
    gain = gain - 0.5 * ((depth - filled[..., None]) / leash[..., None]) ** 2
    # The flank of the next vertebra's sheet looks like a sheet whose middle lies elsewhere.
    gain = gain - 0.5 * (found.offset / max(0.5, 0.35 * sigma)) ** 2
    beyond = depth > np.minimum(limit, rays.ends)[..., None]
    gain[(np.abs(depth - filled[..., None]) > REACH_MM) | beyond] = -1e6
    path = _smooth_path(gain)
    centre, contrast = _refined(found, path, limit, leash)
    thickness = np.clip(contrast * sigma * np.sqrt(2 * np.pi) / CORTEX_HU, *SHEET_MM)
    position = centre * STEP_MM + thickness / 2
    met = np.isfinite(rays.guide) & visible
    position[~met | (contrast < 15.0)] = np.nan
    position, contrast = _anchored(position, contrast, filled, np.where(met, resolved, np.nan))
    apart_share = float(resolved[met].mean()) if met.any() else 1.0
    return replace(_smoothed(position, contrast, patch), resolved=apart_share)


def _continued(profile: Array, depth: Array) -> tuple[Array, Array]:
    """Profiles ``(p, c, z)`` whose last visible value goes on beyond the border of the image, and where that is.

    A vertebra near the border of the volume is whole although the view ends soon after it.

    Args:
        profile: HU, NaN outside the image.
        depth: mm of every sample.

    Returns:
        Profiles without NaN, and the depth ``(p, c)`` in mm up to which each was seen.
    """
    unseen = ~np.isfinite(profile)
    if not unseen.any():
        return profile, np.full(profile.shape[:2], depth[-1] + STEP_MM)
    first = np.where(unseen.any(axis=2), unseen.argmax(axis=2), len(depth))
    last = np.maximum(first - 1, 0)
    edge = np.nan_to_num(np.take_along_axis(profile, last[..., None], axis=2))
    continued = np.where(np.arange(len(depth)) < first[..., None], profile, edge)
    return continued, np.where(first > 0, depth[last], -1.0)


def _anchored(position: Array, contrast: Array, guide: Array, resolved: Array) -> tuple[Array, Array]:
    """Positions drawn to the mask's border where the next vertebra is too near to be told apart.

    In thick slices the plates on both sides of a thin disc blur into one peak, in the middle of the disc:
    taken for the plate, it makes both vertebrae too high by half a disc each.

    Args:
        position: Found in the image, NaN where nothing was.
        contrast: Of the sheets found, HU.
        guide: The mask's border.
        resolved: 1 where the next vertebra's sheet is a peak of its own, 0 where it is not, NaN where
            image or mask are missing.

    Returns:
        Position and contrast, the latter that of a usual column where the mask stands in.
    """
    seen, met = np.isfinite(position), np.isfinite(resolved)
    if seen.sum() < SEEN_SHARE * max(int(met.sum()), 1):
        return position, contrast
    believed = np.where(seen & met, resolved, 0.0)
    mixed = believed * np.nan_to_num(position) + (1 - believed) * guide
    usual = float(np.median(contrast[seen]))
    kept = met & (seen | (resolved < 1))
    return np.where(kept, mixed, np.nan), believed * contrast + (1 - believed) * usual


def _guide(occupancy: Array, depth: Array) -> Array:
    """Last depth ``(p, c)`` inside the mask along each profile; NaN where the mask is missed."""
    inside = occupancy >= 0.5
    last = inside.shape[2] - 1 - inside[..., ::-1].argmax(axis=2)
    guide = depth[last] + STEP_MM / 2
    return np.asarray(np.where(inside.any(axis=2), guide, np.nan))


def _half_way(others: Array, depth: Array, guide: Array) -> Array:
    """Depth ``(p, c)`` halfway to the next vertebra, beyond which an edge belongs to that one."""
    beyond = (others >= 0.5) & (depth > guide[..., None])
    first = np.where(beyond.any(axis=2), depth[beyond.argmax(axis=2)], np.inf)
    return np.asarray((guide + first) / 2 + SHARED_MM)


def _filled(guide: Array) -> Array:
    """The mask's border made smooth and continued over columns that miss the mask."""
    holes = ~np.isfinite(guide)
    if holes.any():
        nearest = ndimage.distance_transform_edt(holes, return_distances=False, return_indices=True)
        guide = guide[tuple(nearest)]
    return np.asarray(ndimage.gaussian_filter(ndimage.median_filter(guide, (3, 5)), (1.0, 1.5)))


@dataclass(frozen=True)
class _Responses:
    """Fit of a blurred sheet on a blurred step at every sample of the profiles ``(p, c, z)``.

    Attributes:
        sheet: Height of the sheet, HU.
        step: Rise from inside to outside, HU; negative at the border of bone.
        offset: How far from the sample the sheet lies, mm.
    """

    sheet: Array
    step: Array
    offset: Array


def _responses(profile: Array, sigma: float, outside: float) -> _Responses:
    """Fit a sheet under a Gaussian blur of ``sigma`` mm by weighted least squares, in a window at each sample.

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
    # A collapsed body in thick slices may be lower than that.
    back = min(int(np.ceil((2.5 * sigma + 1.5) / STEP_MM)), profile.shape[2] - 1)
    marrow = ndimage.uniform_filter1d(profile, max(3, back // 2), axis=2, mode="nearest")
    marrow = np.concatenate([np.repeat(marrow[..., :1], back, axis=2), marrow[..., :-back]], axis=2)
    step = outside - marrow
    tilt = tilt - step * float(solve[2] @ edge)
    return _Responses(sheet, step, np.clip(-tilt / np.maximum(sheet, 20.0), -1.0, 1.0))


def _smooth_path(gain: Array) -> Indices:
    """Index ``(p, c)`` of the best path along the columns of every plane (Viterbi)."""
    planes, columns, depth = gain.shape
    gain = ndimage.gaussian_filter1d(gain, 0.7, axis=0, mode="nearest")
    shifts = np.arange(-MOST_SHIFT, MOST_SHIFT + 1)
    cost = 0.5 * (shifts * STEP_MM / (0.45 * COLUMN_MM)) ** 2
    # Best sum up to each column, with room at both ends for the steps that would leave the profile.
    best = np.full((columns, planes, depth + 2 * MOST_SHIFT), -1e9)
    inner = slice(MOST_SHIFT, MOST_SHIFT + depth)
    best[0, :, inner] = gain[:, 0]
    reached = np.lib.stride_tricks.sliding_window_view(best, depth, axis=2)
    for column in range(1, columns):
        options = reached[column - 1].transpose(1, 0, 2) - cost[:, None, None]
        best[column, :, inner] = options.max(axis=0) + gain[:, column]
    path = np.empty((planes, columns), dtype=int)
    path[:, -1] = best[-1, :, inner].argmax(axis=1)
    plane = np.arange(planes)[:, None]
    for column in range(columns - 1, 0, -1):
        here = path[:, column, None]
        choice = (best[column - 1][plane, here + np.arange(len(shifts))] - cost).argmax(axis=1)
        path[:, column - 1] = np.clip(here[:, 0] + shifts[choice], 0, depth - 1)
    return path


def _refined(found: _Responses, path: Indices, limit: Array, leash: Array) -> tuple[Array, Array]:
    """Place of the sheet within ``leash`` mm of the path, in samples and fractions, and its height there."""
    last = found.sheet.shape[2] - 1.0
    place = path.astype(np.float64)
    low = np.maximum(place - leash / STEP_MM, 1.0)
    high = np.maximum(np.minimum(np.minimum(place + leash / STEP_MM, last - 1), limit / STEP_MM), low)
    plane, column = np.indices(path.shape)
    for _ in range(4):
        step = ndimage.map_coordinates(found.offset, [plane, column, place], order=1, mode="nearest")
        place = np.clip(place + np.clip(step, -0.6, 0.6) / STEP_MM, low, high)
    return place, ndimage.map_coordinates(found.sheet, [plane, column, place], order=1, mode="nearest")


def _smoothed(position: Array, contrast: Array, patch: float) -> Edge:
    """Weighted local means over neighbouring columns, and the scatter about them.

    A column without evidence takes the mean of a wider neighbourhood, where there is enough of it.
    """
    seen = np.isfinite(position)
    weight = np.where(seen, np.clip(contrast, 10.0, 400.0), 0.0)
    near, _ = _local_mean(position, weight, (0.6 * patch, 0.9 * patch))
    wide, share = _local_mean(position, weight, (1.2 * patch, 2.5 * patch))
    smooth = np.where(seen, near, np.where(share > GAP_SHARE, wide, np.nan))
    apart = (position - smooth)[seen]
    scatter = float(1.4826 * np.median(np.abs(apart))) if apart.size else 0.0
    return Edge(smooth, np.where(seen, contrast, np.nan), scatter)


def _local_mean(position: Array, weight: Array, width: tuple[float, float]) -> tuple[Array, Array]:
    """Weighted Gaussian mean of the columns that have a weight, and the share that these are."""
    has_weight = weight > 0
    layers = np.stack([weight, np.where(has_weight, position, 0.0) * weight, has_weight])
    total, held, share = ndimage.gaussian_filter(layers, width, mode="constant", axes=(1, 2))
    return held / np.where(total > 0, total, 1.0), share
