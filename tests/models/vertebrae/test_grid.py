from __future__ import annotations

import numpy as np
import pytest

from models.volume.grid import SLAB, Axis, Grid, resample, weights


def grid(spacing: tuple[float, float, float], count: tuple[int, int, int]) -> Grid:
    axes = [Axis(0.0, s, n) for s, n in zip(spacing, count, strict=True)]
    return Grid(axes[0], axes[1], axes[2])


def covered(source: Grid, spacing: float) -> Grid:
    return Grid(*(axis.covered(spacing, 1, 1) for axis in source.axes))


@pytest.mark.parametrize("spacing", [(0.7, 0.7, 1.0), (5.0, 0.8, 0.8), (3.0, 3.0, 3.0)])
def test_a_linear_ramp_stays_a_linear_ramp(spacing: tuple[float, float, float]) -> None:
    source = grid(spacing, (60, 40, 50))
    target = covered(source, 3.0)
    z, y, x = np.meshgrid(*(axis.positions for axis in source.axes), indexing="ij")
    given = resample(2.0 * z - y + 0.5 * x, source, target)
    inner = tuple(slice(2, -2) for _ in range(3))
    z, y, x = np.meshgrid(*(axis.positions for axis in target.axes), indexing="ij")
    assert np.allclose(given[inner], (2.0 * z - y + 0.5 * x)[inner], atol=0.1)


def test_a_coarser_grid_takes_the_mean() -> None:
    matrix = weights(Axis(0.5, 1.0, 12), Axis(1.5, 3.0, 4))
    assert np.allclose(matrix[1], [0, 0, 0, 1 / 3, 1 / 3, 1 / 3, 0, 0, 0, 0, 0, 0], atol=1e-6)


def test_not_a_number_counts_as_air() -> None:
    source = grid((3.0, 3.0, 3.0), (4, 4, 4))
    data = np.full((4, 4, 4), np.nan, np.float32)
    assert np.allclose(resample(data, source, source), -1024.0)


def test_a_turned_volume_whose_last_slab_is_one_slice_is_resampled() -> None:
    """As of an axial CT from the head down, which the engine turns over."""
    count = SLAB + 1
    source = grid((1.0, 1.0, 1.0), (count, 4, 4))
    rising = np.broadcast_to(np.arange(count, dtype=np.float32)[:, None, None], (count, 4, 4))

    turned = resample(np.ascontiguousarray(rising)[::-1], source, source)

    np.testing.assert_allclose(turned[:, 0, 0], np.arange(count)[::-1])
