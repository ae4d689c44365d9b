"""Dents in made-up plates: what is narrow, what is wide, and how deep; the truth is the plate's formula."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from operators.body.endplates import PLANES_MM, BodySurfaces
from operators.fractures.endplate_depression import is_depressed, judged_endplates, plate_pair
from operators.fractures.results import Endplate, EndplateForm
from operators.reading.quantity import Measured, Withheld
from tests.operators.plates import COLUMNS, plates

Plate = Callable[[np.ndarray, np.ndarray], np.ndarray]


def usual(across: np.ndarray, along: np.ndarray) -> np.ndarray:
    """The hollow of an intact plate: 1 mm in the middle."""
    return 1.0 * np.maximum(1 - (across / 16) ** 2 - (along / 12) ** 2, 0) ** 2


def sunk(across: np.ndarray, along: np.ndarray) -> np.ndarray:
    """The same hollow, 6 mm deep: a biconcave fracture."""
    return 6.0 * usual(across, along)


def dented(across: np.ndarray, along: np.ndarray) -> np.ndarray:
    """An intact plate with a dent of 4 mm, 6 mm wide at half its depth."""
    return usual(across, along) + 4.0 * np.exp(-np.log(2) * ((across - 1) ** 2 + (along + 2) ** 2) / 3.0**2)


def surfaces(superior: Plate, inferior: Plate = usual, sampling: float = 1.0, noise: float = 0.05) -> BodySurfaces:
    across, along = np.meshgrid(PLANES_MM, COLUMNS, indexing="ij")
    outside = np.abs(along) > 16
    rng = np.random.default_rng(4)
    both = [
        np.where(outside, np.nan, side * (13.0 - plate(across, along) + rng.normal(0, noise, across.shape)))
        for side, plate in ((1.0, superior), (-1.0, inferior))
    ]
    return plates(both[0], both[1], sampling)


def superior_of(plate: Plate, sampling: float = 1.0) -> Endplate:
    """The plate among three intact vertebrae of the same patient."""
    pairs = {0: plate_pair(surfaces(plate, sampling=sampling))}
    pairs |= {number: plate_pair(surfaces(usual)) for number in (1, 2, 3)}
    found = judged_endplates(pairs)[0].superior
    assert isinstance(found, Endplate)
    return found


@pytest.mark.parametrize(
    ("plate", "form"), [(usual, EndplateForm.EVEN), (sunk, EndplateForm.CONCAVE), (dented, EndplateForm.FOCAL)]
)
def test_forms_are_told_apart(plate: Plate, form: EndplateForm) -> None:
    assert superior_of(plate).form is form


def test_depths_and_places_are_those_of_the_construction() -> None:
    hollow, dent = superior_of(sunk), superior_of(dented)
    assert isinstance(hollow.depth, Measured)
    assert hollow.depth.value == pytest.approx(6.0, abs=0.5)
    assert isinstance(dent.focal_depth, Measured)
    assert dent.focal_depth.value == pytest.approx(4.0, abs=1.2)
    assert dent.focal_width is not None
    assert dent.focal_width.value == pytest.approx(6.0, abs=2.0)
    assert dent.deepest is not None
    assert dent.deepest[:2] == pytest.approx((1.0, -2.0), abs=2.0)


def test_thick_slices_call_no_dent_that_their_noise_could_make() -> None:
    """In slices of 5 mm a plate is placed to 1.6 mm: a dent of 4 mm is within three times of that at one spot."""
    assert superior_of(lambda a, b: usual(a, b) + 0.5 * (dented(a, b) - usual(a, b)), 5.0).form is EndplateForm.EVEN


def test_an_unseen_plate_is_withheld_and_nothing_is_said_of_its_form() -> None:
    pair = plate_pair(surfaces(lambda a, b: np.full_like(a, np.nan), lambda a, b: np.full_like(a, np.nan)))
    found = judged_endplates({1: pair})[1]
    assert isinstance(found.superior, Withheld)
    assert is_depressed(found) is None
