"""A small network over the straightened crop of a vertebra, that says how likely it has lost height.

The crop shows the vertebra in its own frame with both discs and most of both neighbours, which are what its height
is compared with. Masks are given in cells of 4 mm only: they say which vertebra is meant, not how high it is, so
that the answer comes from the image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

PLANES_MM = (-8.0, -4.0, 0.0, 4.0, 8.0)
"""Parasagittal planes, towards the left."""
ROWS, COLUMNS = 104, 64
"""Of 1 mm, head first and front first, about the middle of the body."""
FIELDS = ("hu", "own", "others")
"""CT numbers, share of the own body, share of other vertebrae's bodies."""
BOUNDS = (0.20, 0.25, 0.40)
"""Height losses from which the grade is 1, 2 and 3 (RadElement RDES150, docs/science.md §3.1 [V])."""
MASK_CELL = 4


class FractureNetwork(nn.Module):
    """Parasagittal planes to logits of a true height loss of 20, 25 and 40 % or more, and the loss itself.

    Args:
        widths: Channels at each depth.
    """

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 96)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = len(FIELDS) * len(PLANES_MM)
        for depth, width in enumerate(widths):
            # Height is what is looked for: at first only the depth is halved.
            stride = (1, 2) if depth == 0 else (2, 2)
            layers += [_unit(before, width, stride), _unit(width, width, (1, 1))]
            before = width
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * before, 64), nn.ReLU(), nn.Linear(64, len(BOUNDS) + 1))

    def forward(self, crop: Tensor) -> Tensor:
        """Input ``(n, fields × planes, rows, columns)`` to ``(n, 4)``: three logits and the loss."""
        features = self.trunk(crop)
        # The vertebra itself lies in the middle rows; the rest is what it is compared with.
        middle = features[:, :, features.shape[2] // 2 - 3 : features.shape[2] // 2 + 3]
        pooled = torch.cat([middle.amax(dim=(2, 3)), features.mean(dim=(2, 3))], dim=1)
        result: Tensor = self.head(pooled)
        return result


def _unit(before: int, after: int, stride: tuple[int, int]) -> nn.Module:
    conv = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU(inplace=True))


def network_input(hu: Tensor, own: Tensor, others: Tensor) -> Tensor:
    """Crops to the network's input.

    Args:
        hu: CT numbers ``(n, planes, rows, columns)``.
        own: Of the same shape, 255 inside the own body.
        others: The same for other vertebrae's bodies.

    Returns:
        ``(n, fields × planes, rows, columns)``: contrast of bone, and the masks in cells of 4 mm.
    """
    masks = [soft(m.float() / 255, MASK_CELL) for m in (own, others)]
    return torch.cat([((hu.float() - 100) / 300).clamp(-1.3, 2.5), *masks], dim=1)


def soft(part: Tensor, cell: int) -> Tensor:
    """Means of square cells, with straight lines between their centres; shape unchanged."""
    return nnf.interpolate(nnf.avg_pool2d(part, cell), scale_factor=cell, mode="bilinear")


def ask(network: FractureNetwork, hu: Tensor, own: Tensor, others: Tensor) -> Tensor:
    """Logits and loss ``(n, 4)`` of crops as in :func:`network_input`: the mean of a crop and its mirror image."""
    parts = (hu, own, others)
    with torch.no_grad():
        straight = network(network_input(*parts))
        mirrored = network(network_input(*(part.flip(1) for part in parts)))
    result: Tensor = (straight + mirrored) / 2
    return result
