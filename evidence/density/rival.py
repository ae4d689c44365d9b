"""Comp2Comp's automatic regions of trabecular attenuation, written anew from its public source.

StanfordMIMI/Comp2Comp (Apache-2.0), read at these commits; the docstrings say the rules in our words:

- ``comp2comp/spine/fda_spine_utils.py`` at 8e768a9621dcaec9bc997057577576ad00a0cbb9: the elliptic cylinder of
  docs/science.md §2.4, here :func:`cylinder`;
- ``comp2comp/spine/spine_utils.py`` at 16c267dbc3ce8302defa7cef3f0af69a119d8f60: a ball of 5 mm radius, here
  :func:`ball`.

Both start alike. Of a vertebra's whole mask (body and arch) on the scanner's own grid, turned to patient axes
but not along the vertebra, the sagittal slice at the mask's centre is taken; fewer than 201 pixels there give no
figure. Of its two largest pieces the one behind goes (the spinous process). What is left is the body in profile,
with whatever of the arch hangs on to it. Nothing is excluded afterwards: no fracture, cement, metal or lesion, no
least volume. Its models name T12 to L5 (``comp2comp/models/models.py``, ``ts_spine``).

Where the original stops with an exception (a line that misses the mask), for the whole scan, there is no figure
of that vertebra here. Its other outcome of no voxel at all, a mean of nothing, is no figure either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.anatomy import Level

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]
Rule = Callable[[Mask, Spacing], Mask | None]

LEVELS = (Level.T12, Level.L1, Level.L2, Level.L3, Level.L4, Level.L5)
"""What the original measures."""
LEAST_PIXELS = 200
FROM_BEHIND = 0.58
"""Centre of the ellipse, as a share of the body's depth from its posterior wall."""
DEEP, WIDE = 0.50, 0.65
"""Diameters of the ellipse, as shares of the body's depth and width."""
TALL_MM = 7.5
RADIUS_MM = 5.0
THICK_MM = 3.0
"""Slice spacing from which the mask is eroded by one voxel, not by two."""
MARGIN = 3


def mean_hu(volume: hd.Volume, whole: Mask, rule: Rule) -> float | None:
    """Mean HU of a rule's region of one vertebra; None where the rule gives none.

    Args:
        volume: HU.
        whole: The vertebra, body and arch, on the volume's grid.
        rule: :func:`cylinder` or :func:`ball`.
    """
    # Right to left, back to front, foot to head.
    upright = volume.to_patient_orientation(("L", "A", "H"))
    turned = volume.with_array(whole.astype(np.uint8)).to_patient_orientation(("L", "A", "H")).array > 0
    if not turned.any():
        return None
    voxels = np.argwhere(turned)
    low, high = voxels.min(axis=0) - MARGIN, voxels.max(axis=0) + MARGIN + 1
    # A line beside the vertebra is empty beyond the border of the volume, too.
    pad = [(max(0, -int(a)), max(0, int(b) - n)) for a, b, n in zip(low, high, turned.shape, strict=True)]
    box = tuple(slice(max(0, int(a)), min(n, int(b))) for a, b, n in zip(low, high, turned.shape, strict=True))
    first, second, third = upright.spacing
    region = rule(np.pad(turned[box], pad), (float(first), float(second), float(third)))
    if region is None:
        return None
    inner = tuple(slice(a, n - b) for (a, b), n in zip(pad, region.shape, strict=True))
    values = upright.array[box][region[inner]]
    return float(values.mean()) if values.size else None


def ball(whole: Mask, spacing: Spacing) -> Mask | None:
    """Voxels within 5 mm of the centre of the body in profile.

    Args:
        whole: Mask with axes across, to the front, to the head.
        spacing: Voxel edges, mm.
    """
    found = _profile(whole)
    if found is None:
        return None
    side, profile = found
    rows, columns = np.nonzero(profile)
    grid = np.ogrid[tuple(slice(0, n) for n in whole.shape)]
    steps = zip(grid, (side, rows.mean(), columns.mean()), spacing, strict=True)
    away: Any = sum(((axis - middle) * edge / RADIUS_MM) ** 2 for axis, middle, edge in steps)
    return np.asarray(away <= 1)


def cylinder(whole: Mask, spacing: Spacing) -> Mask | None:
    """Ellipses over 7.5 mm of height, each as wide and deep as its slice allows, within the eroded mask.

    The height is centred on the column of voxels through the centre of the profile. In every axial slice of it the
    shortest of three neighbouring lines to the front gives depth and centre, and of three lines across at that
    centre the width. Half diameters and half the height are cut to whole voxels.

    Args:
        whole: Mask with axes across, to the front, to the head.
        spacing: Voxel edges, mm.
    """
    found = _profile(whole)
    if found is None:
        return None
    side, profile = found
    column = np.nonzero(whole[side, int(np.nonzero(profile)[0].mean())])[0]
    if not column.size:
        return None
    middle, half = column.mean(), (TALL_MM / spacing[2]) // 2
    region = np.zeros(whole.shape, bool)
    for height in range(int(middle - half), int(middle + half) + 1):
        ellipse = _ellipse(whole, profile, height)
        if ellipse is None:
            return None
        region[:, :, height] = ellipse
    inner = ndimage.binary_erosion(whole, iterations=1 if spacing[2] >= THICK_MM else 2)
    return np.asarray(region & inner)


def _profile(whole: Mask) -> tuple[int, Mask] | None:
    """The sagittal slice through the centre of a vertebra, without its spinous process."""
    across = whole.sum(axis=(1, 2))
    side = int((np.arange(len(across)) * across).sum() / across.sum())
    profile = whole[side]
    if np.count_nonzero(profile) <= LEAST_PIXELS:
        return None
    pieces, count = ndimage.label(profile, np.ones((3, 3)))
    if count < 2:
        return side, profile
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    # Two pieces are kept; the one behind, with the least mean along the first axis, goes.
    kept = np.argsort(-sizes, kind="stable")[:2]
    front = max(kept, key=lambda number: float(np.nonzero(pieces == number)[0].mean()))
    return side, np.asarray(pieces == front)


def _ellipse(whole: Mask, profile: Mask, height: int) -> Mask | None:
    """The ellipse of one axial slice ``(across, to the front)``."""
    depth_line = _shortest([profile[:, height + step] for step in (0, 1, -1)])
    if depth_line is None:
        return None
    depth = int(np.count_nonzero(depth_line))
    centre = float(np.argmax(depth_line)) + FROM_BEHIND * depth
    row = int(centre)
    width_line = _shortest([whole[:, row + step, height] for step in (0, 1, -1)])
    if width_line is None:
        return None
    width = int(np.count_nonzero(width_line))
    middle = float(np.nonzero(width_line)[0].mean())
    half_width, half_depth = (WIDE * width) // 2, (DEEP * depth) // 2
    if not half_width or not half_depth:
        return np.zeros(whole.shape[:2], bool)
    x, y = np.ogrid[: whole.shape[0], : whole.shape[1]]
    return np.asarray(((x - middle) / half_width) ** 2 + ((y - centre) / half_depth) ** 2 <= 1)


def _shortest(lines: list[Mask]) -> Mask | None:
    """The line with the fewest voxels, the first of equals; None where it has none."""
    best = min(lines, key=np.count_nonzero)
    return best if best.any() else None
