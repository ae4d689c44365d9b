"""The last vertebra in view stays at its place where the border leaves a piece of the next one beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.vertebrae.names.ends import settled_ends
from models.vertebrae.training.atlas import SPACING, canonical
from models.vertebrae.training.targets import make_targets

LOW, HIGH = 0.0, 100.0


def row(*heights: float) -> np.ndarray:
    """Centres at heights in mm, head first, in a spine that leans forward by 30 degrees."""
    return np.array([(z, 50.0 - (z - 50.0) * np.tan(np.radians(30.0)), 60.0) for z in heights])


def test_an_end_that_the_next_vertebra_has_drawn_to_the_border_comes_back() -> None:
    above = settled_ends(row(94.0, 70.0, 50.0, 30.0), LOW, HIGH)
    assert np.allclose(above, row(90.0, 70.0, 50.0, 30.0))
    below = settled_ends(row(82.0, 62.0, 42.0, 14.0), LOW, HIGH)
    assert np.allclose(below, row(82.0, 62.0, 42.0, 22.0))


@pytest.mark.parametrize(
    "heights",
    [
        (90.0, 70.0, 50.0, 30.0),  # even
        (86.0, 70.0, 50.0, 30.0),  # a cut vertebra: what is left of it lies nearer
        (91.0, 70.0, 50.0, 27.0),  # within what spines do
        (96.0, 60.0, 40.0, 20.0),  # a vertebra is missing between
        (94.0, 70.0),  # nothing to compare with
    ],
)
def test_ends_stay_where_nothing_speaks_against_them(heights: tuple[float, ...]) -> None:
    centres = row(*heights)
    assert np.array_equal(settled_ends(centres, LOW, HIGH), centres)


def test_an_end_far_from_the_border_is_left_alone() -> None:
    centres = row(94.0, 70.0, 50.0, 30.0)
    assert np.array_equal(settled_ends(centres, LOW - 200.0, HIGH + 200.0), centres)


@pytest.mark.data
@pytest.mark.parametrize("name", ["s0004", "s0327", "s0012", "s0328"])
def test_no_stretch_of_a_real_spine_is_drawn_together(shared_data: Path, name: str) -> None:
    labels = canonical(shared_data / "labels" / f"{name}_labels.nii.gz", 0)
    found = make_targets(labels, SPACING).centres
    # The uppermost one is cut by the border of each of these maps, S1's centre is not that of a whole vertebra.
    centres = np.array([found[level] for level in sorted(found)])[1:-1]
    stretches = [centres[a:b] for a in range(len(centres)) for b in range(a + 3, len(centres) + 1)]
    assert len(stretches) >= 10
    for stretch in stretches:
        at_border = stretch[:, 0].min() - 1.0, stretch[:, 0].max() + 1.0
        assert np.array_equal(settled_ends(stretch, *at_border), stretch)
