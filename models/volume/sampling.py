"""Images at places between their voxels."""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor


def between(image: Tensor, places: Tensor, outside: float) -> Tensor:
    """An image at places between its voxels, linearly.

    Args:
        image: ``(z, y, x)``, float.
        places: Voxels of the image, ``(3, z, y, x)``.
        outside: Value beyond the edges of the outermost voxels, half a voxel from their centres.
    """
    sizes = torch.tensor(image.shape[::-1], dtype=torch.float32)
    grid = places.flip(0).permute(1, 2, 3, 0) * (2.0 / (sizes - 1.0).clamp(min=1.0)) - 1.0
    taken: Tensor = nnf.grid_sample(image[None, None], grid[None], align_corners=True, padding_mode="border")[0, 0]
    return torch.where(inside(places, image.shape), taken, torch.full_like(taken, outside))


def inside(places: Tensor, shape: torch.Size) -> Tensor:
    """Which places lie within the voxels of an image."""
    last = torch.tensor(shape).view(3, 1, 1, 1) - 0.5
    return ((places >= -0.5) & (places <= last)).all(dim=0)
