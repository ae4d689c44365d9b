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
from torch import Tensor

from models.volume.sampling import inside

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
    return torch.where(inside(places, labels.shape), taken, torch.full_like(taken, outside))
