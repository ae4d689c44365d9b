"""Weights of the second opinion: only what belongs to the network is loaded, and it says the same afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.engine import EngineUnavailableError
from models.fractures.network import COLUMNS, PLANES_MM, ROWS, FractureNetwork, ask
from models.fractures.weights import FILE, export, load
from models.vertebrae.weights import COARSE_FILE

CROP = (3, len(PLANES_MM), ROWS, COLUMNS)


def crops() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(3)
    hu = torch.randint(-200, 600, CROP, generator=rng, dtype=torch.int16)
    own = torch.zeros(CROP, dtype=torch.uint8)
    own[:, :, 40:64, 16:48] = 255
    return hu, own, torch.zeros(CROP, dtype=torch.uint8)


def test_a_network_says_the_same_after_it_was_kept(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = FractureNetwork().eval()
    export(network, tmp_path / "kept.pt")
    assert ask(load(tmp_path / "kept.pt"), *crops()).numpy() == pytest.approx(ask(network, *crops()).numpy(), abs=0.01)


def test_left_and_right_are_alike() -> None:
    parts = crops()
    straight, mirrored = ask(load(), *parts), ask(load(), *(part.flip(1) for part in parts))
    assert straight.numpy() == pytest.approx(mirrored.numpy(), abs=1e-5)


def test_one_crop_is_judged_without_regard_to_the_others() -> None:
    together = ask(load(), *crops())
    alone = ask(load(), *(part[1:2] for part in crops()))
    assert together[1].numpy() == pytest.approx(alone[0].numpy(), abs=1e-4)


@pytest.mark.parametrize("file", [FILE.with_name("missing.pt"), COARSE_FILE])
def test_other_weights_are_refused_by_name(file: Path) -> None:
    with pytest.raises(EngineUnavailableError, match=file.name):
        load(file)
