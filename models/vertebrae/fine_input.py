"""What the fine network is shown: a crop around one vertebra, with a spot that says which one is meant.

Shared by training and by the engine, and free of what only training needs (nibabel).
"""

from __future__ import annotations

import torch
from torch import Tensor

FINE_CROP = (56, 72, 72)
"""Voxels of a fine crop ``(z, y, x)`` at 1.5 mm: 84 × 108 × 108 mm."""
BEHIND_BODY = 16.0
"""Millimetres by which the middle of a fine crop lies behind the centre of the body."""
CENTRE_SIGMA = 4.0
"""Width in voxels of the spot that marks the vertebra to outline."""


def centre_map(shape: tuple[int, int, int], centre: tuple[float, float, float]) -> Tensor:
    """A Gaussian spot at a vertebra's centre: which of the vertebrae in the crop is meant.

    Args:
        shape: Voxels of the crop ``(z, y, x)``.
        centre: Centre of the body in voxels of the crop.
    """
    axes = [torch.arange(n) - c for n, c in zip(shape, centre, strict=True)]
    parts = [torch.exp(-0.5 * (axis / CENTRE_SIGMA).square()) for axis in axes]
    return parts[0][:, None, None] * parts[1][None, :, None] * parts[2][None, None, :]
