"""A second look, around the spine alone.

The network was trained on crops that are about 15 cm wide, and normalises its features over all that it sees. In a
whole torso most of that is lung, bowel and air, and it is less sure of the levels than in a narrow field of view of the
same CT. So once it is known where the spine runs, the network is asked again for what lies around it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.vertebrae.decode import CoarseMaps, Decoded
from models.vertebrae.grid import Floats
from models.vertebrae.inference import Compute, run_coarse
from models.vertebrae.network import COARSE_SPACING, CoarseNetwork

REACH_MM = ((60.0, 60.0), (66.0, 75.0), (75.0, 75.0))
"""How far the box reaches beyond the centres: below and above, in front and behind, to the right and left. A training
crop of a whole spine's length has 2,500 voxels of 3 mm in each slice: 15 cm by 15 cm."""
WORTH = 0.7
"""Share of the volume from which the box shows nothing new."""


def look_again(
    network: CoarseNetwork, hu: Floats, maps: CoarseMaps, decoded: Decoded, compute: Compute
) -> CoarseMaps | None:
    """Maps with what the network says of the box around the spine in place of what it said of the whole.

    Args:
        network: The coarse network.
        hu: What it was shown, HU at 3 mm ``(z, y, x)``, every side a multiple of its stride.
        maps: What it said.
        decoded: What was made of it, with at least one vertebra.
        compute: Where, and how precisely.

    Returns:
        None where the box is nearly the whole volume.
    """
    box = _box(decoded, hu.shape, network.stride)
    part = np.ascontiguousarray(hu[box])
    if part.size > WORTH * hu.size:
        return None
    closer = run_coarse(network, part, compute)
    merged = replace(maps, **{name: getattr(maps, name).copy() for name in ("classes", "phase", "offset", "levels")})
    half = tuple(slice(side.start // 2, side.stop // 2) for side in box)
    merged.classes[(slice(None), *box)] = closer.classes
    merged.phase[(slice(None), *box)] = closer.phase
    merged.offset[box] = closer.offset
    merged.levels[(slice(None), *half)] = closer.levels
    return merged


def _box(decoded: Decoded, shape: tuple[int, ...], stride: int) -> tuple[slice, slice, slice]:
    """Sides are multiples of the stride, and begin on even voxels, where the level map has its own."""
    centres = np.array([vertebra.centre for vertebra in decoded.vertebrae])
    sides = []
    for axis, (before, after) in enumerate(REACH_MM):
        low = max(0, int(centres[:, axis].min() - before / COARSE_SPACING))
        high = min(shape[axis], int(centres[:, axis].max() + after / COARSE_SPACING) + 1)
        size = min(-(-(high - low) // stride) * stride, shape[axis])
        low = min(low, shape[axis] - size) // 2 * 2
        sides.append(slice(low, low + size))
    return sides[0], sides[1], sides[2]
