"""Where a synthetic volume takes its anatomy from: field of view, posture, shape and fractures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from models.vertebrae.training.atlas import SPACING
from models.vertebrae.training.transition import Transition, random_transition

FINE_VOXELS = 6_000_000
"""Most voxels at 1.5 mm that one synthetic volume may have, so that memory stays bounded."""
GRID_STEP = 32
"""Sides of a volume at 1.5 mm are multiples of this, so that the network takes it at 3 mm."""


@dataclass(frozen=True)
class FieldOfView:
    """The box of a synthetic volume.

    Attributes:
        shape: Voxels at 1.5 mm ``(z, y, x)``.
        centre: Centre in the atlas, mm ``(z, y, x)``.
    """

    shape: tuple[int, int, int]
    centre: tuple[float, float, float]


def random_field_of_view(rng: np.random.Generator, spine: np.ndarray, size: tuple[float, float, float]) -> FieldOfView:
    """Draw a box around a part of the spine; a third of all boxes are short.

    Args:
        rng: Source of randomness.
        spine: Centres of the vertebral bodies in mm, ``(n, 3)`` as ``(z, y, x)``.
        size: Size of the atlas in mm ``(z, y, x)``.
    """
    height = float(rng.choice([rng.uniform(60, 150), rng.uniform(150, 300), rng.uniform(300, 620)]))
    height = min(height, size[0] - 10.0)
    width, depth = rng.uniform(110, 400), rng.uniform(120, 330)
    if height < 250 and rng.random() < 0.5:
        width, depth = max(width, rng.uniform(250, 400)), max(depth, rng.uniform(200, 300))
    voxels = [max(GRID_STEP, int(extent / SPACING)) for extent in (height, depth, width)]
    budget = FINE_VOXELS / np.prod(voxels)
    if budget < 1.0:
        voxels[1], voxels[2] = (max(80, int(n * np.sqrt(budget))) for n in voxels[1:])
    shape = tuple(int(np.ceil(n / GRID_STEP)) * GRID_STEP for n in voxels)
    extent = shape[0] * SPACING
    low, high = 0.5 * extent, size[0] - 0.5 * extent
    centre_z = rng.uniform(low, high) if high > low else 0.5 * size[0]
    nearest = spine[np.argmin(np.abs(spine[:, 0] - centre_z))]
    centre_y = nearest[1] - rng.uniform(-20, max(0.0, 0.5 * shape[1] * SPACING - 60))
    centre_x = nearest[2] + rng.normal(0, 0.12 * shape[2] * SPACING)
    return FieldOfView((shape[0], shape[1], shape[2]), (float(centre_z), float(centre_y), float(centre_x)))


def smooth_noise(shape: tuple[int, ...], cells: float, generator: torch.Generator) -> Tensor:
    """Smooth noise of unit scale with the given voxels per wave, shape ``shape`` (three axes)."""
    low = [max(2, int(np.ceil(n / cells)) + 1) for n in shape]
    noise = torch.randn((1, 1, *low), generator=generator)
    return nnf.interpolate(noise, size=shape, mode="trilinear", align_corners=True)[0, 0] * 1.4


BEND_REACH = 60.0
"""Distance in mm from the spine up to which a bend turns what lies there with the vertebrae."""
KYPHOTIC_SHARE, SCOLIOTIC_SHARE = 0.25, 0.25
"""Shares of volumes with a strong bend forwards or backwards, and with one to the side."""


def _wave(z: Tensor, rng: np.random.Generator, amplitude: float) -> tuple[Tensor, Tensor]:
    """A slow shift along the body's axis, one bend of the spine and a smaller one: in mm, and its slope."""
    total, slope = torch.zeros_like(z), torch.zeros_like(z)
    for part in (1.0, 0.5):
        length = rng.uniform(280, 800) * (1.0 if part == 1.0 else 0.6)
        height, turn = part * rng.normal(0, amplitude), 2 * np.pi / length
        phase = 2 * np.pi * rng.random()
        total += height * torch.sin(turn * z + phase)
        slope += height * turn * torch.cos(turn * z + phase)
    return total, slope


def _bend(points: Tensor, z: Tensor, spine: np.ndarray, rng: np.random.Generator) -> None:
    """Bend the spine; the vertebrae turn with its curve, as they do in kyphosis and scoliosis.

    Args:
        points: Atlas coordinates ``(3, z, y, x)`` in mm; changed.
        z: Height in the synthetic volume in mm, ``(z, y, x)``.
        spine: Centres of the vertebral bodies in mm ``(n, 3)``.
        rng: Source of randomness.
    """
    kyphotic, scoliotic = rng.random() < KYPHOTIC_SHARE, rng.random() < SCOLIOTIC_SHARE
    rows = points[0].mean(dim=(1, 2)).numpy()
    order = np.argsort(spine[:, 0])
    for axis, amplitude in ((1, 18.0 if kyphotic else 8.0), (2, 14.0 if scoliotic else 4.0)):
        shift, slope = _wave(z, rng, amplitude)
        points[axis] += shift
        middle = torch.from_numpy(np.interp(rows, spine[order, 0], spine[order, axis]).astype(np.float32))
        aside = (points[axis] - middle[:, None, None]).clamp(-BEND_REACH, BEND_REACH)
        points[0] -= slope * aside


@dataclass(frozen=True)
class Fracture:
    """One body that was made lower.

    Attributes:
        centre: Of the body in the atlas, mm ``(z, y, x)``.
        half: Half of the body's height, mm.
        sclerosis: HU that the bone under its upper endplate gains; 0 for an old, remodelled fracture.
    """

    centre: tuple[float, float, float]
    half: float
    sclerosis: float


