"""Degenerative change in synthetic CT: spurs at the rims, bridges over the disc, fused discs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from models.anatomy import Region
from models.vertebrae.training.targets import NO_LEVEL


@dataclass(frozen=True)
class Spurs:
    """New bone beside the discs.

    Attributes:
        where: bool ``(z, y, x)``.
        levels: uint8, the level of the vertebra that each voxel grows from; ``NO_LEVEL`` elsewhere.
    """

    where: Tensor
    levels: Tensor


def _largest_within(values: Tensor, voxels: int) -> Tensor:
    """Largest value within a number of voxels along every axis; uint8 ``(z, y, x)``."""
    result = values.numpy()
    for axis in range(3):
        # Axis after axis: the pooling of torch takes thirty times as long on CPU.
        result = ndimage.maximum_filter1d(result, 2 * voxels + 1, axis=axis)
    return torch.from_numpy(result)


def _grown(mask: Tensor, voxels: int) -> Tensor:
    """A mask grown by a number of voxels in every direction."""
    return _largest_within(mask.to(torch.uint8), voxels) > 0


def grow_spurs(regions: Tensor, levels: Tensor, free: Tensor, field: Tensor, rng: np.random.Generator) -> Spurs:
    """Grow spurs in front of and beside the discs, long ones as bridges from body to body.

    Args:
        regions: uint8 ``(z, y, x)``, values of :class:`models.anatomy.Region`.
        levels: uint8, the same shape.
        free: bool: flesh that bone may grow into.
        field: Smooth noise of unit scale: where along the rim.
        rng: Source of randomness.
    """
    reach = int(rng.integers(2, 5))
    body = regions == Region.BODY
    rim = _grown(regions == Region.DISC, 2) & _grown(body, reach) & free
    where = rim & ~_grown(regions == Region.CANAL, 2) & (field > float(rng.uniform(-0.3, 0.8)))
    near = _largest_within(torch.where(body, levels + 1, torch.zeros_like(levels)), reach)
    found = where & (near > 0)
    return Spurs(found, torch.where(found, near - 1, torch.full_like(near, NO_LEVEL)))


def fused_discs(regions: Tensor, levels: Tensor, rng: np.random.Generator) -> Tensor:
    """Discs turned into bone, as in ankylosis or after a fusion: bool ``(z, y, x)``, one to many levels.

    Args:
        regions: uint8 ``(z, y, x)``.
        levels: uint8; a disc's two halves carry the levels of its two vertebrae.
        rng: Source of randomness.
    """
    disc = regions == Region.DISC
    present = torch.unique(levels[disc])
    if not present.numel():
        return disc
    count = int(rng.choice([1, 2, present.numel()]))
    first = int(rng.integers(0, max(1, present.numel() - count + 1)))
    low, high = present[first], present[min(first + count, present.numel()) - 1]
    chosen: Tensor = disc & (levels >= low) & (levels <= high)
    return chosen
