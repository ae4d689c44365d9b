"""A second look, around the spine alone.

The network was trained on crops, 15 cm wide where they hold a whole spine, and normalises its features over all that it
sees. In a whole torso most of that is lung, bowel and air, and it is less sure of the levels than in a narrow field of
view of the same CT. So once it is known where the spine runs, the network is asked again for what lies around it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.compute import Compute
from models.vertebrae.inference import run_coarse
from models.vertebrae.maps import CoarseMaps
from models.vertebrae.names.decode import Decoded
from models.vertebrae.network import COARSE_BUDGET, COARSE_SPACING, CoarseNetwork
from models.volume.grid import Array, Floats

REACH_MM = ((60.0, 60.0), (66.0, 75.0), (75.0, 75.0))
"""How far the box reaches at least beyond the centres: below and above, in front and behind, to the right and left. The
shorter it is, the wider it may be within what a training crop holds, and is."""
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
    along = _side(centres[:, 0], REACH_MM[0], shape[0], stride)
    usual = (COARSE_BUDGET / (along.stop - along.start)) ** 0.5 * COARSE_SPACING
    wider = max(1.0, usual / sum(REACH_MM[2]))
    front, aside = (
        _side(centres[:, axis], (wider * REACH_MM[axis][0], wider * REACH_MM[axis][1]), shape[axis], stride)
        for axis in (1, 2)
    )
    return along, front, aside


def _side(centres: Array, reach: tuple[float, float], whole: int, stride: int) -> slice:
    low = max(0, int(centres.min() - reach[0] / COARSE_SPACING))
    high = min(whole, int(centres.max() + reach[1] / COARSE_SPACING) + 1)
    size = min(-(-(high - low) // stride) * stride, whole)
    low = min(low, whole - size) // 2 * 2
    return slice(low, low + size)
