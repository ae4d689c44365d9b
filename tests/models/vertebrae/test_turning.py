"""Samples that are turned as they are drawn: image, labels and points must move together."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from models.vertebrae.training import batches
from models.vertebrae.training.pool import write_sample
from models.vertebrae.training.synthesis import CoarseSample, FineSample
from models.vertebrae.training.targets import NO_LEVEL, NO_OFFSET, NO_PHASE
from models.vertebrae.training.turning import MOST_SCALED, MOST_TURNED, Turn, nearest
from models.volume.sampling import between

SHAPE = (40, 44, 48)
MIDDLE = (19.5, 21.5, 23.5)


def blob(centre: tuple[float, float, float], width: float) -> torch.Tensor:
    """A smooth spot of height 1000 on a ground of −200."""
    axes = [torch.arange(n) - c for n, c in zip(SHAPE, centre, strict=True)]
    squares = axes[0][:, None, None] ** 2 + axes[1][None, :, None] ** 2 + axes[2][None, None, :] ** 2
    return 1200.0 * torch.exp(-0.5 * squares / width**2) - 200.0


def mass_centre(weight: torch.Tensor) -> np.ndarray:
    """Centre of what is above zero, voxels."""
    index = torch.nonzero(weight > 0).float()
    share = weight[weight > 0][:, None]
    return ((index * share).sum(dim=0) / share.sum()).numpy()


def test_a_quarter_turn_moves_a_voxel_where_geometry_says() -> None:
    turn = Turn(torch.tensor([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]]), 1.0)
    labels = torch.zeros((9, 9, 9), dtype=torch.uint8)
    labels[2, 1, 4] = 7
    turned = nearest(labels, turn.places((9, 9, 9), (4.0, 4.0, 4.0)), 0)
    # The new box's (0, y, x) shows the sample's (0, −x, y): what lay at y = −3, x = 0 comes to y = 0, x = 3.
    assert torch.nonzero(turned).tolist() == [[2, 4, 7]]


@pytest.mark.parametrize("seed", range(5))
def test_image_labels_and_points_move_together(seed: int) -> None:
    turn = Turn.random(np.random.default_rng(seed))
    centre = (24.0, 15.0, 30.0)
    image = blob(centre, 4.0)
    places = turn.places(SHAPE, MIDDLE)
    moved = turn.moved(torch.tensor(centre), SHAPE, MIDDLE).numpy()
    turned = between(image, places, -200.0)
    labels = nearest((image > 300).to(torch.uint8), places, 0)
    assert np.abs(mass_centre(turned + 150.0) - moved).max() < 0.15
    assert np.abs(mass_centre(labels.float()) - moved).max() < 0.25
    volume = float(labels.sum()) / float((image > 300).sum())
    assert volume == pytest.approx(turn.scale**3, rel=0.04)


def test_turns_stay_within_what_is_said_of_them() -> None:
    for seed in range(200):
        turn = Turn.random(np.random.default_rng(seed))
        rotation = turn.matrix.double() * turn.scale
        assert torch.allclose(rotation @ rotation.T, torch.eye(3, dtype=torch.float64), atol=1e-5)
        assert abs(math.log(turn.scale)) <= MOST_SCALED
        angle = math.degrees(math.acos(min(1.0, (float(rotation.trace()) - 1.0) / 2.0)))
        assert angle <= sum(MOST_TURNED)


def test_beyond_the_sample_there_is_air_and_nothing_to_learn() -> None:
    turn = Turn(torch.eye(3) * 2.0, 0.5)
    places = turn.places((8, 8, 8), (3.5, 3.5, 3.5))
    image = between(torch.full((8, 8, 8), 50.0), places, -1024.0)
    labels = nearest(torch.ones((8, 8, 8), dtype=torch.uint8), places, 250)
    assert float(image[0, 0, 0]) == -1024.0
    assert int(labels[0, 0, 0]) == 250
    assert float(image[4, 4, 4]) == pytest.approx(50.0)
    assert int(labels[4, 4, 4]) == 1


def sample(path: Path) -> None:
    """One pool file whose offset, phase and levels are tied to its regions."""
    body = blob((20.0, 20.0, 24.0), 6.0) > 300
    height = torch.arange(SHAPE[0])[:, None, None].expand(SHAPE)
    hu = torch.where(body, 400, 0).to(torch.int16)
    offset = torch.where(body, (height - 20) * 3, NO_OFFSET).to(torch.int8)
    level = torch.where(body, 5, NO_LEVEL).to(torch.uint8)
    phase = torch.where(body, 9, NO_PHASE).to(torch.uint8)
    coarse = CoarseSample(hu, body.to(torch.uint8), level, phase, offset)
    write_sample(path, coarse, [FineSample(hu, body.to(torch.uint8), (20.0, 20.0, 24.0))])


def test_a_turned_volume_keeps_its_targets_on_its_bone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample(tmp_path / "a.npz")
    monkeypatch.setattr(batches, "TURNED_SHARE", 1.0)
    monkeypatch.setattr(batches, "SHORT_SHARE", 0.0)
    for seed in range(4):
        batch = batches.coarse_batch(tmp_path / "a.npz", np.random.default_rng(seed))
        body = batch.regions[0] == 1
        assert int(body.sum()) > 500
        assert torch.equal(batch.levels[0] == 5, body)
        assert torch.equal(batch.phase[0] == 9, body)
        assert torch.equal(batch.offset[0] != NO_OFFSET, body)
        bright = batch.image[0, 0] > 0.4
        assert float((bright & body).sum()) > 0.9 * float(body.sum())
        # The ball's furthest voxels lie 21 mm from its middle; what grows takes its distances along.
        scale = (float(body.sum()) / float((blob((20.0, 20.0, 24.0), 6.0) > 300).sum())) ** (1.0 / 3.0)
        furthest = float(batch.offset[0][body].abs().max())
        assert furthest == pytest.approx(21.0 * scale, abs=1.0)


def test_the_spot_of_a_turned_crop_lies_on_its_body(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample(tmp_path / "a.npz")
    monkeypatch.setattr(batches, "TURNED_SHARE", 1.0)
    gaps = []
    for seed in range(6):
        drawn = batches.fine_batch([tmp_path / "a.npz"], np.random.default_rng(seed))
        assert drawn is not None
        marked, classes = drawn
        peak = np.array(np.unravel_index(int(marked[0, 1].argmax()), marked.shape[2:]))
        gaps.append(np.abs(peak - mass_centre((classes[0] == 1).float())).max())
    # The spot is put 1.3 voxels beside the centre on purpose.
    assert np.mean(gaps) < 3.0
