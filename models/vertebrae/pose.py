"""Whether the volume lies as its tags say: the network knows a spine better in the pose that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from models.anatomy import Region
from models.compute import Compute
from models.vertebrae.inference import run_coarse
from models.vertebrae.network import CoarseNetwork
from models.volume.grid import Floats

POSE_CROP = (80, 48, 32)
"""Coarse voxels around the spine that are shown in four poses: 24 × 14 × 10 cm."""
IN_FRONT = 16
"""Coarse voxels of the crop that lie in front of the spine."""
WRONG_POSE = 1.05
"""How much better the network must know another pose. On five CTs and 16 parts of them, each also
with its tags exchanged, the best other pose had 0.24 to 0.90 of the score where the tags were right;
where they were not, 1.11 to 5.5 times, and once 1.0 in a part of six thoracic vertebrae."""
CERTAINLY_WRONG = 1.15
"""And from which the tags are wrong beyond doubt; below it only the names are doubted."""
CERTAINLY_WRONG_OF_FEW = ((3, 3.0), (5, 1.5))
"""The same where no more than so many vertebrae were found: beside them a pelvis or a rib cage that the border cuts
weighs as much. Rightly tagged parts of the shared CTs had 1.22 with three vertebrae, up to 1.28 with four and five,
0.99 with eight."""
POSES = {
    (0,): "head and feet exchanged",
    (1,): "front and back exchanged",
    (0, 1): "head and feet, and front and back, exchanged",
}


@dataclass(frozen=True)
class Pose:
    """The pose in which the network knows a spine best beside the one that the tags say.

    Attributes:
        name: What is exchanged in it.
        ratio: Its score over that of the pose that the tags say.
        vertebrae: How many were found.
    """

    name: str
    ratio: float
    vertebrae: int

    @property
    def doubt(self) -> str:
        """Why the names must not be trusted, as a sentence; empty where the tags seem right."""
        if self.ratio <= WRONG_POSE:
            return ""
        return f"The orientation of the volume seems wrong: the spine is known better with {self.name}."

    @property
    def certain(self) -> str:
        """What is exchanged beyond doubt; empty where nothing is."""
        few = (limit for most, limit in CERTAINLY_WRONG_OF_FEW if self.vertebrae <= most)
        return self.name if self.ratio > next(few, CERTAINLY_WRONG) else ""


def other_pose(network: CoarseNetwork, hu: Floats, centres: Floats, compute: Compute) -> Pose:
    """The best of the other poses: head and feet, front and back, or both exchanged.

    Left and right are not asked for: a spine does not tell them.

    Args:
        network: The coarse network.
        hu: What it was shown, HU at 3 mm ``(z, y, x)``.
        centres: Of the bodies, voxels ``(n, 3)``.
        compute: Where, and how precisely.
    """
    crop = hu[_crop(hu.shape, centres, network.stride)]
    scores = {}
    for head, front in product((False, True), repeat=2):
        pose = (0,) * head + (1,) * front
        maps = run_coarse(network, np.ascontiguousarray(np.flip(crop, pose)), compute)
        bone = maps.classes[Region.BODY] + maps.classes[Region.POSTERIOR_ELEMENTS] > 0.5
        body = (maps.classes[Region.BODY] > 0.5)[::2, ::2, ::2]
        named = float(maps.levels.max(axis=0)[body].astype(np.float32).mean()) if body.any() else 0.0
        scores[pose] = named * float(maps.classes.max(axis=0)[bone].astype(np.float32).sum())
    best = max(POSES, key=lambda pose: scores[pose])
    return Pose(POSES[best], scores[best] / max(scores[()], 1e-6), len(centres))


def _crop(shape: tuple[int, ...], centres: Floats, stride: int) -> tuple[slice, slice, slice]:
    middle = 0.5 * (centres.min(axis=0) + centres.max(axis=0))
    nearest = centres[np.abs(centres[:, 0] - middle[0]).argmin()]
    before = (POSE_CROP[0] // 2, IN_FRONT, POSE_CROP[2] // 2)
    spans = []
    for axis, (whole, wanted) in enumerate(zip(shape, POSE_CROP, strict=True)):
        size = min(wanted, whole // stride * stride)
        low = int(np.clip(round(float(nearest[axis])) - before[axis], 0, whole - size))
        spans.append(slice(low, low + size))
    return spans[0], spans[1], spans[2]