def _fracture(points: Tensor, centre: np.ndarray, half: float, rng: np.random.Generator) -> Tensor:
    """Shift along z in mm that makes one body lower: wedge, biconcave or crush.

    Args:
        points: Atlas coordinates ``(3, z, y, x)`` in mm.
        centre: Centre of the body in mm.
        half: Half of the body's height in mm.
        rng: Source of randomness.
    """
    z, y, x = (points[axis] - float(centre[axis]) for axis in range(3))
    loss = rng.uniform(0.1, 0.6)
    front = (-y / 18.0).clamp(-1, 1)
    kind = rng.choice(["wedge", "biconcave", "crush"])
    if kind == "wedge":
        profile = 0.5 + 0.5 * front
    elif kind == "biconcave":
        profile = 1.0 - 0.8 * front.square() - 0.3 * (x / 20.0).square().clamp(max=1)
    else:
        profile = torch.full_like(y, 0.9) + 0.1 * front
    remaining = (1.0 - loss * profile).clamp(0.35, 1.0)
    stretch = 1.0 / remaining - 1.0
    limit = half * remaining
    near = torch.exp(-((y / 45.0).square() + (x / 45.0).square()))
    # Beyond the body the shift fades, so that the neighbours keep nearly all of their height.
    fade = torch.exp(-((z.abs() - limit).clamp(min=0) / 30.0).square())
    return stretch * torch.clamp(z, -limit, limit) * near * fade


@dataclass(frozen=True)
class Deformation:
    """Atlas coordinates of every voxel of a synthetic volume.

    Attributes:
        points: mm, ``(3, z, y, x)`` at 1.5 mm, as ``(z, y, x)``.
        coarse_points: The same at 3 mm.
        stretch: Scale along the spine, by which distances in the atlas shrink or grow.
        fractures: The bodies that were made lower.
        transition: The vertebra that comes twice or is missing, if there is one.
    """

    points: Tensor
    coarse_points: Tensor
    stretch: float
    fractures: tuple[Fracture, ...]
    transition: Transition | None


TRANSITION_SHARE = 0.12
"""Share of volumes with a vertebra more or less."""


def deform(
    view: FieldOfView,
    spine: np.ndarray,
    levels: np.ndarray,
    rng: np.random.Generator,
    generator: torch.Generator,
    transition: Transition | None = None,
    by_chance: bool = True,
) -> Deformation:
    """Draw posture and shape: affine, bends of the spine, elastic, fractures, mirror.

    Args:
        view: The box to fill.
        spine: Centres of the vertebral bodies in mm ``(n, 3)``, head first.
        levels: Their levels, C1 = 0.
        rng: Source of randomness for parameters.
        generator: Source of randomness for fields.
        transition: A vertebra more or less.
        by_chance: Whether one may also come by chance.
    """
    shape = tuple(n // 2 for n in view.shape)
    axes = [(torch.arange(n) - 0.5 * (n - 1)) * (2 * SPACING) for n in shape]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    whole = rng.uniform(0.85, 1.15)
    scale = whole * rng.uniform(0.9, 1.1, size=3)
    tilt, lean, turn = np.deg2rad(rng.normal(0, (7.0, 4.0, 5.0)))
    if rng.random() < 0.5:
        x = -x
    z, y = np.cos(tilt) * z - np.sin(tilt) * y, np.sin(tilt) * z + np.cos(tilt) * y
    z, x = np.cos(lean) * z - np.sin(lean) * x, np.sin(lean) * z + np.cos(lean) * x
    y, x = np.cos(turn) * y - np.sin(turn) * x, np.sin(turn) * y + np.cos(turn) * x
    points = torch.stack([z / scale[0], y / scale[1], x / scale[2]])
    amplitude = rng.uniform(0.5, 4.0)
    cells = rng.uniform(10, 20)
    for axis in range(3):
        points[axis] += amplitude * smooth_noise(shape, cells, generator)
        points[axis] += view.centre[axis]
    _bend(points, z, spine, rng)
    fractures = _fractures(points, spine, rng)
    full = nnf.interpolate(points[None], size=view.shape, mode="trilinear", align_corners=False)[0]
    drawn = random_transition(spine, levels, rng) if rng.random() < TRANSITION_SHARE else None
    transition = transition or (drawn if by_chance else None)
    if transition is not None:
        # After every interpolation: half-way across the seam lies anatomy that belongs elsewhere.
        full, points = transition.applied(full), transition.applied(points)
    return Deformation(full, points, 1.0 / float(scale[0]), fractures, transition)


def _fractures(points: Tensor, spine: np.ndarray, rng: np.random.Generator) -> tuple[Fracture, ...]:
    """Break one to three bodies in half of all volumes; changes ``points``."""
    heights = np.linalg.norm(np.diff(spine, axis=0), axis=1)
    made: list[Fracture] = []
    if rng.random() >= 0.5:
        return ()
    for _ in range(int(rng.integers(1, 4))):
        chosen = int(rng.integers(0, len(spine)))
        half = 0.38 * float(heights[min(chosen, len(heights) - 1)])
        points[0] += _fracture(points, spine[chosen], half, rng)
        centre = spine[chosen]
        fresh = float(rng.uniform(30, 250)) if rng.random() < 0.5 else 0.0
        made.append(Fracture((float(centre[0]), float(centre[1]), float(centre[2])), half, fresh))
    return tuple(made)
