"""How well an outline agrees with a reference: overlap, distance of the surfaces, leaks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]

NEAR_BONE = 2.0
"""Distance in mm up to which a voxel outside the reference is a matter of its border and no leak."""


def dice(first: Mask, second: Mask) -> float:
    """Dice of two masks; 1 when both are empty."""
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 2.0 * np.count_nonzero(first & second) / total if total else 1.0


def dice_half_a_slice_away(mask: Mask, spacing: tuple[float, float, float]) -> float:
    """Dice of a mask with itself, moved by half a voxel along its longest edge.

    A yardstick: label maps are good to about a voxel, so that no outline can be shown to be better than this. Each run
    of ``n`` voxels keeps ``n − 1/2`` of them.

    Args:
        mask: With a voxel at least.
        spacing: Of the grid, mm.
    """
    axis = int(np.argmax(spacing))
    begins = np.diff(np.pad(mask, [(1, 0) if a == axis else (0, 0) for a in range(3)]).astype(np.int8), axis=axis) > 0
    return 1.0 - float(np.count_nonzero(begins)) / (2.0 * float(np.count_nonzero(mask)))


def _common_box(first: Mask, second: Mask, margin: int = 2) -> tuple[slice, ...]:
    both = np.argwhere(first | second)
    low, high = np.maximum(both.min(axis=0) - margin, 0), both.max(axis=0) + margin + 1
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def _surface(mask: Mask) -> Mask:
    return np.asarray(mask & ~ndimage.binary_erosion(mask))


def surface_distances(first: Mask, second: Mask, spacing: tuple[float, float, float]) -> npt.NDArray[np.float64]:
    """Distances in mm of the surfaces of two masks, both directions together.

    Args:
        first: A mask with a voxel at least.
        second: Another one on the same grid.
        spacing: Of the grid, mm.
    """
    box = _common_box(first, second)
    surfaces = _surface(np.pad(first[box], 1)), _surface(np.pad(second[box], 1))
    parts: list[Any] = []
    for own, other in (surfaces, surfaces[::-1]):
        parts.append(ndimage.distance_transform_edt(~other, sampling=spacing)[own])
    return np.concatenate(parts)


def leak(outline: Mask, bones: Mask, spacing: tuple[float, float, float]) -> tuple[float, float]:
    """Share of an outline that lies outside the reference's bones, and farther than 2 mm from them.

    Args:
        outline: What was found.
        bones: All bones of the reference.
        spacing: Of the grid, mm.
    """
    size = np.count_nonzero(outline)
    if not size:
        return 0.0, 0.0
    box = _common_box(outline, outline, margin=6)
    inside, bone = outline[box], bones[box]
    outside = inside & ~bone
    away = ndimage.distance_transform_edt(~bone, sampling=spacing) > NEAR_BONE if bone.any() else inside
    return float(np.count_nonzero(outside) / size), float(np.count_nonzero(outside & away) / size)


def share_within(outline: Mask, region: Mask) -> float:
    """Share of an outline that lies in a region, such as the vessels and organs beside the spine."""
    size = np.count_nonzero(outline)
    return float(np.count_nonzero(outline & region) / size) if size else 0.0
