"""Means over L1–L3 by the convention of docs/science.md §2.3."""

from __future__ import annotations

import pytest

from models.anatomy import Level
from operators.density.means import attenuation_mean
from operators.density.results import LevelMean
from operators.reading.quantity import Withheld
from tests.operators.density.test_category import reading


def mean(values: dict[Level, float]) -> LevelMean | Withheld:
    return attenuation_mean(reading(values))


def test_three_levels_and_no_others() -> None:
    found = mean({Level.T12: 300.0, Level.L1: 120.0, Level.L2: 110.0, Level.L3: 100.0, Level.L4: 300.0})
    assert isinstance(found, LevelMean)
    assert found.value.value == 110.0
    assert found.levels == (Level.L1, Level.L2, Level.L3)
    assert found.left_out == ()


def test_one_outlier_is_left_out_and_named() -> None:
    found = mean({Level.L1: 120.0, Level.L2: 118.0, Level.L3: 151.0})
    assert isinstance(found, LevelMean)
    assert found.value.value == 119.0
    assert found.left_out == (Level.L3,)
    assert "L3 is left out" in (found.note or "")


@pytest.mark.parametrize("values", [{Level.L1: 120.0}, {Level.T12: 90.0, Level.L4: 80.0}, {}])
def test_one_level_is_no_mean(values: dict[Level, float]) -> None:
    found = mean(values)
    assert isinstance(found, Withheld)
    assert found.code == "no-level"


def test_two_levels_that_disagree_are_said_to() -> None:
    found = mean({Level.L1: 120.0, Level.L2: 80.0})
    assert isinstance(found, LevelMean)
    assert "differ by 40 HU" in (found.note or "")
    assert found.left_out == (Level.L3,)
