"""Scores become probabilities that can be read as such, and agreement is measured against shapes with known truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.vertebrae.belief import Belief, ConfidenceMap
from models.vertebrae.evaluation.agreement import dice, dice_half_a_slice_away, leak, surface_distances
from models.vertebrae.evaluation.calibration import Claims, fit, left_out, reliability


def drawn(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores that claim too much: of those at 0.9 only 70 % are right."""
    rng = np.random.default_rng(seed)
    scores = np.full(count, 0.9)
    return scores, rng.random(count) < 0.7


def test_overconfident_scores_are_brought_down_to_what_happened() -> None:
    scores, right = drawn(0, 2000)
    assert fit(scores, right)(0.9) == pytest.approx(0.7, abs=0.03)


def test_few_claims_leave_a_score_nearly_as_it_is() -> None:
    assert fit(np.array([0.8]), np.array([True]))(0.8) == pytest.approx(0.8, abs=0.1)


def test_reliability_of_perfect_and_of_overconfident_claims() -> None:
    sure = np.array([1.0, 1.0, 0.0, 0.0])
    assert reliability(sure, np.array([True, True, False, False])).error == 0.0
    scores, right = drawn(1, 4000)
    assert reliability(scores, right).error == pytest.approx(0.2, abs=0.03)


def test_no_body_is_judged_by_a_map_that_was_fitted_on_it() -> None:
    scores, right = drawn(2, 400)
    bodies = np.array(["one"] * 200 + ["other"] * 200)
    right[:200], right[200:] = True, False
    claims = Claims(bodies, scores, right)
    probabilities = left_out(claims)
    assert probabilities[:200].max() < 0.2
    assert probabilities[200:].min() > 0.8


def test_a_map_survives_its_file(tmp_path: Path) -> None:
    belief = Belief(ConfidenceMap(0.5, -0.25))
    belief.save(tmp_path / "confidence.json")
    read = Belief.load(tmp_path / "confidence.json")
    assert read == belief
    assert read(0.7) < 0.7
    unchanged = Belief.load(tmp_path / "none.json")
    assert unchanged(0.42) == pytest.approx(0.42)
    assert unchanged(1.0) == 0.99


def test_surfaces_of_boxes_a_known_way_apart() -> None:
    first, second = np.zeros((20, 20, 20), bool), np.zeros((20, 20, 20), bool)
    first[5:12, 5:12, 5:12] = True
    second[7:14, 5:12, 5:12] = True
    assert dice(first, first) == 1.0
    assert dice(first, second) == pytest.approx(5 / 7)
    assert surface_distances(first, first, (3.0, 1.0, 1.0)).max() == 0.0
    assert surface_distances(first, second, (3.0, 9.0, 9.0)).max() == 6.0


def test_a_leak_is_told_from_a_border_that_is_a_voxel_off() -> None:
    bone = np.zeros((30, 30, 30), bool)
    bone[10:20, 10:20, 10:20] = True
    grown = np.zeros_like(bone)
    grown[9:21, 10:20, 10:20] = True
    assert leak(grown, bone, (1.5, 1.5, 1.5)) == (pytest.approx(1 / 6), 0.0)
    leaked = bone.copy()
    leaked[10:20, 20:30, 10:20] = True
    outside, away = leak(leaked, bone, (1.0, 1.0, 1.0))
    assert (outside, away) == (pytest.approx(0.5), pytest.approx(0.4))


def test_half_a_slice_is_worth_more_in_a_low_body() -> None:
    for slices, worth in ((5, 0.9), (10, 0.95)):
        mask = np.zeros((20, 16, 8), bool)
        mask[4:12, 3 : 3 + slices, 2:6] = True
        assert dice_half_a_slice_away(mask, (0.7, 2.5, 0.7)) == pytest.approx(worth)
        # The same by hand: every voxel in two, moved by one.
        fine = np.repeat(mask, 2, axis=1)
        assert dice(fine, np.roll(fine, 1, axis=1)) == pytest.approx(worth)
