"""Train the second opinion from a pool of crops.

    python -m models.fractures.training.train POOL TARGET.pt --minutes 3 [--without BODY ...]

The pool is made by ``python -m evidence.fractures.crops``; its bodies can be left out by name. The learning
rate falls with the share of the minutes that is used up, so that a training always ends cold.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as nnf
from numpy.typing import NDArray
from torch import Tensor, nn

from models.fractures.network import BOUNDS, FIELDS, FractureNetwork, network_input, soft
from models.fractures.weights import export

BATCH, RATE, DECAY, AVERAGE = 48, 2e-3, 2e-2, 0.99
OFTEN = {"fracture": 1.0, "node": 0.8, "intact": 0.5, "neighbour": 0.3}
"""How often a crop of each kind is drawn: sound neighbours are many and alike."""
WRONG = ((-0.05, 0.05), (0.88, 1.14), (0.92, 1.08), (-2.0, 2.0), (-2.0, 2.0))
"""How wrong a mask may be: turned (radians), too high, too deep (factors), shifted down and back (mm)."""


@dataclass(frozen=True)
class Crops:
    """Crops in memory.

    Attributes:
        hu: int16 ``(n, planes, rows, columns)``.
        own, others: uint8 of the same shape, 255 inside.
        facts: Name, level, kind, loss and slices of each, by key.
    """

    hu: Tensor
    own: Tensor
    others: Tensor
    facts: dict[str, NDArray[Any]]

    def of(self, kept: NDArray[Any]) -> Crops:
        """Some of them."""
        index = torch.from_numpy(np.nonzero(kept)[0])
        facts = {key: value[kept] for key, value in self.facts.items()}
        return Crops(self.hu[index], self.own[index], self.others[index], facts)


def read_pool(pool: Path) -> Crops:
    """All finished shards of a pool."""
    shards = [dict(np.load(path)) for path in sorted(pool.glob("*.npz")) if ".part" not in path.name]
    whole = {key: np.concatenate([shard[key] for shard in shards]) for key in shards[0]}
    hu, own, others = (torch.from_numpy(whole.pop(key)) for key in FIELDS)
    return Crops(hu, own, others, whole)


def varied(hu: Tensor, own: Tensor, others: Tensor, rng: torch.Generator) -> Tensor:
    """Input with other contrast, noise, blur, pose and scale, and with masks as wrong as a network's are."""
    n = len(hu)

    def drawn(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand((n, *shape), generator=rng)

    size = list(hu.shape)
    pose = _affine(size, drawn(-0.09, 0.09), drawn(0.92, 1.09), drawn(0.92, 1.09), drawn(-4, 4), drawn(-3, 3))
    hu = _resampled(hu, pose, "border")
    hu = torch.lerp(hu, soft(hu, 2), drawn(0, 1, 1, 1, 1) * (drawn(0, 1, 1, 1, 1) < 0.4))
    hu = hu * drawn(0.85, 1.2, 1, 1, 1) + drawn(-40, 40, 1, 1, 1)
    hu.add_(torch.randn(size[1:], generator=rng) * drawn(0, 25, 1, 1, 1))
    masks = []
    for mask in (own, others):
        wrong = _affine(size, *(drawn(low, high) for low, high in WRONG))
        masks.append(_resampled(mask, pose @ wrong, "zeros") * (drawn(0, 1, 1, 1, 1) > 0.12))
    flipped = (torch.rand(n, generator=rng) < 0.5)[:, None, None, None]
    given = network_input(hu, *masks)
    mirrored = given.reshape(n, len(FIELDS), -1, *size[2:]).flip(2).reshape(given.shape)
    return torch.where(flipped, mirrored, given)


def _affine(size: Sequence[int], angle: Tensor, tall: Tensor, deep: Tensor, down: Tensor, back: Tensor) -> Tensor:
    """Matrices ``(n, 3, 3)`` from the new crop to the old one in units of half its sides, columns first."""
    rows, columns = size[2:]
    cos, sin, aspect = torch.cos(angle), torch.sin(angle), rows / columns
    zero = torch.zeros_like(cos)
    first = torch.stack([cos / deep, -sin / deep * aspect, 2 * back / columns], dim=1)
    second = torch.stack([sin / tall / aspect, cos / tall, 2 * down / rows], dim=1)
    return torch.stack([first, second, torch.stack([zero, zero, zero + 1], dim=1)], dim=1)


def _resampled(part: Tensor, matrix: Tensor, beyond: str) -> Tensor:
    grid = nnf.affine_grid(matrix[:, :2], list(part.shape), align_corners=False)
    return nnf.grid_sample(part.float(), grid, padding_mode=beyond, align_corners=False)


def train(crops: Crops, minutes: float, seed: int) -> FractureNetwork:
    """Train for a time on one thread; the learning rate falls with the share of it that is used up."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    network = FractureNetwork()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    often = torch.tensor([OFTEN[kind] for kind in crops.facts["kind"].tolist()])
    truth = torch.from_numpy(crops.facts["loss"].astype(np.float32))
    started, step, running = time.monotonic(), 0, 0.0
    while (share := (time.monotonic() - started) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 40) * 0.5 * (1 + math.cos(math.pi * share))
        index = torch.multinomial(often, BATCH, replacement=True, generator=rng)
        given = varied(crops.hu[index], crops.own[index], crops.others[index], rng)
        with torch.autocast("cpu", torch.bfloat16):
            found = network(given.contiguous(memory_format=torch.channels_last)).float()
        wanted = truth[index]
        logits = nnf.binary_cross_entropy_with_logits(found[:, :3], (wanted[:, None] >= torch.tensor(BOUNDS)).float())
        # Regression counts in units of the grades' width.
        loss = logits + 0.5 * nnf.smooth_l1_loss(found[:, 3] * 5, wanted * 5)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        # Gradients of bfloat16 convolutions are at times not finite on CPU.
        if torch.isfinite(nn.utils.clip_grad_norm_(network.parameters(), 2.0)):
            optimiser.step()
        step += 1
        running += (float(loss.detach()) - running) * 0.02
        _follow(average, network, min(AVERAGE, step / (step + 10)))
        if step % 50 == 0:
            print(f"step {step}, {100 * share:.0f} %, loss {running:.4f}", flush=True)
    return average.eval()


def _follow(average: nn.Module, network: nn.Module, kept: float) -> None:
    with torch.no_grad():
        for old, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - kept)
            else:
                old.copy_(new)


def spoiled(crops: Crops) -> Crops:
    """The same crops with masks that are too high, too low, tilted and shifted, as in training."""
    rng = torch.Generator().manual_seed(5)
    masks = []
    for mask in (crops.own, crops.others):
        wrong = [low + (high - low) * torch.rand(len(mask), generator=rng) for low, high in WRONG]
        masks.append(_resampled(mask, _affine(list(mask.shape), *wrong), "zeros").to(torch.uint8))
    return Crops(crops.hu, masks[0], masks[1], crops.facts)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("pool", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--without", nargs="*", default=[], help="bodies to leave out")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    crops = read_pool(given.pool)
    seen = crops.of(~np.isin(crops.facts["name"], given.without))
    print(f"{len(seen.hu)} crops, without {given.without}", flush=True)
    print(export(train(seen, given.minutes, given.seed), given.target))


if __name__ == "__main__":
    main()
