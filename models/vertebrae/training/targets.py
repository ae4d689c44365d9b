"""What the networks learn: classes, phase, level and offset, derived from a label map by geometry.

A label map says which vertebra a voxel belongs to. It does not say what is body and what is arch,
where the discs are, or where along its own vertebra a voxel lies. This module derives that, once
for each label map, on a grid whose axes run towards the head, the back and the left.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from models.anatomy import Region
from models.label_ids import CORD_ID, HIGHEST_ID, RIB_IDS, S1_ID, SACRUM_ID
from models.volume.body_split import compact, cord_curve, split_body

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]

C1_ID, C2_ID = HIGHEST_ID, HIGHEST_ID - 1
NO_LEVEL = 255
"""Level of a voxel that belongs to no vertebra."""
NO_PHASE = 255
"""Phase of a voxel that lies in neither body nor disc."""
PHASE_STEPS = 250
"""Steps in which the phase of one vertebra is stored."""
NO_OFFSET = -128
"""Offset of a voxel that belongs to no vertebra."""
DENS_SHARE = 0.55
"""Most of C2's height that is its dens."""
UNKNOWN = 255
"""Region of a voxel of which the label map does not say what it is: nothing is learnt from it."""


@dataclass(frozen=True)
class SpineTargets:
    """Targets on the grid of a label map, each of shape ``(z, y, x)``.

    Attributes:
        regions: uint8, values of :class:`models.anatomy.Region`.
        levels: uint8, 0 for C1 … 24 for S1, 25 for the rest of the sacrum, else ``NO_LEVEL``. A disc
            voxel has the level of the nearer of its two vertebrae.
        phase: uint8, position in the vertebra along the spine times ``PHASE_STEPS``: 0 at the middle
            of the disc above, ``PHASE_STEPS`` at that of the disc below; else ``NO_PHASE``.
        offset: int8, distance in mm along the spine from the voxel to the centre of its vertebra,
            positive towards the feet; else ``NO_OFFSET``.
        centres: Level to the centre of its body in mm, ``(z, y, x)`` on the grid.
    """

    regions: npt.NDArray[np.uint8]
    levels: npt.NDArray[np.uint8]
    phase: npt.NDArray[np.uint8]
    offset: npt.NDArray[np.int8]
    centres: dict[int, Floats]


class NoSpineError(ValueError):
    """A label map holds fewer than two vertebrae, so it has no spine's curve."""

    def __init__(self, found: int) -> None:
        super().__init__(f"a label map needs two vertebrae or more to make targets, this one has {found}")
        self.found = found


@dataclass(frozen=True)
class _Axis:
    """The spine's curve through the centres of the bodies, from the head to the feet."""

    tree: cKDTree
    positions: Floats
    points: Floats
    tangents: Floats

    def along(self, points: Floats) -> tuple[Floats, Floats]:
        """Position along the curve and offset from it (both mm) of points ``(n, 3)``."""
        distance, index = self.tree.query(points, workers=2)
        del distance
        beyond = np.einsum("ij,ij->i", points - self.points[index], self.tangents[index])
        # Within the curve the nearest point is exact to half a step; beyond its ends go straight on.
        return self.positions[index] + beyond, points - self.points[index]


def _axis(centres: Floats) -> _Axis:
    steps = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(centres, axis=0), axis=1))])
    spline = CubicSpline(steps, centres, bc_type="natural")
    positions = np.arange(-40.0, steps[-1] + 40.0, 0.5)
    inside = np.clip(positions, 0.0, steps[-1])
    tangents = spline(inside, 1)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    points = spline(inside) + (positions - inside)[:, None] * tangents
    return _Axis(cKDTree(points), positions, points, tangents)


def make_targets(labels: Array, spacing: float) -> SpineTargets:
    """Derive all targets from a label map.

    Args:
        labels: Label map ``(z, y, x)`` with the ids of TotalSegmentator v2, axes towards the head,
            the back and the left.
        spacing: Voxel edge in mm, the same along all axes.

    Raises:
        NoSpineError: There are fewer than two vertebrae.
        models.volume.body_split.NoCanalError: There is no spinal cord.
    """
    cord = cord_curve(labels, spacing)
    present = [i for i in range(HIGHEST_ID, SACRUM_ID, -1) if np.count_nonzero(labels == i) >= 200]
    if len(present) < 2:
        raise NoSpineError(len(present))
    regions = np.zeros(labels.shape, np.uint8)
    levels = np.full(labels.shape, NO_LEVEL, np.uint8)
    regions[np.isin(labels, list(RIB_IDS))] = Region.RIB
    regions[labels == SACRUM_ID] = Region.SACRUM
    levels[labels == SACRUM_ID] = HIGHEST_ID - SACRUM_ID
    bodies: dict[int, Floats] = {}
    for level_id in present:
        voxels = np.argwhere(labels == level_id)
        body = _body_voxels(labels, voxels, level_id, cord, spacing)
        levels[tuple(voxels.T)] = HIGHEST_ID - level_id
        values = np.where(body, Region.BODY, Region.POSTERIOR_ELEMENTS)
        regions[tuple(voxels.T)] = Region.SACRUM if level_id == S1_ID else values
        if np.count_nonzero(body) >= 50:
            bodies[level_id] = voxels[body] * spacing
    phase, offset, centres = _positions(labels, regions, levels, bodies, spacing)
    bone = levels != NO_LEVEL
    reach = ndimage.generate_binary_structure(3, 1)
    canal = ndimage.binary_dilation(labels == CORD_ID, reach, iterations=max(1, round(2.5 / spacing)))
    regions[canal & ~bone & (regions != Region.DISC)] = Region.CANAL
    return SpineTargets(regions, levels, phase, offset, centres)


