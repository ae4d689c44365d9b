"""Heights between made-up plates whose distance is known by their formula."""

from __future__ import annotations

import numpy as np
import pytest

from operators.body.endplates import PLANES_MM, BodySurfaces
from operators.fractures.heights import BodyHeights, measure_heights
from operators.reading.quantity import Measured, Withheld
from tests.operators.plates import COLUMNS, plates

# As detect_fractures says it: columns without a plate are NaN by design.
pytestmark = pytest.mark.filterwarnings("ignore:All-NaN:RuntimeWarning")


def body(hidden: float) -> BodySurfaces:
    """Plates 26 mm apart at the back and 0.1 mm less for each mm forward, the last ``hidden`` mm unseen."""
    _, along = np.meshgrid(PLANES_MM, COLUMNS, indexing="ij")
    plate = np.where((along < -16) | (along > 16 - hidden), np.nan, (26.0 - 0.1 * (16.0 - along)) / 2)
    return plates(plate, -plate)


def test_heights_are_those_of_the_plates_an_eighth_of_the_depth_from_the_walls() -> None:
    found = measure_heights(body(hidden=0.0))
    assert isinstance(found, BodyHeights)
    # At -12 and 12 mm: 26 - 0.1 * 28 and 26 - 0.1 * 4.
    assert abs(found.measured.heights.anterior - 23.2) < 0.05
    assert abs(found.measured.heights.posterior - 25.6) < 0.05


def test_a_rim_that_hides_the_plate_at_its_line_costs_no_height() -> None:
    """The plate ends 2 mm before the line: the height there is 0.2 to 0.3 mm less, within the stated interval."""
    found = measure_heights(body(hidden=6.0))
    assert isinstance(found, BodyHeights)
    posterior = found.heights.posterior
    assert isinstance(posterior, Measured)
    assert posterior.uncertainty is not None
    assert abs(posterior.value - 25.6) < min(0.35, posterior.uncertainty)
    assert all(np.isfinite(line.superior).all() for line in found.heights.lines)


def test_a_plate_that_ends_far_from_its_line_gives_no_height() -> None:
    found = measure_heights(body(hidden=8.0))
    assert isinstance(found, Withheld)
    assert found.code == "edges-unseen"
