"""What is expected where norms exist, and where only the patient's other vertebrae do."""

from __future__ import annotations

from typing import Literal

import pytest

from models.anatomy import Level
from operators.fractures.expectation import MeasuredBody, expectations
from operators.fractures.grading import Expectation, HeightTriple, area_loss, grade_heights

THORACIC = [Level.T4, Level.T5, Level.T6, Level.T7, Level.T8]


def bodies(ratios: dict[Level, float], posterior: float = 20.0, hollow: float = 0.92) -> dict[Level, MeasuredBody]:
    """Bodies with these Ha/Hp, all as high behind, and Hm the same share of the mean of Ha and Hp."""
    return {
        level: MeasuredBody(HeightTriple(r * posterior, hollow * (1 + r) / 2 * posterior, posterior), 20.0)
        for level, r in ratios.items()
    }


def test_upper_levels_have_no_norm_and_follow_their_neighbours() -> None:
    found = expectations(bodies(dict.fromkeys(THORACIC, 0.92)), "F")
    for level in THORACIC:
        assert not found[level].is_verified
        assert 0.92 <= found[level].anterior_ratio <= 0.95


def test_a_wedge_does_not_make_its_own_norm() -> None:
    ratios = {**dict.fromkeys(THORACIC, 0.93), Level.T6: 0.60}
    measured = bodies(ratios)
    found = expectations(measured, None)
    assert grade_heights(measured[Level.T6].heights, found[Level.T6]).grade == 2
    assert grade_heights(measured[Level.T7].heights, found[Level.T7]).grade == 0


def test_alone_without_norm_the_plates_are_taken_for_parallel_and_less_is_claimed() -> None:
    alone = expectations(bodies({Level.T6: 0.92}), "F")[Level.T6]
    among = expectations(bodies(dict.fromkeys(THORACIC, 0.92)), "F")[Level.T6]
    assert alone.anterior_ratio == 1.0
    assert alone.posterior is None
    assert alone.spread > among.spread


@pytest.mark.parametrize("sex", ["M", "F", None])
def test_physiologic_wedging_at_the_junction_is_no_deformity(sex: Literal["M", "F"] | None) -> None:
    """Mean ratios of healthy people (Matsumoto 2011), measured between the lines: 1 - 0.75 (1 - ratio)."""
    ratios = {level: 1 - 0.75 * (1 - r) for level, r in ((Level.T11, 0.92), (Level.T12, 0.90), (Level.L1, 0.89))}
    measured = bodies(ratios, posterior=26.0)
    for level, expected in expectations(measured, sex).items():
        assert grade_heights(measured[level].heights, expected).wedge < 0.05


def test_a_spine_that_is_hollow_everywhere_is_its_own_control() -> None:
    """All Hm 14 % below the mean of Ha and Hp: none of them is biconcave."""
    measured = bodies(dict.fromkeys((Level.L1, Level.L2, Level.L3, Level.L4), 1.0), posterior=28.0, hollow=0.86)
    for level, expected in expectations(measured, "F").items():
        assert grade_heights(measured[level].heights, expected).grade == 0


def test_area_loss_of_a_wedge_is_half_of_its_height_loss() -> None:
    """Straight plates from 25 mm to 15 mm: the mean height is 20 mm, a fifth less than expected."""
    heights = HeightTriple(15.0, 20.0, 25.0)
    assert area_loss(20.0, heights, Expectation()) == pytest.approx(0.20)
    assert area_loss(15.0, HeightTriple(15, 15, 15), Expectation(posterior=25.0)) == pytest.approx(0.40)