def _body_voxels(labels: Array, voxels: Array, level_id: int, cord: Floats, spacing: float) -> npt.NDArray[np.bool_]:
    """Which voxels of a vertebra are its body.

    C1 has none: its anterior arch and the front of its lateral masses, before the middle of the canal, stand for it.
    """
    if level_id == C1_ID:
        return np.asarray(voxels[:, 1] * spacing < cord[voxels[:, 0], 1])
    return compact(voxels, split_body(labels, level_id, cord, spacing))


def _positions(
    labels: Array, regions: Array, levels: Array, bodies: dict[int, Floats], spacing: float
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int8], dict[int, Floats]]:
    """Phase, offset and centres; marks the discs in ``regions`` on the way."""
    order = sorted(bodies, reverse=True)
    axis = _axis(np.stack([bodies[i].mean(axis=0) for i in order]))
    ends = {}
    for level_id in order:
        position, across = axis.along(bodies[level_id])
        near = np.linalg.norm(across, axis=1) < 14.0
        chosen = position[near] if np.count_nonzero(near) > 30 else position
        ends[level_id] = (float(np.percentile(chosen, 3)), float(np.percentile(chosen, 97)))
    if C1_ID in ends and C2_ID in ends:
        # The dens stands inside C1: the middle of C2 is that of what lies below C1.
        (_, bottom_of_c1), (top, bottom) = ends[C1_ID], ends[C2_ID]
        ends[C2_ID] = (min(max(top, bottom_of_c1), top + DENS_SHARE * (bottom - top)), bottom)
    borders = _borders(order, ends)
    _mark_discs(labels, regions, order, bodies, ends, axis, spacing)
    phase = np.full(labels.shape, NO_PHASE, np.uint8)
    offset = np.full(labels.shape, NO_OFFSET, np.int8)
    centres = {}
    knots = np.array([borders[i][0] for i in order] + [borders[order[-1]][1]])
    disc = np.argwhere(regions == Region.DISC)
    if disc.size:
        position, _ = axis.along(disc * spacing)
        turn = np.interp(position, knots, np.arange(knots.size))
        owner = np.clip(np.floor(turn), 0, len(order) - 1).astype(int)
        levels[tuple(disc.T)] = HIGHEST_ID - np.array(order)[owner]
        phase[tuple(disc.T)] = np.round(turn % 1.0 * PHASE_STEPS)
    for level_id in order:
        voxels = np.argwhere(labels == level_id)
        top, bottom = borders[level_id]
        position, _ = axis.along(voxels * spacing)
        centre = 0.5 * (ends[level_id][0] + ends[level_id][1])
        offset[tuple(voxels.T)] = np.clip(np.round(centre - position), -120, 120)
        body = np.isin(regions[tuple(voxels.T)], (Region.BODY, Region.SACRUM))
        part = np.clip((position[body] - top) / (bottom - top), 0.0, 1.0)
        phase[tuple(voxels[body].T)] = np.round(part * PHASE_STEPS)
        centres[HIGHEST_ID - level_id] = bodies[level_id].mean(axis=0)
    return phase, offset, centres


def _borders(order: list[int], ends: dict[int, tuple[float, float]]) -> dict[int, tuple[float, float]]:
    """Where each vertebra begins and ends along the spine: the middles of its discs."""
    borders = {}
    for place, level_id in enumerate(order):
        top, bottom = ends[level_id]
        above = 0.5 * (ends[order[place - 1]][1] + top) if place else top - 2.0
        below = 0.5 * (bottom + ends[order[place + 1]][0]) if place + 1 < len(order) else bottom + 2.0
        borders[level_id] = (above, below)
    return borders


def _mark_discs(
    labels: Array,
    regions: Array,
    order: list[int],
    bodies: dict[int, Floats],
    ends: dict[int, tuple[float, float]],
    axis: _Axis,
    spacing: float,
) -> None:
    """Mark the gaps between neighbouring bodies as disc, over the footprint of the two bodies."""
    for upper, lower in pairwise(order):
        if upper - lower != 1 or upper == C1_ID:
            # There is no disc between C1 and C2.
            continue
        both = np.concatenate([bodies[upper], bodies[lower]])
        low = np.maximum(np.floor(both.min(axis=0) / spacing).astype(int), 0)
        high = np.ceil(both.max(axis=0) / spacing).astype(int) + 1
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        grid = np.argwhere(labels[box] >= 0) + low
        position, across = axis.along(grid * spacing)
        lower_third = bodies[upper][axis.along(bodies[upper])[0] > ends[upper][1] - 9.0]
        upper_third = bodies[lower][axis.along(bodies[lower])[0] < ends[lower][0] + 9.0]
        rim = np.concatenate([axis.along(lower_third)[1], axis.along(upper_third)[1]])
        near = cKDTree(rim).query(across, distance_upper_bound=1.5 * spacing, workers=2)[0]
        gap = (position > ends[upper][1] - 4.0) & (position < ends[lower][0] + 4.0)
        voxels = grid[gap & np.isfinite(near)]
        free = ~np.isin(labels[tuple(voxels.T)], range(SACRUM_ID, HIGHEST_ID + 1))
        free &= labels[tuple(voxels.T)] != CORD_ID
        regions[tuple(voxels[free].T)] = Region.DISC
