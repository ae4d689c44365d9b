"""Cross-sections of body and canal beside those of the solids that the phantom is built of."""

from __future__ import annotations

import numpy as np
import pytest

from models.anatomy import Level
from operators.curvature.measure import measure
from operators.curvature.results import BodySection, CanalSection, CurvatureReading
from tests.operators.curvature.spines import built, case_with_sacrum
from tests.phantoms.anatomy import arch
from tests.phantoms.anatomy.between import Canal
from tests.phantoms.anatomy.column import Placement
from tests.phantoms.anatomy.typical import arch_shape
from tests.phantoms.spine import SpinePhantom
from tests.phantoms.truth import Phantom, VertebraTruth

FINE_MM = 0.1
LEVELS = (Level.T11, Level.T12, Level.L1, Level.L2, Level.L3, Level.L4)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return built(SpinePhantom(levels=(Level.T11, Level.L4)), pixel=0.9, slices=1.5)


@pytest.fixture(scope="module")
def reading(phantom: Phantom) -> CurvatureReading:
    return measure(case_with_sacrum(phantom))


def middle_plane() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points of the plane midway between the endplates, in the vertebra's own frame."""
    u, v = np.meshgrid(np.arange(-35, 35, FINE_MM), np.arange(-55, 30, FINE_MM), indexing="ij")
    return u.astype(np.float32), v.astype(np.float32), np.zeros_like(u, np.float32)


def of(reading: CurvatureReading, phantom: Phantom, level: Level) -> tuple[VertebraTruth, object, object]:
    truth = phantom.vertebra(level)
    found = reading.of(truth.number)
    assert found is not None
    assert found.level is level
    return truth, found.body, found.canal


@pytest.mark.parametrize("level", LEVELS)
def test_body_is_as_large_as_it_was_built(reading: CurvatureReading, phantom: Phantom, level: Level) -> None:
    truth, body, _ = of(reading, phantom, level)
    inside = truth.body.distance(*middle_plane()) < 0
    area = np.count_nonzero(inside) * FINE_MM**2 / 100
    width, depth = ((np.ptp(np.nonzero(inside)[axis]) + 1) * FINE_MM for axis in (0, 1))
    assert isinstance(body, BodySection)
    assert (body.area.unit, body.width.unit, body.depth.unit) == ("cm2", "mm", "mm")
    for measured, true, share in ((body.area, area, 0.04), (body.width, width, 0.04), (body.depth, depth, 0.05)):
        assert measured.value == pytest.approx(true, rel=share)
        assert measured.uncertainty is not None
        assert abs(measured.value - true) <= measured.uncertainty < 0.1 * true


@pytest.mark.parametrize("level", LEVELS)
def test_canal_is_as_large_as_it_was_built(reading: CurvatureReading, phantom: Phantom, level: Level) -> None:
    truth, _, canal = of(reading, phantom, level)
    shape, plane = arch_shape(level), middle_plane()
    half_depth = shape.canal_depth / 2
    tube = Canal(-truth.body.shape.depth / 2 - half_depth + 1, shape.canal_width / 2, half_depth, 40.0)
    free = (tube.distance(*plane) < 0) & (truth.body.distance(*plane) >= 0)
    for solid in arch.posterior_elements(Placement(level, truth.body, truth.frame, 0.0), 1.0):
        free &= solid.distance(*plane) >= 0
    area = np.count_nonzero(free) * FINE_MM**2 / 100
    diameter = free[np.abs(plane[0][:, 0]) < 1.0].sum(axis=1).mean() * FINE_MM
    assert isinstance(canal, CanalSection)
    assert (canal.area.unit, canal.sagittal_diameter.unit) == ("cm2", "mm")
    for measured, true in ((canal.area, area), (canal.sagittal_diameter, diameter)):
        assert measured.value == pytest.approx(true, rel=0.08)
        assert measured.uncertainty == pytest.approx(0.15 * measured.value)
    assert "15 %" in canal.note
