"""From label maps to HU: what every structure could plausibly measure, and how unevenly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.anatomy import Region
from models.vertebrae.training.atlas import BONE_IDS, LUNG_IDS, MUSCLE_IDS, NOTHING_ID, REST_ID
from models.vertebrae.training.costal_joints import costal_joints
from models.vertebrae.training.deformation import smooth_noise
from models.vertebrae.training.degeneration import Spurs, fused_discs, grow_spurs

AORTA_LIKE = (51, 52, 54, 55, 56, 57, 58, 61, 65, 66)
VEIN_LIKE = (53, 59, 60, 62, 63, 64, 67, 68)
BOWEL = (6, 18, 19, 20)
KIDNEYS = (2, 3)
GAS_FILLED = (16,)
CARTILAGE = 117
CORD = 79
VERTEBRAE = range(26, 51)


@dataclass(frozen=True)
class LocalMaps:
    """Maps of an atlas taken to the grid of a synthetic volume, each uint8 ``(z, y, x)``."""

    labels: Tensor
    regions: Tensor
    levels: Tensor
    bone_depth: Tensor
    skin_depth: Tensor
    bone_gap: Tensor
    vessel_gap: Tensor


@dataclass(frozen=True)
class Contrast:
    """HU of blood in a contrast phase."""

    name: str
    arteries: float
    veins: float
    kidneys: float
    solid: float
    """HU that well perfused organs gain."""


def random_contrast(rng: np.random.Generator) -> Contrast:
    """Draw a contrast phase; arteries reach 450 HU and touch the vertebrae."""
    name = str(rng.choice(["none", "arterial", "portal"], p=[0.4, 0.3, 0.3]))
    if name == "none":
        return Contrast(name, rng.uniform(28, 55), rng.uniform(28, 52), rng.uniform(22, 40), 0.0)
    if name == "arterial":
        return Contrast(name, rng.uniform(200, 450), rng.uniform(40, 220), rng.uniform(80, 220), rng.uniform(10, 50))
    return Contrast(name, rng.uniform(120, 220), rng.uniform(110, 210), rng.uniform(120, 230), rng.uniform(35, 80))


def _base_table(rng: np.random.Generator, contrast: Contrast) -> np.ndarray:
    """Mean HU for every label, shape ``(256,)``."""
    table = np.full(256, 40.0) + rng.uniform(-15, 15, 256) + contrast.solid
    fat = rng.uniform(-115, -80)
    table[REST_ID] = fat
    table[NOTHING_ID] = -1000.0
    table[list(MUSCLE_IDS)] = rng.uniform(38, 68) + rng.uniform(-6, 6, len(MUSCLE_IDS))
    for label in AORTA_LIKE:
        table[label] = contrast.arteries * rng.uniform(0.85, 1.1)
    table[51] = rng.uniform(min(contrast.arteries, contrast.veins), max(contrast.arteries, contrast.veins) + 1)
    for label in VEIN_LIKE:
        table[label] = contrast.veins * rng.uniform(0.8, 1.2)
    table[list(KIDNEYS)] = contrast.kidneys
    table[21] = rng.uniform(-5, 20) if rng.random() < 0.85 else rng.uniform(150, 1000)
    table[list(LUNG_IDS)] = rng.uniform(-920, -750)
    table[list(GAS_FILLED)] = rng.uniform(-1000, -900)
    table[CORD] = rng.uniform(10, 50)
    table[CARTILAGE] = rng.uniform(60, 160)
    oral = rng.random() < 0.25
    for label in BOWEL:
        table[label] = rng.uniform(100, 450) if oral and rng.random() < 0.6 else rng.uniform(-10, 70)
    return table


def _bone(hu: Tensor, maps: LocalMaps, rng: np.random.Generator, fields: list[Tensor], white: Tensor) -> Tensor:
    """Fill bones: trabecular inside, a shell of cortex, posterior elements mostly denser than bodies."""
    trabecular = rng.uniform(30, 260)
    marrow = torch.full((256,), float(trabecular))
    marrow += torch.from_numpy(rng.normal(0, 15, 256)).float()
    others = [label for label in BONE_IDS if label not in VERTEBRAE]
    marrow[others] += float(rng.uniform(-40, 120))
    inner = marrow[maps.labels.int()]
    posterior = (maps.regions == Region.POSTERIOR_ELEMENTS) | (maps.regions == Region.RIB)
    # Mostly denser than bodies, but transverse processes may hold marrow as dark as muscle or fat in a thin cortex.
    inner = inner + posterior * float(rng.uniform(-100, 220))
    inner += fields[0] * float(rng.uniform(5, 35)) + white * float(rng.uniform(5, 45))
    lesion = rng.random()
    if lesion < 0.12:
        inner += (fields[1] > 1.3) * float(rng.uniform(150, 600) if lesion < 0.08 else rng.uniform(-150, -60))
    body_shell = trabecular + float(rng.uniform(60, 420))
    arch_shell = max(body_shell, trabecular + float(rng.uniform(150, 650)))
    shell = torch.where(posterior, arch_shell, body_shell) * (1.0 + 0.25 * fields[2])
    # 1.5 mm is the first layer of voxels: half millimetres are the unit of the depth map.
    thickness = 2 * rng.choice([1.6, 1.6, 2.2])
    bone = maps.bone_depth > 0
    hu = costal_joints(hu, maps.regions, ~bone, shell, rng)
    filled = torch.where(maps.bone_depth <= thickness, torch.maximum(shell, inner), inner)
    if rng.random() < 0.05:
        cement = (maps.bone_depth > 8) & (maps.regions == Region.BODY) & (fields[1] > 0.6)
        filled = torch.where(cement, torch.full_like(filled, float(rng.uniform(700, 2500))), filled)
    return torch.where(bone, filled, hu)


def _flesh(hu: Tensor, maps: LocalMaps, rng: np.random.Generator, fields: list[Tensor], table: Tensor) -> Tensor:
    """Fill what has no label: fat under the skin and in the belly, muscle near bones, vessels' walls."""
    rest = maps.labels == REST_ID
    muscle_hu = float(table[80])
    near_bone = maps.bone_gap < 2 * rng.uniform(3, 15)
    deep = maps.skin_depth > 2 * rng.uniform(4, 30)
    muscle = rest & deep & ((fields[0] > rng.uniform(0.2, 1.5)) | (near_bone & (fields[1] > -0.6)))
    hu = torch.where(muscle, muscle_hu + 6 * fields[2], hu)
    hu = torch.where(rest & (maps.skin_depth < 4), torch.full_like(hu, float(rng.uniform(-20, 40))), hu)
    growth = float(rng.choice([0.0, rng.uniform(0, 5), rng.uniform(3, 9)]))
    swollen = rest & deep & (maps.vessel_gap < 2 * growth)
    return torch.where(swollen, table[52] + 5 * fields[0], hu)


