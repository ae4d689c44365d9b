"""Grades from numbers; expected values are the test vectors of docs/science.md §13.4."""

from __future__ import annotations

from itertools import pairwise

import pytest

from operators.fractures.grading import (
    Expectation,
    HeightTriple,
    grade_heights,
    grade_of,
    probability_of_grade_2,
)
from operators.fractures.results import Shape

NEUTRAL = Expectation()


@pytest.mark.parametrize(
    ("heights", "expected", "loss", "grade", "shape"),
    [
        ((20.0, 22.5, 25.0), NEUTRAL, 20.0, 1, Shape.WEDGE),
        ((20.1, 22.5, 25.0), NEUTRAL, 19.6, 0, None),
        ((18.7, 21.8, 25.0), NEUTRAL, 25.2, 2, Shape.WEDGE),
        ((14.9, 20.0, 25.0), NEUTRAL, 40.4, 3, Shape.WEDGE),
        ((24.0, 17.0, 25.0), NEUTRAL, 32.0, 2, Shape.BICONCAVE),
        ((15.0, 15.0, 15.0), Expectation(posterior=25.0), 40.0, 3, Shape.CRUSH),
        ((22.25, 23.5, 25.0), Expectation(anterior_ratio=0.89), 6.0, 0, None),
    ],
)
def test_published_vectors(
    heights: tuple[float, float, float],
    expected: Expectation,
    loss: float,
    grade: int,
    shape: Shape | None,
) -> None:
    grading = grade_heights(HeightTriple(*heights), expected)
    assert 100 * grading.loss == pytest.approx(loss, abs=0.05)
    assert (grading.grade, grading.shape) == (grade, shape)


@pytest.mark.parametrize(("loss", "grade"), [(0.199, 0), (0.2, 1), (0.2499, 1), (0.25, 2), (0.4, 3), (1 - 20 / 25, 1)])
def test_a_bound_belongs_to_the_higher_grade(loss: float, grade: int) -> None:
    assert grade_of(loss) == grade


def test_a_short_vertebra_is_no_wedge_though_it_lies_below_the_prediction() -> None:
    """All heights 15 % below the neighbours' prediction, none below the own posterior height."""
    grading = grade_heights(HeightTriple(21.25, 20.5, 21.25), Expectation(posterior=25.0))
    assert grading.grade == 0


def test_a_wedge_that_only_the_own_posterior_height_shows_is_none() -> None:
    """A tall posterior wall makes Ha/Hp low; against the neighbours the front is of normal height."""
    grading = grade_heights(HeightTriple(23.0, 25.0, 29.0), Expectation(posterior=24.0))
    assert grading.grade == 0


def test_front_of_a_collapsed_body_is_judged_by_its_neighbours() -> None:
    """Ha 12 and Hp 19 where 25 are expected: the front has lost 52 %, not 37 %."""
    grading = grade_heights(HeightTriple(12.0, 15.0, 19.0), Expectation(posterior=25.0))
    assert 100 * grading.loss == pytest.approx(52.0)
    assert (grading.grade, grading.shape) == (3, Shape.WEDGE)


def test_a_crush_short_of_grade_1_behind_is_no_yardstick_for_its_front() -> None:
    """Of 25 mm the front has lost 30 % and the back 19 %: Ha/Hp shows 14 %, and yet it is a moderate fracture."""
    grading = grade_heights(HeightTriple(17.5, 18.0, 20.25), Expectation(posterior=25.0))
    assert 100 * grading.loss == pytest.approx(30.0, abs=3.0)
    assert grading.grade == 2


def test_grades_do_not_jump_as_the_posterior_height_falls() -> None:
    """A front of 18 mm of 25 expected; Hp falls by 0.1 mm a step: the loss never moves by more than 2.5 points."""
    heights = [HeightTriple(18.0, 20.0, 25.0 - 0.1 * step) for step in range(80)]
    losses = [100 * grade_heights(three, Expectation(posterior=25.0)).loss for three in heights]
    assert max(abs(b - a) for a, b in pairwise(losses)) < 2.5


@pytest.mark.parametrize(("heights", "shape"), [((13.0, 13.5, 16.5), Shape.CRUSH), ((13.0, 15.0, 21.0), Shape.WEDGE)])
def test_a_crush_has_lost_all_heights_though_not_equally(heights: tuple[float, float, float], shape: Shape) -> None:
    """Of 25 mm: Ha 48 %, Hp 34 % is a crush; Ha 48 %, Hp 16 % a wedge."""
    assert grade_heights(HeightTriple(*heights), Expectation(posterior=25.0)).shape is shape


def test_taller_than_expected_is_a_loss_of_zero() -> None:
    assert grade_heights(HeightTriple(30.0, 30.0, 25.0), Expectation(posterior=24.0)).loss == 0.0


@pytest.mark.parametrize(("loss", "deviation", "expected"), [(0.25, 0.05, 0.5), (0.33, 0.05, 0.945), (0.1, 0.0, 0.0)])
def test_probability_is_that_of_a_normal_error(loss: float, deviation: float, expected: float) -> None:
    """Expected: the standard normal distribution at 0 and 1.6."""
    assert probability_of_grade_2(loss, deviation) == pytest.approx(expected, abs=0.001)
