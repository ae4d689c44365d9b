"""Density against a phantom's construction, and everything that must keep it from being published."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.anatomy import Level
from operators.density.measure import measure_bone_density
from operators.density.results import DENSITY, Density
from operators.fractures.results import Deformity, Shape
from operators.reading.case import Case
from operators.reading.options import Kind
from operators.reading.quantity import Measured, Withheld
from operators.reading.vertebra import Vertebra
from tests.operators.measured_case import phantom_case
from tests.phantoms.spine import SpinePhantom


@pytest.fixture(scope="module")
def case() -> Case:
    phantom = SpinePhantom(
        levels=(Level.T12, Level.L3),
        trabecular={Level.T12: 120.0, Level.L1: 90.0, Level.L2: 110.0, Level.L3: 130.0},
        texture=0.0,
        noise=8.0,
    ).build(0.9, 1.5, field_of_view=(150, 170))
    return phantom_case(phantom)


@pytest.fixture(scope="module")
def measured(case: Case) -> Case:
    return measure_bone_density(case)


def vertebra(case: Case, level: Level) -> Vertebra:
    return next(v for v in case.reading.vertebrae if v.level is level)


def mean_of(case: Case, level: Level) -> float:
    density = vertebra(case, level).of(DENSITY)
    assert isinstance(density, Density), density
    assert isinstance(density.mean, Measured)
    return density.mean.value


@pytest.mark.parametrize(("level", "hu"), [(Level.T12, 120.0), (Level.L1, 90.0), (Level.L2, 110.0), (Level.L3, 130.0)])
def test_mean_is_that_of_the_construction(measured: Case, level: Level, hu: float) -> None:
    assert mean_of(measured, level) == pytest.approx(hu, abs=3.0)


def test_regions_hold_the_vertebras_number_inside_its_body_only(case: Case, measured: Case) -> None:
    assert measured.masks.get(Kind.DENSITY_REGIONS) is not None
    assert case.segmentation is not None
    marked = measured.masks.get(Kind.DENSITY_REGIONS).array
    assert marked.dtype == np.uint8
    assert (marked[marked > 0] == case.segmentation.labels.array[marked > 0]).all()
    for level in (Level.L1, Level.L2):
        density = vertebra(measured, level).of(DENSITY)
        assert isinstance(density, Density)
        assert (marked == vertebra(measured, level).number).sum() == density.voxels


def test_region_is_the_published_share_of_the_body(measured: Case) -> None:
    """An ellipse of 0.65 by 0.50 of the body's box over 0.6 of its height, less the vein: well below 1/6."""
    density = vertebra(measured, Level.L2).of(DENSITY)
    assert isinstance(density, Density)
    assert isinstance(density.volume, Measured)
    assert 3.0 < density.volume.value < 9.0


def with_changes(case: Case, number: int, changes: dict[str, object]) -> Case:
    changed = tuple(v.model_copy(update=changes) if v.number == number else v for v in case.reading.vertebrae)
    return replace(case, reading=case.reading.model_copy(update={"vertebrae": changed}))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"complete": False}, "incomplete"),
        ({"confidence": 0.3}, "low-confidence"),
        ({"level": Level.C7}, "level-not-measured"),
        (
            {"results": {"deformity": Deformity(height_loss=Measured(value=30, unit="%"), grade=2, shape=Shape.WEDGE)}},
            "fractured",
        ),
    ],
)
def test_unfit_vertebrae_are_withheld(case: Case, changes: dict[str, object], code: str) -> None:
    number = vertebra(case, Level.L1).number
    done = measure_bone_density(with_changes(case, number, changes))
    density = next(v.of(DENSITY) for v in done.reading.vertebrae if v.number == number)
    assert isinstance(density, Withheld)
    assert density.code == code
    assert done.masks.get(Kind.DENSITY_REGIONS) is not None
    assert not (done.masks.get(Kind.DENSITY_REGIONS).array == number).any()


def painted(case: Case, level: Level, radius: float, hu: float) -> Case:
    """A ball of ``hu`` in the middle of one body."""
    index = np.indices(case.volume.spatial_shape).reshape(3, -1).T
    points = index @ case.volume.affine[:3, :3].T + case.volume.affine[:3, 3]
    near = np.linalg.norm(points - np.array(vertebra(case, level).centroid), axis=1) < radius
    array = case.volume.array.copy()
    array.reshape(-1)[near] = hu
    return replace(case, volume=case.volume.with_array(array))


def test_metal_withholds_the_levels_near_it(case: Case) -> None:
    done = measure_bone_density(painted(case, Level.L1, 5.0, 3000.0))
    for level in (Level.T12, Level.L1, Level.L2):
        density = vertebra(done, level).of(DENSITY)
        assert isinstance(density, Withheld)
        assert density.code == "metal"


def test_a_large_dense_focus_is_not_bone_density(case: Case) -> None:
    density = vertebra(measure_bone_density(painted(case, Level.L2, 7.0, 900.0)), Level.L2).of(DENSITY)
    assert isinstance(density, Withheld)
    assert density.code == "bone-island"


def test_a_lytic_body_is_a_lesion(case: Case) -> None:
    density = vertebra(measure_bone_density(painted(case, Level.L2, 16.0, 10.0)), Level.L2).of(DENSITY)
    assert isinstance(density, Withheld)
    assert density.code == "lesion"


def test_a_case_without_segmentation_is_left_alone(case: Case) -> None:
    bare = replace(case, segmentation=None)
    assert measure_bone_density(bare) is bare
