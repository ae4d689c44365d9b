"""Weights: from a checkpoint to a small file, and from the file to a network that can be trusted.

    python -m models.vertebrae.weights RUN/checkpoint.pt models/vertebrae/weights/coarse.pt

The file holds the running average of the weights in half precision and nothing that has to be
executed to be read.
"""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.vertebrae.network import CoarseNetwork, FineNetwork
from models.weights import WeightsError, digest

FOLDER = Path(__file__).parent / "weights"
COARSE_FILE = FOLDER / "coarse.pt"
FINE_FILE = FOLDER / "fine.pt"


def export(checkpoint: Path, target: Path) -> str:
    """Write the running average of a checkpoint in half precision; returns the file's SHA-256."""
    state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    weights = {name: value.half() for name, value in state["average"].items()}
    part = target.with_suffix(".part")
    torch.save({"stage": state["stage"], "step": state["step"], "weights": weights}, part)
    part.rename(target)
    return digest(target)


def _load(path: Path, stage: str, network: nn.Module) -> None:
    if not path.exists():
        raise WeightsError(path, "the file is missing")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found, weights = state["stage"], {name: value.float() for name, value in state["weights"].items()}
    except (pickle.UnpicklingError, OSError, EOFError, RuntimeError, LookupError, TypeError, AttributeError) as error:
        raise WeightsError(path, "the file is damaged, unreadable or holds no weights: fetch it again") from error
    if found != stage:
        raise WeightsError(path, f"they belong to the stage {found!r}, not to {stage!r}")
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise WeightsError(path, "they belong to a network of another shape") from error
    network.eval()
    network.requires_grad_(False)


def load_coarse(path: Path = COARSE_FILE) -> CoarseNetwork:
    """The coarse network with its weights, ready to be asked.

    Raises:
        WeightsError: The file is missing or holds something else.
    """
    network = CoarseNetwork()
    _load(path, "coarse", network)
    return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload,no-any-return]


def load_fine(path: Path = FINE_FILE) -> FineNetwork:
    """The fine network with its weights, ready to be asked.

    Raises:
        WeightsError: The file is missing or holds something else.
    """
    network = FineNetwork()
    _load(path, "fine", network)
    return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload,no-any-return]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    print(export(arguments.checkpoint, arguments.target))


if __name__ == "__main__":
    main()
