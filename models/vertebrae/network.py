"""The networks: one small residual U-Net in three dimensions, with the heads that each stage needs.

The coarse network looks at a wide field at 3 mm and says for every voxel what it is, where inside
its vertebra it lies along the spine, how far the centre of its vertebra is, and which level it
belongs to. The fine network looks at one vertebra at 1.5 mm and says what belongs to that one.

Group normalisation rather than instance normalisation: on CPU in bfloat16 with channels last it
costs a third of it, and its statistics over several channels move less with the field of view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

COARSE_SPACING = 3.0
"""Voxel edge of the coarse stage in mm."""
FINE_SPACING = 1.5
"""Voxel edge of the fine stage in mm."""
COARSE_BUDGET = 360_000
"""Most voxels that the coarse network is shown at once in training."""
CLASS_COUNT = 7
"""Background, body, posterior elements, disc, sacrum, rib, canal: ``models.anatomy.Region``."""
LEVEL_COUNT = 26
"""C1 … S1 (25) and the rest of the sacrum."""
FINE_CLASS_COUNT = 4
"""Background, and of the central vertebra: body, posterior elements, adjoining discs."""
OFFSET_SCALE = 30.0
"""Distance along the spine in mm that the offset head writes as 1."""

LOW_PRECISION_DEPTH = 3
"""From this depth on the trunk computes in float32: the tensors are small there, so that it costs
little, and the gradient of their bfloat16 convolutions is at times not finite on CPU (torch 2.13)."""


def normalise_hu(hu: Tensor) -> Tensor:
    """HU to network input: −1 at −1000 HU and below, 0 at 0 HU, 1 at 500 HU, at most 2.

    Air and lung need no resolution, soft tissue against trabecular bone does.
    """
    return torch.where(hu < 0, hu / 1000.0, hu / 500.0).clamp_(-1.0, 2.0)


class ResidualBlock(nn.Module):
    """Two 3×3×3 convolutions with a shortcut; the first may halve the resolution."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv3d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.GroupNorm(outputs // 8, outputs)
        self.second = nn.Conv3d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = nn.GroupNorm(outputs // 8, outputs)
        self.shortcut: nn.Module
        if stride == 1 and inputs == outputs:
            self.shortcut = nn.Identity()
        else:
            self.shortcut = nn.Conv3d(inputs, outputs, 1, stride=stride)

    def forward(self, features: Tensor) -> Tensor:
        """Features ``(n, inputs, z, y, x)`` to ``(n, outputs, z/stride, y/stride, x/stride)``."""
        inner = nnf.leaky_relu(self.first_norm(self.first(features)), 0.01)
        inner = self.second_norm(self.second(inner))
        result: Tensor = nnf.leaky_relu(inner + self.shortcut(features), 0.01)
        return result


class Merge(nn.Module):
    """Doubles the resolution and joins the features of the same resolution from the way down."""

    def __init__(self, deep: int, skip: int) -> None:
        super().__init__()
        self.narrow = nn.Conv3d(deep, skip, 1)
        self.conv = nn.Conv3d(skip, skip, 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(skip // 8, skip)

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        """Deep features ``(n, deep, z, y, x)`` and skip ``(n, skip, 2z, 2y, 2x)`` to the skip's shape."""
        # Adding costs half of concatenating, in memory and in the convolution that follows.
        raised = nnf.interpolate(self.narrow(deep), scale_factor=2, mode="nearest")
        joined = raised + skip
        result: Tensor = nnf.leaky_relu(self.norm(self.conv(joined)) + joined, 0.01)
        return result


class UNet(nn.Module):
    """The trunk: features at full and at half resolution.

    Args:
        inputs: Channels of the input.
        widths: Channels at each resolution, multiples of 8, finest first.
    """

    def __init__(self, inputs: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.stride: int = 2 ** (len(widths) - 1)
        """Every side of the input must be a multiple of this."""
        pairs = list(pairwise(widths))
        self.stem = ResidualBlock(inputs, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(ResidualBlock(fine, deep, stride=2), ResidualBlock(deep, deep)) for fine, deep in pairs
        )
        self.up = nn.ModuleList(Merge(deep, fine) for fine, deep in reversed(pairs))

    def forward(self, volume: Tensor) -> tuple[Tensor, Tensor]:
        """Input ``(n, inputs, z, y, x)`` to features at full and half resolution."""
        skips = [self.stem(volume)]
        for depth, stage in enumerate(self.down):
            skips.append(_precise(stage, skips[-1]) if depth >= LOW_PRECISION_DEPTH else stage(skips[-1]))
        features = skips.pop()
        half = features
        for stage in self.up:
            half = features
            precise = len(skips) > LOW_PRECISION_DEPTH
            features = _precise(stage, features, skips.pop()) if precise else stage(features, skips.pop())
        return features, half


def _precise(stage: nn.Module, *features: Tensor) -> Tensor:
    """Run a stage in float32, whatever autocast says."""
    with torch.autocast(features[0].device.type, enabled=False):
        result: Tensor = stage(*(part.float() for part in features))
    return result


@dataclass(frozen=True)
class CoarseOutput:
    """What the coarse network says.

    Attributes:
        classes: Logits ``(n, 7, z, y, x)``.
        phase: Cosine and sine of the position inside the vertebra ``(n, 2, z, y, x)``, angle 0 at
            the middle of the disc above, π at the centre, growing towards the feet.
        offset: Signed distance along the spine to the centre of the own vertebra in units of
            ``OFFSET_SCALE``, positive towards the feet, ``(n, 1, z, y, x)``.
        levels: Logits at half resolution ``(n, 26, z/2, y/2, x/2)``.
    """

    classes: Tensor
    phase: Tensor
    offset: Tensor
    levels: Tensor


class CoarseNetwork(nn.Module):
    """Finds and names vertebrae at 3 mm."""

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 96, 128)) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.trunk = UNet(1, widths)
        self.dense = nn.Conv3d(widths[0], CLASS_COUNT + 3, 1)
        self.levels = nn.Conv3d(widths[1], LEVEL_COUNT, 1)

    @property
    def stride(self) -> int:
        """Every side of the input must be a multiple of this."""
        return self.trunk.stride

    def forward(self, volume: Tensor) -> CoarseOutput:
        """Normalised HU ``(n, 1, z, y, x)``, axes towards head, back and left, to the heads."""
        features, half = self.trunk(volume)
        dense = self.dense(features)
        classes, phase, offset = dense.split((CLASS_COUNT, 2, 1), dim=1)
        return CoarseOutput(classes, phase, offset, self.levels(half))


class FineNetwork(nn.Module):
    """Outlines one vertebra at 1.5 mm."""

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 96)) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.trunk = UNet(2, widths)
        self.classes = nn.Conv3d(widths[0], FINE_CLASS_COUNT, 1)

    @property
    def stride(self) -> int:
        """Every side of the input must be a multiple of this."""
        return self.trunk.stride

    def forward(self, crop: Tensor) -> Tensor:
        """Normalised HU and centre map ``(n, 2, z, y, x)`` to logits ``(n, 4, z, y, x)``."""
        features, _ = self.trunk(crop)
        result: Tensor = self.classes(features)
        return result
