"""What a scanner makes of the truth: blur, slice thickness, noise, streaks, table, round field of view."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from models.vertebrae.training.atlas import SPACING

THICK_SHARE, THICK_MM = 0.2, (4.5, 6.0)
"""Share of volumes in slices as thick as routine CT stores them, and how thick these are. Until 0.6.0 the share of
4.5 mm and more was 10 %, averaged over the thickness but not read at slices."""


def _along(volume: Tensor, kernel: Tensor, axis: int) -> Tensor:
    """Convolve along one axis, borders repeated; volume ``(z, y, x)``."""
    size = kernel.numel()
    if size == 1:
        return volume
    pad = [0, 0, 0, 0, 0, 0]
    pad[2 * (2 - axis)] = pad[2 * (2 - axis) + 1] = size // 2
    padded = nnf.pad(volume[None, None], pad, mode="replicate")[0, 0]
    # Shifted sums: a convolution of one channel is ten times slower on CPU.
    result = torch.zeros_like(volume)
    for tap, weight in enumerate(kernel.tolist()):
        result.add_(padded.narrow(axis, tap, volume.shape[axis]), alpha=weight)
    return result


def gaussian(sigma_mm: float) -> Tensor:
    """Gaussian kernel on the 1.5 mm grid."""
    sigma = sigma_mm / SPACING
    if sigma < 0.2:
        return torch.ones(1)
    reach = max(1, int(np.ceil(2.5 * sigma)))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma).square())
    return kernel / kernel.sum()


def slice_profile(thickness_mm: float) -> Tensor:
    """Box of a slice's thickness on the 1.5 mm grid, whose outer taps carry the remainder."""
    width = thickness_mm / SPACING
    if width <= 1.0:
        return torch.ones(1)
    reach = int(np.ceil(0.5 * (width - 1.0)))
    kernel = torch.ones(2 * reach + 1)
    kernel[0] = kernel[-1] = 0.5 * (width - 1.0) - (reach - 1)
    return kernel / kernel.sum()


def sliced(hu: Tensor, distance_mm: float, axis: int, first: float) -> Tensor:
    """The volume as its slices alone tell it: read at slices, straight lines between them.

    Args:
        hu: ``(z, y, x)`` on the 1.5 mm grid, already averaged over the thickness of a slice.
        distance_mm: From one slice to the next; up to 1.5 mm nothing is lost.
        axis: Across which the slices lie.
        first: Place of the first slice, as a share of the distance, 0 … 1.
    """
    step = distance_mm / SPACING
    if step <= 1.0:
        return hu
    count = hu.shape[axis]
    places = torch.arange(count)
    below = ((places / step - first).floor() + first) * step
    share = (places - below) / step
    slices = [_read(hu, axis, place.clamp(0.0, count - 1.0)) for place in (below, below + step)]
    weight = share.view([-1 if a == axis else 1 for a in range(3)])
    return slices[0] + weight * (slices[1] - slices[0])


def _read(hu: Tensor, axis: int, places: Tensor) -> Tensor:
    """The volume at fractional places along one axis."""
    low = places.floor().clamp(max=hu.shape[axis] - 2.0).long()
    share = (places - low).view([-1 if a == axis else 1 for a in range(3)])
    near, far = hu.index_select(axis, low), hu.index_select(axis, low + 1)
    return near + share * (far - near)


def random_thickness(rng: np.random.Generator) -> float:
    """Draw a slice thickness in mm."""
    kinds = [1.0, rng.uniform(1.5, 3.0), rng.uniform(3.0, 4.5), rng.uniform(*THICK_MM)]
    return float(rng.choice(kinds, p=[0.3, 0.35, 0.15, THICK_SHARE]))


def add_table(hu: Tensor, outside: Tensor, rng: np.random.Generator) -> Tensor:
    """Lay the body on a couch: two thin plates behind everything that is body."""
    rows = torch.nonzero((~outside).any(dim=2).any(dim=0))
    if rows.numel() == 0:
        return hu
    first = int(rows.max()) + 2 + int(rng.integers(0, 6))
    plate = float(rng.uniform(-700, 100))
    hu = hu.clone()
    for row in (first, first + int(rng.integers(5, 20))):
        if row < hu.shape[1]:
            hu[:, row] = torch.where(outside[:, row], torch.full_like(hu[:, row], plate), hu[:, row])
    return hu


