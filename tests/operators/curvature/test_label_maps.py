"""Angles of real spines by two methods: between endplates, and between lines through the centres of neighbours.

The methods share the label maps and nothing else. Nobody measured these spines by hand: they agree, which is less
than being right.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evidence.curvature import centres, label_case, middle_tilt, tangent
from models.anatomy import Level
from operators.curvature.measure import measure
from operators.curvature.results import BodySection
from operators.curvature.spine import look_at
from operators.reading.quantity import Measured


@pytest.mark.data
@pytest.mark.parametrize("name", ["s0004", "s0327"])
def test_kyphosis_by_endplates_is_that_by_the_centres_of_the_bodies(shared_data: Path, name: str) -> None:
    case = label_case(name, shared_data)
    spine = look_at(case, masks_only=True)
    found = centres(spine)
    plates = middle_tilt(spine, Level.T5) - middle_tilt(spine, Level.T11)
    lines = tangent(found, Level.T5) - tangent(found, Level.T11)
    assert 15 < lines < 30
    assert plates == pytest.approx(lines, abs=2.5)
    for level in (Level(f"T{n}") for n in range(3, 12)):
        assert middle_tilt(spine, level) == pytest.approx(tangent(found, level), abs=3.0), level


@pytest.mark.data
def test_lumbar_spine_of_a_real_label_map(shared_data: Path) -> None:
    reading = measure(label_case("s0328", shared_data), masks_only=True)
    assert isinstance(reading.lordosis.angle, Measured)
    assert (reading.lordosis.lower, reading.lordosis.fallback) == (Level.S1, False)
    assert 30 < reading.lordosis.angle.value < 70  # an adult without a fracture; nobody measured it
    sizes = [v.body for v in reading.vertebrae if v.level.region == "L"]
    assert all(isinstance(body, BodySection) for body in sizes)
    areas = np.array([body.area.value for body in sizes if isinstance(body, BodySection)])
    assert (np.diff(areas) > 0).all()  # bodies grow towards the feet
