"""Every sample a little turned and scaled when it is drawn from a pool, so that none is seen twice.

A pool holds some thousand volumes of nine bodies, and a network soon knows them by heart. Drawing a fresh volume costs
about as much as a step of training; turning one costs a small part of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

TURNED_SHARE = 0.8
"""Share of samples that are turned; the others stay sharp, as interpolation takes some texture away."""
MOST_TURNED = (12.0, 16.0, 35.0)
"""Largest angle in degrees about the axes towards head, back and left: twist, roll to a side, nod. Small ones are drawn
more often. The upper vertebrae of a bent back nod that far, and it is the bent backs that break."""
MOST_SCALED = 0.12
"""Largest natural logarithm of the scale."""


@dataclass(frozen=True)
class Turn:
    """A rotation and a scale.

    Attributes:
        matrix: From the offset to the middle of the new box to that in the sample, ``(3, 3)`` over ``(z, y, x)``.
        scale: How much larger things become.
    """

    matrix: Tensor
    scale: float

    @classmethod
    def random(cls, rng: np.random.Generator) -> Self:
        """Draw one."""
        matrix = np.eye(3)
        for axis, most in enumerate(MOST_TURNED):
            angle = math.radians(rng.triangular(-most, 0.0, most))
            first, second = (other for other in range(3) if other != axis)
            turn = np.eye(3)
            turn[first, first] = turn[second, second] = math.cos(angle)
            turn[first, second], turn[second, first] = -math.sin(angle), math.sin(angle)
            matrix = turn @ matrix
        scale = math.exp(rng.uniform(-MOST_SCALED, MOST_SCALED))
        return cls(torch.from_numpy(matrix / scale).float(), scale)

    def places(self, shape: tuple[int, int, int], middle: tuple[float, float, float]) -> Tensor:
        """Where in a sample the voxels of a turned box come from.

        Args:
            shape: Voxels of the box ``(z, y, x)``.
            middle: Its middle in voxels of the sample; it stays where it is.

        Returns:
            Voxels of the sample, ``(3, z, y, x)``.
        """
        axes = [torch.arange(n) - 0.5 * (n - 1) for n in shape]
        offsets = torch.stack(torch.meshgrid(*axes, indexing="ij")).view(3, -1)
        moved = self.matrix @ offsets + torch.tensor(middle)[:, None]
        return moved.view(3, *shape)

    def moved(self, point: Tensor, shape: tuple[int, int, int], middle: tuple[float, float, float]) -> Tensor:
        """Where a point of the sample comes to lie in the box of :meth:`places`, in voxels of the box."""
        offset: Tensor = torch.linalg.solve(self.matrix, point - torch.tensor(middle))
        return offset + torch.tensor([0.5 * (n - 1) for n in shape])


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
    return torch.where(_inside(places, image.shape), taken, torch.full_like(taken, outside))


def _inside(places: Tensor, shape: torch.Size) -> Tensor:
    """Which places lie within the voxels of an image."""
    last = torch.tensor(shape).view(3, 1, 1, 1) - 0.5
    return ((places >= -0.5) & (places <= last)).all(dim=0)


def nearest(labels: Tensor, places: Tensor, outside: int) -> Tensor:
    """A map of labels at places between its voxels: the nearest one's.

    Args:
        labels: ``(z, y, x)``, any integer type.
        places: Voxels of the map, ``(3, z, y, x)``.
        outside: Label beyond the map.
    """
    index = places.round().long()
    for axis, count in enumerate(labels.shape):
        index[axis].clamp_(0, count - 1)
    taken = labels[index[0], index[1], index[2]]
    return torch.where(_inside(places, labels.shape), taken, torch.full_like(taken, outside))
