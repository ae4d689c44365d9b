"""Slices: what lies between them is lost, what runs straight is kept, and thick ones are no rarity."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.vertebrae.training.scanner import random_thickness, sliced


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slope_is_the_same_between_slices(axis: int) -> None:
    ramp = torch.arange(40.0).view([-1 if a == axis else 1 for a in range(3)]) * 20.0
    volume = ramp.expand([40 if a == axis else 3 for a in range(3)]).contiguous()
    given = sliced(volume, 5.0, axis, 0.4)
    inner = given.narrow(axis, 4, 32)
    assert torch.allclose(inner, volume.narrow(axis, 4, 32), atol=1e-3)


def test_an_edge_is_as_wide_as_the_slices_are_apart() -> None:
    """Ten slices of 1.5 mm are three of 5 mm: an endplate that lies between two of them runs from one to the other."""
    volume = torch.zeros((60, 2, 2))
    volume[30:] = 300.0
    given = sliced(volume, 6.0, 0, 0.0)[:, 0, 0]
    between = (given > 1.0) & (given < 299.0)
    # Slices lie at 28 and 32: of the voxels between, three are neither bone nor none.
    assert torch.nonzero(between).view(-1).tolist() == [29, 30, 31]
    assert given[30] == pytest.approx(150.0)
    assert torch.equal(sliced(volume, 1.5, 0, 0.0), volume)


def test_a_fifth_of_the_volumes_comes_in_slices_of_5_mm() -> None:
    rng = np.random.default_rng(5)
    drawn = np.array([random_thickness(rng) for _ in range(4000)])
    assert np.mean(drawn >= 4.5) == pytest.approx(0.2, abs=0.02)
    assert np.mean(drawn <= 1.5) == pytest.approx(0.3, abs=0.025)
    assert 5.9 < drawn.max() <= 6.0