def add_arms(hu: Tensor, outside: Tensor, rng: np.random.Generator) -> Tensor:
    """Lay one or two arms beside the body, as in trauma: flesh with one or two bones, along the body."""
    columns = torch.nonzero((~outside).any(dim=0).any(dim=0))
    if columns.numel() == 0:
        return hu
    y = torch.arange(hu.shape[1])[:, None].float()
    x = torch.arange(hu.shape[2])[None, :].float()
    hu = hu.clone()
    for edge, side in ((int(columns.max()), 1.0), (int(columns.min()), -1.0)):
        if rng.random() < 0.3:
            continue
        radius = rng.uniform(22, 38) / SPACING
        middle = np.array([rng.uniform(0.3, 0.7) * hu.shape[1], edge + side * (radius + rng.uniform(1, 8))])
        lean = rng.uniform(-0.1, 0.1)
        bones = [rng.uniform(-0.45, 0.45, 2) * radius for _ in range(int(rng.integers(1, 3)))]
        # Drawn once and slid along by whole voxels: an arm is nearly straight.
        distance = ((y - float(middle[0])).square() + (x - float(middle[1])).square()).sqrt()
        flesh = torch.where(distance < 0.8 * radius, 55.0, -95.0)
        for bone in bones:
            own = (y - float(middle[0] + bone[0])).square() + (x - float(middle[1] + bone[1])).square()
            own = own.sqrt() * SPACING
            flesh = torch.where(own < 10.0, torch.where(own < 5.0, 150.0, 900.0), flesh)
        for index in range(hu.shape[0]):
            slide = round(lean * (index - 0.5 * hu.shape[0]))
            place = torch.roll(distance < radius, slide, 0) & outside[index]
            hu[index] = torch.where(place, torch.roll(flesh, slide, 0), hu[index])
    return hu


def scan(hu: Tensor, outside: Tensor, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
    """Turn the truth at 1.5 mm into what a scanner would have stored, at the same grid.

    Args:
        hu: True HU ``(z, y, x)``.
        outside: Where there is no body.
        rng: Source of randomness for parameters.
        generator: Source of randomness for fields.
    """
    if rng.random() < 0.1:
        hu = add_arms(hu, outside, rng)
    if rng.random() < 0.6:
        hu = add_table(hu, outside, rng)
    sigma = float(rng.choice([0.0, rng.uniform(0.3, 0.8), rng.uniform(0.6, 1.3)], p=[0.2, 0.5, 0.3]))
    noise = torch.randn(hu.shape, generator=generator) * float(rng.choice([rng.uniform(5, 30), rng.uniform(20, 80)]))
    if rng.random() < 0.5:
        grain = gaussian(rng.uniform(0.8, 1.6))
        noise = _along(_along(noise, grain, 1), grain, 2) * 2.0
    blur = gaussian(sigma)
    hu = _along(_along(_along(hu, blur, 1), blur, 2), gaussian(0.7 * sigma), 0)
    thickness = random_thickness(rng)
    axis = int(rng.choice([0, 1, 2], p=[0.88, 0.04, 0.08]))
    hu = _along(hu + noise, slice_profile(thickness), axis)
    hu = sliced(hu, thickness, axis, float(rng.random()))
    if rng.random() < 0.1:
        # Shoulders and hips: streaks from left to right.
        streak = torch.randn(hu.shape[:2], generator=generator) * float(rng.uniform(5, 25))
        hu = hu + streak[:, :, None]
    if rng.random() < 0.05:
        gain = float(rng.choice([-1, 1])) * rng.uniform(0.5, 1.2)
        hu = hu + gain * (hu - _along(_along(hu, gaussian(1.5), 1), gaussian(1.5), 2)) * (gain > 0)
    if rng.random() < 0.2:
        hu = _round_view(hu)
    return hu.clamp(-1024.0, 3071.0)


def _round_view(hu: Tensor) -> Tensor:
    """Cut off everything outside the circle that the reconstruction covers."""
    height, width = hu.shape[1:]
    y = (torch.arange(height) - 0.5 * (height - 1)) / (0.5 * height)
    x = (torch.arange(width) - 0.5 * (width - 1)) / (0.5 * width)
    beyond = y[:, None].square() + x[None, :].square() > 1.0
    return torch.where(beyond[None], torch.full_like(hu, -1024.0), hu)
