"""Train one stage from a pool that another process fills.

    python -m models.vertebrae.training.train coarse POOL RUN --minutes 45 [--also POOL …] [--start WEIGHTS.pt]

A new run starts from nothing, or from weights that were exported; these may go on for levels that they never saw, as
the level head has had a class for every level from the first. A run resumes where ``RUN/checkpoint.pt`` stands. Writes
``RUN/log.jsonl``: first the recipe with the digests of the data, then every loss on its own. The learning rate follows
the share of the minutes that is used up, so that a training always ends cold, whatever the machine is worth.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.vertebrae.network import CoarseNetwork, FineNetwork
from models.vertebrae.training.batches import coarse_batch, fine_batch
from models.vertebrae.training.losses import CoarseBatch, coarse_losses, fine_losses, total
from models.vertebrae.weights import load_coarse, load_fine
from models.weights import digest

SAVE_EVERY = 150.0
"""Seconds between checkpoints."""
LOG_EVERY = 25
"""Steps between lines of the log."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training beside the data.

    Attributes:
        stage: ``coarse`` or ``fine``.
        minutes: Time to train for, resumed parts counted together.
        rate: Highest learning rate.
        decay: Weight decay.
        average: Share of the old weights in the running average.
        seed: Seed of weights and batches.
        threads: CPU threads.
    """

    stage: str
    minutes: float
    rate: float = 1.5e-3
    decay: float = 1e-2
    average: float = 0.997
    seed: int = 1
    threads: int = 2


def build_network(stage: str, start: Path | None = None) -> nn.Module:
    """A network of a stage: untrained, or with the weights of an exported file.

    Raises:
        models.vertebrae.weights.WeightsError: The file is missing or belongs to another stage or network.
    """
    if start is None:
        return CoarseNetwork() if stage == "coarse" else FineNetwork()
    network: nn.Module = load_coarse(start) if stage == "coarse" else load_fine(start)
    return network.train().requires_grad_(True)


class Training:
    """One training run in a folder.

    Args:
        recipe: What to do.
        pools: The folders of samples; one is drawn from as often as another, however many samples each holds.
        run: The folder of checkpoints and log; made if missing.
        start: Exported weights that a new run begins with; a run that is resumed goes on with its own.
    """

    def __init__(self, recipe: Recipe, pools: Sequence[Path], run: Path, start: Path | None = None) -> None:
        torch.manual_seed(recipe.seed)
        torch.set_num_threads(recipe.threads)
        self.recipe, self.pools, self.run, self.start = recipe, tuple(pools), run, start
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = build_network(recipe.stage, start).to(self.device)
        self.network = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
        self.step, self.elapsed = 0, 0.0
        self.files: list[list[Path]] = []
        run.mkdir(parents=True, exist_ok=True)
        self._resume()

    @property
    def checkpoint(self) -> Path:
        """Where the state is kept."""
        return self.run / "checkpoint.pt"

    def _resume(self) -> None:
        if not self.checkpoint.exists():
            begun = {} if self.start is None else {"start": digest(self.start)}
            self._log({"recipe": asdict(self.recipe), **begun, "data": self._data(), "torch": torch.__version__})
            return
        state: dict[str, Any] = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.elapsed = int(state["step"]), float(state["elapsed"])
        self._log({"resumed": self.step, "data": self._data()})

    def _data(self) -> dict[str, str]:
        """Digests of what the pools were drawn from."""
        files = [pool / "data.json" for pool in self.pools]
        known = [json.loads(file.read_text()) for file in files if file.exists()]
        return {name: digest for data in known for name, digest in data.items()}

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "elapsed": self.elapsed,
            "stage": self.recipe.stage,
        }
        part = self.checkpoint.with_suffix(".part")
        torch.save(state, part)
        part.rename(self.checkpoint)

    def _log(self, entry: dict[str, Any]) -> None:
        with (self.run / "log.jsonl").open("a") as stream:
            stream.write(json.dumps(entry) + "\n")

    def _batch(self, rng: np.random.Generator) -> CoarseBatch | tuple[Tensor, Tensor]:
        if self.step % 20 == 0 or not self.files:
            self.files = [sorted(pool.glob("*.npz")) for pool in self.pools]
            if not all(self.files):
                pools = ", ".join(map(str, self.pools))
                msg = f"one of {pools} holds no samples: fill it with models.vertebrae.training.pool"
                raise ValueError(msg)
        if self.recipe.stage == "coarse":
            return coarse_batch(self._file(rng), rng)
        while True:
            # Few volumes hold no vertebra that is large enough to be cropped.
            batch = fine_batch([self._file(rng)], rng)
            if batch is not None:
                return batch

    def _file(self, rng: np.random.Generator) -> Path:
        files = self.files[int(rng.integers(len(self.files)))]
        return files[int(rng.integers(len(files)))]

    def _losses(self, batch: CoarseBatch | tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            if isinstance(batch, CoarseBatch):
                moved = CoarseBatch(*(getattr(batch, name).to(self.device) for name in batch.__dataclass_fields__))
                image = moved.image.contiguous(memory_format=torch.channels_last_3d)
                output = self.network(image)
            else:
                image = batch[0].to(self.device).contiguous(memory_format=torch.channels_last_3d)
                logits = self.network(image)
        if isinstance(batch, CoarseBatch):
            return coarse_losses(output, moved)
        return fine_losses(logits, batch[1].to(self.device))

    def _rate(self) -> float:
        share = min(1.0, self.elapsed / (60.0 * self.recipe.minutes))
        warm = min(1.0, (self.step + 1) / 100.0)
        return self.recipe.rate * warm * max(0.01, 0.5 * (1.0 + math.cos(math.pi * share)))

    def advance(self) -> dict[str, float]:
        """One step; returns the losses."""
        rng = np.random.default_rng((self.recipe.seed, self.step))
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate()
        losses = self._losses(self._batch(rng))
        self.optimiser.zero_grad(set_to_none=True)
        total(losses).backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 3.0)
        if bool(torch.isfinite(norm)):
            self.optimiser.step()
        else:
            self._log({"step": self.step, "skipped": "gradient not finite"})
        keep = min(self.recipe.average, (1.0 + self.step) / (10.0 + self.step))
        with torch.no_grad():
            for old, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
                old.lerp_(new, 1.0 - keep)
        self.step += 1
        return {name: float(value.detach()) for name, value in losses.items()}

    def complete(self) -> None:
        """Train until the minutes are used up."""
        sums: dict[str, float] = defaultdict(float)
        last, saved = time.monotonic(), time.monotonic()
        while self.elapsed < 60.0 * self.recipe.minutes:
            for name, value in self.advance().items():
                sums[name] += value / LOG_EVERY
            now = time.monotonic()
            self.elapsed, last = self.elapsed + now - last, now
            if self.step % LOG_EVERY == 0:
                means = {name: round(value, 4) for name, value in sums.items()}
                self._log({"step": self.step, "s": round(self.elapsed), "files": sum(map(len, self.files)), **means})
                sums.clear()
            if now - saved > SAVE_EVERY:
                self._save()
                saved = now
        self._save()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=["coarse", "fine"])
    parser.add_argument("pool", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument("--rate", type=float, default=Recipe.rate)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--threads", type=int, default=Recipe.threads)
    parser.add_argument("--also", type=Path, nargs="*", default=[], metavar="POOL", help="further pools")
    parser.add_argument("--start", type=Path, metavar="WEIGHTS", help="exported weights that a new run begins with")
    arguments = parser.parse_args()
    recipe = Recipe(
        arguments.stage, arguments.minutes, rate=arguments.rate, seed=arguments.seed, threads=arguments.threads
    )
    Training(recipe, [arguments.pool, *arguments.also], arguments.run, arguments.start).complete()


if __name__ == "__main__":
    main()
