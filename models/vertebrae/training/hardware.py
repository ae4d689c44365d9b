"""Metal in synthetic CT: pedicle screws with rods, joint implants, and the streaks that they throw."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

METAL_HU = 3071.0
"""Titanium and steel exceed the usual scale of CT numbers."""
STREAK_ANGLES = 96
"""Directions around a piece of metal in which the streaks differ."""


def _distance_to_segment(points: Tensor, start: np.ndarray, end: np.ndarray) -> Tensor:
    """Distance in mm of points ``(3, z, y, x)`` from a segment."""
    along = torch.from_numpy(end - start).float()
    length = float(along.square().sum())
    relative = [points[axis] - float(start[axis]) for axis in range(3)]
    part = sum(relative[axis] * float(along[axis]) for axis in range(3)) / max(length, 1e-6)
    part = part.clamp(0.0, 1.0)  # type: ignore[union-attr]
    squared = sum((relative[axis] - part * float(along[axis])).square() for axis in range(3))
    return squared.sqrt()  # type: ignore[union-attr]


def screws(points: Tensor, spine: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Where pedicle screws and rods of a fusion of two to four levels lie.

    Args:
        points: Atlas coordinates in mm ``(3, z, y, x)`` at half of the volume's resolution.
        spine: Centres of the bodies in mm ``(n, 3)``, head first.
        rng: Source of randomness.

    Returns:
        Metal 0…1 at twice the resolution of ``points``.
    """
    count = min(int(rng.integers(2, 5)), len(spine))
    first = int(rng.integers(0, len(spine) - count + 1))
    chosen = spine[first : first + count]
    nearest = torch.full_like(points[0], 1e3)
    entry, spread, radius = rng.uniform(30, 40), rng.uniform(15, 21), rng.uniform(2.4, 3.4)
    for side in (-1.0, 1.0):
        heads = []
        for centre in chosen:
            head = centre + np.array([rng.uniform(2, 7), entry + 8.0, side * (spread + 3.0)])
            tip = centre + np.array([rng.uniform(-3, 6), rng.uniform(-14, 2), side * rng.uniform(5, 11)])
            nearest = torch.minimum(nearest, _distance_to_segment(points, head, tip) / float(radius))
            heads.append(head)
        for upper, lower in pairwise(heads):
            nearest = torch.minimum(nearest, _distance_to_segment(points, upper, lower) / 2.8)
    inside = (1.5 - nearest).clamp(0.0, 1.0)
    return nnf.interpolate(inside[None, None], scale_factor=2, mode="trilinear", align_corners=False)[0, 0]


def implant(shape: tuple[int, int, int], rng: np.random.Generator) -> Tensor:
    """A ball of metal at the lower end and to one side, as a hip joint lies; 0…1 ``(z, y, x)``."""
    side = rng.choice([0.08, 0.92])
    middle = [rng.uniform(0.0, 0.15) * shape[0], rng.uniform(0.3, 0.7) * shape[1], side * shape[2]]
    axes = [(torch.arange(n) - float(m)).square() for n, m in zip(shape, middle, strict=True)]
    squared = axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :]
    return (float(rng.uniform(9, 16)) - squared.sqrt()).clamp(0.0, 1.0)


def add_metal(hu: Tensor, metal: Tensor, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
    """Put metal into a volume and draw its streaks in every slice that it touches.

    Args:
        hu: ``(z, y, x)``.
        metal: 0…1, the same shape.
        rng: Source of randomness for parameters.
        generator: Source of randomness for the streaks.
    """
    height, width = hu.shape[1:]
    strength = float(rng.uniform(60, 500))
    y = torch.arange(height)[:, None].float()
    x = torch.arange(width)[None, :].float()
    hu = hu.clone()
    for index in torch.nonzero((metal > 0.5).flatten(1).any(dim=1)).view(-1).tolist():
        places = torch.nonzero(metal[index] > 0.5).float()
        left, right = places[places[:, 1] <= places[:, 1].mean()], places[places[:, 1] > places[:, 1].mean()]
        for part in (left, right):
            if not len(part):
                continue
            down, across = y - part[:, 0].mean(), x - part[:, 1].mean()
            angle = torch.atan2(down, across) / (2 * torch.pi) + 0.5
            rays = torch.randn(STREAK_ANGLES, generator=generator)
            pattern = rays[(angle * STREAK_ANGLES).long().clamp(max=STREAK_ANGLES - 1)]
            reach = 1.0 + (down.square() + across.square()).sqrt() / 18.0
            hu[index] += strength * 0.6 * pattern / reach * min(1.0, len(part) / 30.0)
        if len(left) and len(right):
            # Between two pieces of metal hardly a ray gets through: a dark band.
            rows = slice(int(places[:, 0].min()), int(places[:, 0].max()) + 1)
            hu[index, rows, int(left[:, 1].mean()) : int(right[:, 1].mean()) + 1] -= 0.5 * strength
    return hu * (1.0 - metal) + METAL_HU * metal
