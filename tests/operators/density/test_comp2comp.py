"""The comparator's constants against the vector of docs/science.md §13.2, and what keeps it back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.anatomy import Level
from operators.density.comp2comp import areal_density, comparator_figure
from operators.density.results import ComparatorFigure
from operators.reading.case import Case
from operators.reading.quantity import Withheld
from tests.operators.measured_case import phantom_case
from tests.phantoms.spine import SpinePhantom


@pytest.mark.parametrize(("rescaled", "g_per_cm2", "t_score"), [(300.0, 0.98994, -0.683), (250.0, 0.86325, -1.73)])
def test_published_vector(rescaled: float, g_per_cm2: float, t_score: float) -> None:
    """The T-score belongs to the vector; it is computed here and nowhere else."""
    young = ((1.0714 + 1.0732) / 2, (0.1225 + 0.1189) / 2)
    assert areal_density(rescaled) == pytest.approx(g_per_cm2, abs=5e-6)
    assert (areal_density(rescaled) - young[0]) / young[1] == pytest.approx(t_score, abs=0.005)


@pytest.fixture(scope="module")
def case() -> Case:
    return phantom_case(SpinePhantom(levels=(Level.T12, Level.L2)).build(2.0, 3.0))


def test_the_figure_is_marked_and_names_its_levels(case: Case) -> None:
    figure = comparator_figure(case)
    assert isinstance(figure, ComparatorFigure)
    assert set(figure.levels) == {Level.L1, Level.L2}
    assert figure.areal_density.value == pytest.approx(areal_density(figure.attenuation.value), abs=1e-3)
    assert figure.below_limit == (figure.attenuation.value < 300)
    assert "comparison between methods only" in figure.note
    assert "T-score" not in figure.model_dump_json().replace("no T-score", "")


def test_rescaling_undoes_a_scanner_whose_numbers_are_stretched(case: Case) -> None:
    stretched = case.volume.with_array((case.volume.array * 1.02 + 15).astype(np.float32))
    plain, other = comparator_figure(case), comparator_figure(replace(case, volume=stretched))
    assert isinstance(plain, ComparatorFigure)
    assert isinstance(other, ComparatorFigure)
    assert other.attenuation.value == pytest.approx(plain.attenuation.value, abs=4.0)


def test_air_that_is_not_air_ends_it(case: Case) -> None:
    shifted = case.volume.with_array(case.volume.array - np.float32(60))
    figure = comparator_figure(replace(case, volume=shifted))
    assert isinstance(figure, Withheld)
    assert figure.code == "hu-validity"


def test_without_lumbar_vertebrae_there_is_none(case: Case) -> None:
    gone = tuple(v for v in case.reading.vertebrae if v.level is Level.T12)
    figure = comparator_figure(replace(case, reading=case.reading.model_copy(update={"vertebrae": gone})))
    assert isinstance(figure, Withheld)
    assert figure.code == "no-level"
