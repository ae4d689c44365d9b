"""Weights of the second opinion: to a small file, and from the file to a network that can be trusted.

The file holds weights in half precision and nothing that has to be executed to be read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from models.fractures.network import FractureNetwork
from models.weights import WeightsError, digest

FILE = Path(__file__).parent / "weights" / "second_opinion.pt"
STAGE = "fractures"


def export(network: FractureNetwork, target: Path) -> str:
    """Write a network in half precision; returns the file's SHA-256."""
    weights = {name: v.half() if v.is_floating_point() else v for name, v in network.state_dict().items()}
    part = target.with_suffix(".part")
    torch.save({"stage": STAGE, "weights": weights}, part)
    part.rename(target)
    return digest(target)


def load(path: Path = FILE) -> FractureNetwork:
    """The network with its weights, ready to be asked.

    Raises:
        WeightsError: The file is missing or holds something else.
    """
    if not path.exists():
        raise WeightsError(path, "the file is missing")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    if state.get("stage") != STAGE:
        raise WeightsError(path, f"they belong to the stage {state.get('stage')!r}, not to {STAGE!r}")
    network = FractureNetwork()
    network.load_state_dict({n: v.float() if v.is_floating_point() else v for n, v in state["weights"].items()})
    network.requires_grad_(False)
    return network.eval()
