"""Asking a network of fixed field of view for a whole volume: overlapping windows, weighted to their middle.

The windows, their overlap and their weights are those of nnU-Net (Isensee et al., Nature Methods 2021,
doi 10.1038/s41592-020-01008-z): half a window of overlap, and a Gaussian whose width is an eighth of
the window. Unlike there, only the slices that windows still reach are held, so that the memory does
not grow with the length of the scan.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.compute import Compute
from models.engine import EngineAnswerError

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Shape = tuple[int, int, int]

STEP = 0.5
"""Distance of neighbouring windows as a share of their size."""


class NetworkOutputError(EngineAnswerError):
    """A network answers with something else than one score per class and voxel."""

    def __init__(self, shape: tuple[int, ...], window: tuple[int, ...], classes: str) -> None:
        wanted = ", ".join(str(side) for side in window)
        super().__init__(
            f"the engine's network answers a window of ({wanted}) with the shape {shape}; expected is "
            f"(1, {classes}, {wanted}), one score per class: check its window and labels in the settings"
        )


@dataclass(frozen=True)
class Answer:
    """What a network says of a volume.

    Attributes:
        classes: The best class of every voxel.
        certainty: Its probability times 255.
    """

    classes: Bytes
    certainty: Bytes


def window_starts(size: int, window: int) -> list[int]:
    """First voxels of the windows along one axis, evenly spread."""
    if size <= window:
        return [0]
    count = math.ceil((size - window) / (window * STEP)) + 1
    return [round(i * (size - window) / (count - 1)) for i in range(count)]


def window_count(shape: Shape, window: Shape) -> int:
    """How often the network is asked for a volume."""
    return math.prod(len(window_starts(size, own)) for size, own in zip(shape, window, strict=True))


def _weights(window: Shape) -> Tensor:
    axes = [torch.arange(n, dtype=torch.float32) - n // 2 for n in window]
    parts = [torch.exp(-0.5 * (axis / (n / 8.0)).square()) for axis, n in zip(axes, window, strict=True)]
    # Never zero: a corner that only one window sees must keep its answer in half precision.
    return (parts[0][:, None, None] * parts[1][None, :, None] * parts[2][None, None, :]).clamp_(min=1e-3)


def ask(network: nn.Module, image: Floats, window: Shape, class_count: int | None, compute: Compute) -> Answer:
    """Ask a network for a whole volume.

    Args:
        network: From ``(1, 1, *window)`` to scores ``(1, classes, *window)``, on the device.
        image: Normalised values ``(a, b, c)``.
        window: Voxels that the network sees at once.
        class_count: Classes that it tells apart; None where that is seen from its first answer.
        compute: Where and how precisely.

    Raises:
        NetworkOutputError: It answers with another shape.
    """
    shape = image.shape
    padded = np.pad(image, [(0, max(0, own - size)) for size, own in zip(shape, window, strict=True)])
    starts = [window_starts(size, own) for size, own in zip(padded.shape, window, strict=True)]
    weights = _weights(window)
    held = torch.zeros(0)
    classes, certainty = np.zeros(padded.shape, np.uint8), np.zeros(padded.shape, np.uint8)
    for place, first in enumerate(starts[0]):
        for second, third in product(starts[1], starts[2]):
            box = slice(second, second + window[1]), slice(third, third + window[2])
            part = torch.from_numpy(np.ascontiguousarray(padded[first : first + window[0], box[0], box[1]]))
            scores = _scores(network, part, class_count, compute)
            if not held.numel():
                class_count = scores.shape[0]
                held = torch.zeros((class_count, window[0], *padded.shape[1:]), dtype=torch.float16)
            held[:, :, box[0], box[1]] += (scores * weights).half()
        done = starts[0][place + 1] - first if place + 1 < len(starts[0]) else window[0]
        for low in range(0, done, 16):
            high = min(low + 16, done)
            total = _sum_of_weights(weights, starts, first + low, first + high, padded.shape)
            best = (held[:, low:high].float() / total).softmax(dim=0).max(dim=0)
            classes[first + low : first + high] = best.indices.to(torch.uint8).numpy()
            certainty[first + low : first + high] = (best.values * 255.0).round().to(torch.uint8).numpy()
        held = torch.cat([held[:, done:], torch.zeros_like(held[:, :done])], dim=1)
    inner = tuple(slice(0, size) for size in shape)
    return Answer(classes[inner], certainty[inner])


def _sum_of_weights(weights: Tensor, starts: list[list[int]], low: int, high: int, shape: Shape) -> Tensor:
    """Sum of the windows' weights for some slices, ``(high − low, b, c)``."""
    total = torch.zeros((high - low, shape[1], shape[2]))
    depth, rows, columns = weights.shape
    for first in starts[0]:
        top, bottom = max(low, first), min(high, first + depth)
        if top >= bottom:
            continue
        for second, third in product(starts[1], starts[2]):
            part = weights[top - first : bottom - first]
            total[top - low : bottom - low, second : second + rows, third : third + columns] += part
    return total


def _scores(network: nn.Module, part: Tensor, class_count: int | None, compute: Compute) -> Tensor:
    with torch.inference_mode(), compute.autocast():
        answer: Any = network(part[None, None].to(compute.device))
    if isinstance(answer, (tuple, list)):  # deep supervision: the first is the one at full size
        answer = answer[0]
    shape = tuple(getattr(answer, "shape", ()))
    fits = len(shape) == 5 and shape[0] == 1 and 2 <= shape[1] <= 255 and shape[2:] == tuple(part.shape)
    if not fits or class_count not in (None, shape[1]):
        raise NetworkOutputError(shape, tuple(part.shape), str(class_count or "2 … 255"))
    scores: Tensor = answer[0].float().cpu()
    return scores