def _hollow(hu: Tensor, maps: LocalMaps, rng: np.random.Generator, fields: list[Tensor], white: Tensor) -> Tensor:
    """Gas and stool in the bowel, vessels in the lung, plaque in the arteries, discs and canal."""
    bowel = torch.isin(maps.labels, torch.tensor(BOWEL, dtype=torch.uint8))
    gas = bowel & (fields[1] > rng.uniform(0.0, 1.5))
    hu = torch.where(gas, torch.full_like(hu, float(rng.uniform(-1000, -800))), hu)
    hu = torch.where(bowel & ~gas, hu + 25 * fields[0] + 40 * (white > 1.5), hu)
    lung = torch.isin(maps.labels, torch.tensor(list(LUNG_IDS), dtype=torch.uint8))
    hu = torch.where(lung, hu + 60 * white.abs() + 40 * fields[0] + 500 * (fields[2] > 1.8), hu)
    if rng.random() < 0.4:
        artery = torch.isin(maps.labels, torch.tensor([52, 65, 66], dtype=torch.uint8))
        plaque = artery & (fields[2] * fields[1] > 0.9)
        hu = torch.where(plaque, hu + float(rng.uniform(200, 900)), hu)
    disc = maps.regions == Region.DISC
    hu = torch.where(disc, float(rng.uniform(50, 125)) + 10 * fields[0], hu)
    if rng.random() < 0.15:
        hu = torch.where(disc & (fields[1] > 0.8), torch.full_like(hu, float(rng.uniform(-400, -50))), hu)
    canal = (maps.regions == Region.CANAL) & (maps.labels != CORD)
    return torch.where(canal, float(rng.uniform(-20, 35)) + 5 * white, hu)


FUSED_SHARE = 0.07
"""Share of volumes in which discs are bone."""
SPUR_SHARE = 0.3
"""Share of volumes with spurs."""


@dataclass(frozen=True)
class Filled:
    """A CT without scanner.

    Attributes:
        hu: HU without noise and blur, float32 ``(z, y, x)``.
        spurs: New bone that the atlas does not know, or None.
    """

    hu: Tensor
    spurs: Spurs | None


def fill(maps: LocalMaps, rng: np.random.Generator, generator: torch.Generator) -> Filled:
    """Draw a CT for the maps.

    Args:
        maps: The anatomy.
        rng: Source of randomness for parameters.
        generator: Source of randomness for fields.

    """
    shape = tuple(maps.labels.shape)
    fields = [smooth_noise(shape, cells, generator) for cells in (rng.uniform(6, 14), rng.uniform(5, 9), 4.0)]
    white = torch.randn(shape, generator=generator)
    contrast = random_contrast(rng)
    table = torch.from_numpy(_base_table(rng, contrast)).float()
    hu = table[maps.labels.int()]
    hu += 6.0 * fields[0]
    hu = _flesh(hu, maps, rng, fields, table)
    hu = _hollow(hu, maps, rng, fields, white)
    if rng.random() < FUSED_SHARE:
        fused = fused_discs(maps.regions, maps.levels, rng)
        hu = torch.where(fused, float(rng.uniform(100, 350)) + 25 * white, hu)
    hu = _bone(hu, maps, rng, fields, white)
    spurs = None
    if rng.random() < SPUR_SHARE:
        spurs = grow_spurs(maps.regions, maps.levels, (maps.bone_depth == 0) & (hu > -200), fields[1], rng)
        hu = torch.where(spurs.where, float(rng.uniform(180, 700)) + 30 * white, hu)
    return Filled(torch.where(maps.labels == NOTHING_ID, torch.full_like(hu, -1000.0), hu), spurs)
