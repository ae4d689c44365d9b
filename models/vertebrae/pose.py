"""Whether the volume lies as its tags say: the network knows a spine better in the pose that it was trained on."""

from __future__ import annotations

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
WRONG_POSE_OF_FEW = ((3, 3.0), (5, 1.5), (8, 1.15))
"""How much better it must know another pose where no more than so many vertebrae were found: beside them a pelvis or
a rib cage that the border cuts weighs as much. Rightly tagged parts of the shared CTs had 1.22 with three vertebrae,
1.01 with four, 1.20 with five and 0.99 with eight."""
POSES = {
    (): "",
    (0,): "head and feet exchanged",
    (1,): "front and back exchanged",
    (0, 1): "head and feet, and front and back, exchanged",
}


def wrong_pose(network: CoarseNetwork, hu: Floats, centres: Floats, compute: Compute) -> str:
    """Whether the network knows the spine better in another pose than the one the tags say.

    Left and right are not asked for: a spine does not tell them.
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
    best = max(scores, key=lambda pose: scores[pose])
    limit = next((limit for most, limit in WRONG_POSE_OF_FEW if len(centres) <= most), WRONG_POSE)
    if scores[best] <= limit * scores[()]:
        return ""
    return f"The orientation of the volume seems wrong: the spine is known better with {POSES[best]}."


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
