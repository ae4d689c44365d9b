"""Losses of both stages, each part on its own so that the log shows which one stands still."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as nnf
from torch import Tensor

from models.anatomy import Region
from models.vertebrae.network import OFFSET_SCALE, CoarseOutput
from models.vertebrae.training.targets import NO_LEVEL, NO_OFFSET, NO_PHASE, PHASE_STEPS, UNKNOWN

WEIGHTS = {"classes": 1.0, "dice": 0.5, "phase": 1.0, "offset": 1.0, "levels": 0.5}
"""Chosen so that in the middle of a training every part pulls about equally."""


@dataclass(frozen=True)
class CoarseBatch:
    """Input and targets at 3 mm.

    Attributes:
        image: Normalised HU ``(n, 1, z, y, x)``.
        regions: int64 ``(n, z, y, x)``, ``UNKNOWN`` where nothing is to be learnt.
        levels: int64, the same shape.
        phase: int64, the same shape, in ``PHASE_STEPS``.
        offset: float32 mm, the same shape.
    """

    image: Tensor
    regions: Tensor
    levels: Tensor
    phase: Tensor
    offset: Tensor


def soft_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """One minus the mean Dice of the foreground classes that are present.

    Args:
        logits: ``(n, classes, z, y, x)``.
        target: int64 ``(n, z, y, x)``; voxels that are ``UNKNOWN`` count for no class.
    """
    probability = logits.float().softmax(dim=1) * (target != UNKNOWN)[:, None]
    scores = []
    for label in range(1, logits.shape[1]):
        wanted = (target == label).float()
        size = wanted.sum()
        if size < 20:
            continue
        given = probability[:, label]
        scores.append(2.0 * (given * wanted).sum() / (given.square().sum() + size))
    if not scores:
        return logits.sum() * 0.0
    return 1.0 - torch.stack(scores).mean()


def coarse_losses(output: CoarseOutput, batch: CoarseBatch) -> dict[str, Tensor]:
    """Unweighted parts of the coarse loss, by the names in ``WEIGHTS``."""
    zero = output.classes.sum() * 0.0
    known = bool((batch.regions != UNKNOWN).any())
    losses = {
        "classes": nnf.cross_entropy(output.classes.float(), batch.regions, ignore_index=UNKNOWN) if known else zero,
        "dice": soft_dice_loss(output.classes, batch.regions),
    }
    turned = batch.phase != NO_PHASE
    if bool(turned.any()):
        angle = batch.phase[turned].float() * (2.0 * math.pi / PHASE_STEPS)
        given = output.phase.float().movedim(1, -1)[turned]
        wanted = torch.stack([angle.cos(), angle.sin()], dim=-1)
        losses["phase"] = nnf.mse_loss(given, wanted)
    else:
        losses["phase"] = zero
    owned = batch.offset != NO_OFFSET
    if bool(owned.any()):
        distance = output.offset.float()[:, 0][owned]
        losses["offset"] = nnf.smooth_l1_loss(distance, batch.offset[owned] / OFFSET_SCALE, beta=0.1)
    else:
        losses["offset"] = zero
    bone = (batch.regions == Region.BODY) | (batch.regions == Region.POSTERIOR_ELEMENTS)
    bone = (bone | (batch.regions == Region.SACRUM)) & (batch.levels != NO_LEVEL)
    named = bone[:, ::2, ::2, ::2]
    if bool(named.any()):
        logits = output.levels.float().movedim(1, -1)[named]
        losses["levels"] = nnf.cross_entropy(logits, batch.levels[:, ::2, ::2, ::2][named])
    else:
        losses["levels"] = zero
    return losses


def fine_losses(logits: Tensor, classes: Tensor) -> dict[str, Tensor]:
    """Unweighted parts of the fine loss.

    Args:
        logits: ``(n, 4, z, y, x)``.
        classes: int64 ``(n, z, y, x)``.
    """
    return {"classes": nnf.cross_entropy(logits.float(), classes), "dice": soft_dice_loss(logits, classes)}


def total(losses: dict[str, Tensor]) -> Tensor:
    """Weighted sum of the parts."""
    return torch.stack([WEIGHTS[name] * value for name, value in losses.items()]).sum()
