"""Which part of a vertebra is its body and which its arch, by geometry: the body lies in front of the canal.

A label map says which vertebra a voxel belongs to, not what is body and what is arch. Axes run towards the head, the
back and the left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.label_ids import CORD_ID

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]

LEAST_CANAL = 1000.0
"""Volume in mm³ from which a label map's own canal is used."""
HOLE = (60.0, 900.0)
"""Area in mm² of the vertebral foramen in a slice: between a transverse foramen and a wrong contour."""


class NoCanalError(ValueError):
    """A label map holds no spinal canal, so that bodies cannot be told from arches."""

    def __init__(self) -> None:
        super().__init__("the label map holds no spinal cord or canal: label it, or fill it in from the arches")


def with_canal(labels: Array, vertebrae: Sequence[Array], spacing: float) -> Array:
    """Label map with a canal: its own, or the hole that the arches leave in each slice.

    Args:
        labels: Label map ``(z, y, x)``.
        vertebrae: Voxels ``(n, 3)`` of every vertebra in it.
        spacing: Voxel edge in mm.
    """
    if np.count_nonzero(labels == CORD_ID) * spacing**3 >= LEAST_CANAL:
        return labels
    every = np.concatenate(list(vertebrae))
    low, high = every.min(axis=0), every.max(axis=0) + 1
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    bone = np.zeros(high - low, bool)
    bone[tuple((every - low).T)] = True
    result: Array = labels.copy()
    part = result[box]
    for index, plane in enumerate(bone):
        parts, count = ndimage.label(ndimage.binary_fill_holes(plane) & ~plane)
        if not count:
            continue
        areas = np.bincount(parts.ravel())[1:] * spacing**2
        best = int(areas.argmax())
        if HOLE[0] <= areas[best] <= HOLE[1]:
            part[index][parts == best + 1] = CORD_ID
    return result


def cord_curve(labels: Array, spacing: float) -> Floats:
    """Centre of the spinal canal for every axial slice, mm, shape ``(slices, 3)`` as ``(z, y, x)``.

    Slices without a cord label take the nearest known centre, which is good enough for the split.

    Raises:
        NoCanalError: No slice has a cord label.
    """
    slices = np.arange(labels.shape[0])
    known, points = [], []
    for index in slices:
        rows, columns = np.nonzero(labels[index] == CORD_ID)
        if rows.size >= 4:
            known.append(index)
            points.append((rows.mean(), columns.mean()))
    if not known:
        raise NoCanalError
    rows_columns = np.asarray(points)
    y = ndimage.gaussian_filter1d(np.interp(slices, known, rows_columns[:, 0]), 3.0)
    x = ndimage.gaussian_filter1d(np.interp(slices, known, rows_columns[:, 1]), 3.0)
    return np.stack([slices, y, x], axis=1) * spacing


def split_body(labels: Array, level_id: int, cord: Floats, spacing: float) -> npt.NDArray[np.bool_]:
    """Which voxels of one vertebra are its body: those in front of the canal.

    Args:
        labels: Label map ``(z, y, x)``.
        level_id: Label of the vertebra.
        cord: Centre of the canal per slice, from :func:`cord_curve`.
        spacing: Voxel edge in mm.

    Returns:
        A mask over the voxels of ``np.argwhere(labels == level_id)``, in that order.
    """
    points = np.argwhere(labels == level_id) * spacing
    middle = int(np.clip(np.median(points[:, 0]) / spacing, 0, len(cord) - 1))
    reach = max(3, round(12.0 / spacing))
    low, high = max(0, middle - reach), min(len(cord) - 1, middle + reach)
    along = cord[high] - cord[low]
    along /= np.linalg.norm(along)
    front = np.array([0.0, -1.0, 0.0]) + along[1] * along
    front /= np.linalg.norm(front)
    side = np.cross(along, front)
    relative = points - cord[middle]
    height, depth, lateral = relative @ along, relative @ front, relative @ side
    midline = (np.abs(lateral) < 5.0) & (depth > 0)
    if np.count_nonzero(midline) < 20:
        return np.asarray(depth > 6.0)
    bins = np.round(height[midline] / spacing).astype(int)
    steps = np.unique(bins)
    edges = np.array([depth[midline][bins == step].min() for step in steps])
    # Only the middle of the height: at the rims the edge of the endplate runs forward.
    centre, spread = np.median(steps), max(2.0, 0.35 * np.ptp(steps))
    inner = np.abs(steps - centre) <= spread
    slope, offset = _robust_line(steps[inner] * spacing, edges[inner])
    return np.asarray(depth > slope * height + offset - 0.5 * spacing)


def compact(voxels: Array, body: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Only the one thick part of a body: tips of processes that reach as far forward are none of it."""
    low = voxels.min(axis=0) - 2
    places = tuple((voxels - low).T)
    mask = np.zeros(voxels.max(axis=0) - low + 3, bool)
    mask[places] = body
    parts, count = ndimage.label(ndimage.binary_opening(mask, iterations=2))
    if count == 0:
        return body
    largest = parts == np.argmax(np.bincount(parts.ravel())[1:]) + 1
    grown = ndimage.binary_dilation(largest, iterations=3)
    return np.asarray(body & grown[places])


def _robust_line(x: Floats, y: Floats) -> tuple[float, float]:
    """Slope (at most 0.4) and offset of the line through most of the points."""
    if x.size < 4:
        return 0.0, float(np.median(y))
    first, second = np.triu_indices(x.size, 1)
    slope = float(np.clip(np.median((y[second] - y[first]) / (x[second] - x[first])), -0.4, 0.4))
    return slope, float(np.median(y - slope * x))
