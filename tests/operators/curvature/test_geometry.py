"""Planes, axes and coronal curves from numbers whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from operators.curvature.geometry import forward_tilt, largest_bend, left_tilt, patient_axes, robust_plane


def upright_column(count: int) -> np.ndarray:
    return np.stack([np.zeros(count), -25.0 * np.arange(count)], axis=1)


def column_of(tilts: np.ndarray) -> np.ndarray:
    """Centres, left and superior, of vertebrae 25 mm apart that lean to the left by ``tilts`` degrees."""
    way = np.radians((tilts[1:] + tilts[:-1]) / 2)
    down = np.stack([-np.sin(way), -np.cos(way)], axis=1) * 25.0
    return np.concatenate([[[0.0, 0.0]], np.cumsum(down, axis=0)])


def test_plane_with_a_spur_is_that_without_it() -> None:
    u, v = (a.ravel() for a in np.meshgrid(np.arange(-15, 16, 1.5), np.arange(-12, 13, 1.5), indexing="ij"))
    w = 0.1 * u - 0.2 * v + 7.0
    w[v > 10] += 6.0
    fit = robust_plane(u, v, w)
    plain = np.linalg.lstsq(np.stack([u, v, np.ones_like(u)], axis=1), w, rcond=None)[0]
    assert abs(fit.rise_u - 0.1) < 0.005
    assert abs(fit.rise_v + 0.2) < 0.5 * abs(plain[1] + 0.2)
    assert fit.residual > 1.0  # the spur is not hidden from the gate


def test_left_of_the_patient_is_that_of_most_vertebrae() -> None:
    angles = np.radians([0, 0, 0, 0, 0, 0, 20, 25, 20.0])
    lefts = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    centres = np.stack([0 * angles, 0 * angles, -25.0 * np.arange(len(angles))], axis=1)
    axes = patient_axes(lefts, centres)
    assert np.degrees(np.arccos(axes[0, 0])) < 2.0
    assert np.allclose(axes @ axes.T, np.eye(3))
    assert np.linalg.det(axes) == pytest.approx(1.0)
    assert axes[2, 2] > 0.99


def test_tilts_have_the_signs_that_their_names_say() -> None:
    axes = np.eye(3)
    lean = np.radians(20.0)
    assert forward_tilt(np.array([0.0, -np.sin(lean), np.cos(lean)]), axes) == pytest.approx(20.0)
    assert left_tilt(np.array([np.sin(lean), 0.0, np.cos(lean)]), axes) == pytest.approx(20.0)
    assert forward_tilt(np.array([np.sin(lean), 0.0, np.cos(lean)]), axes) == pytest.approx(0.0)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_curve_about_one_apex(side: float) -> None:
    tilts = side * np.array([0.0, -4.0, -9.0, -11.0, -6.0, 0.0, 6.0, 12.0, 8.0, 3.0])
    bend = largest_bend(tilts, tilts, column_of(tilts))
    assert bend is not None
    assert (bend.upper, bend.lower, bend.apex) == (3, 7, 5)
    # Above the apex the column leans away from the side to which it bulges, below it towards it.
    assert bend.angle == pytest.approx(23.0 * side)


def test_of_two_curves_the_larger_one_is_given_and_not_the_sum() -> None:
    tilts = np.array([6.0, 3.0, -4.0, -10.0, -5.0, 4.0, 9.0, 4.0, -3.0, -4.0])
    bend = largest_bend(tilts, tilts, column_of(tilts))
    assert bend is not None
    assert (bend.upper, bend.lower) == (3, 6)
    assert bend.angle == pytest.approx(19.0)


def test_two_bulges_to_the_same_side_are_not_one_curve() -> None:
    """Upright vertebrae between them end the upper one (as in a real spine, s0004)."""
    tilts = np.array([0.0, -12.0, -6.0, 0.0, 0.0, -5.0, -5.0, 0.0, 4.0, 4.0])
    bend = largest_bend(tilts, tilts, column_of(tilts))
    assert bend is not None
    assert bend.upper == 5
    assert bend.angle == pytest.approx(9.0)


def test_one_wrong_mask_in_a_straight_column_is_no_curve() -> None:
    tilts = np.zeros(12)
    tilts[4], tilts[7] = 8.0, -7.0  # the centres do not follow
    assert largest_bend(tilts, tilts, upright_column(12)) is None


def test_noise_of_a_straight_spine_reaches_ten_degrees_only_over_all_pairs() -> None:
    """The trap: 14 vertebrae whose endplates are off by 2.5 degrees."""
    rng = np.random.default_rng(7)
    found, over_all_pairs = [], []
    for _ in range(500):
        superior, inferior = rng.normal(0.0, 2.5, (2, 14))
        centres = upright_column(14) + rng.normal(0.0, 0.5, (14, 2))
        bend = largest_bend(superior, inferior, centres)
        found.append(0.0 if bend is None else abs(bend.angle))
        apart = np.abs(superior[:, None] - inferior[None, :])
        over_all_pairs.append(float(apart[np.triu_indices(14, 1)].max()))
    assert np.mean(np.array(found) >= 10.0) < 0.02
    assert np.mean(np.array(over_all_pairs) >= 10.0) > 0.2
