"""Angles of whole spines: beside those that the phantoms were built with, however the patient lies."""

from __future__ import annotations

from dataclasses import replace

import highdicom as hd
import numpy as np
import pytest
from scipy import ndimage

from models.anatomy import Level
from operators.curvature.measure import measure
from operators.curvature.results import CoronalCurve, CurvatureReading, NoCurve
from operators.reading.quantity import Measured
from tests.operators.curvature.spines import (
    built,
    case_with_sacrum,
    leftward,
    true_angles,
    turned,
    with_sacrum,
)
from tests.operators.measured_case import case_of
from tests.phantoms.anatomy.column import Curves
from tests.phantoms.spine import Pose, SpinePhantom
from tests.phantoms.truth import Phantom

WHOLE = (Level.T4, Level.S1)
USUAL = SpinePhantom(levels=WHOLE)
SCOLIOTIC = SpinePhantom(levels=WHOLE, curves=Curves(scoliosis=25.0, apex=Level.T12, rotation=10.0))
KYPHOTIC = SpinePhantom(levels=WHOLE, curves=Curves(kyphosis=62.0, lordosis=38.0, sacral_slope=28.0))


@pytest.fixture(scope="module")
def scoliotic() -> Phantom:
    return built(SCOLIOTIC)


@pytest.fixture(scope="module")
def usual() -> Phantom:
    return built(USUAL)


@pytest.fixture(scope="module")
def usual_reading(usual: Phantom) -> CurvatureReading:
    return measure(case_with_sacrum(usual))


def given(reading: CurvatureReading) -> dict[str, Measured]:
    angles = {name: getattr(reading, name).angle for name in true_names()}
    assert all(isinstance(angle, Measured) for angle in angles.values()), angles
    return angles


def true_names() -> tuple[str, ...]:
    return ("kyphosis", "kyphosis_from_t5", "lordosis", "thoracolumbar")


def assert_as_built(reading: CurvatureReading, truth: dict[str, float]) -> None:
    for name, angle in given(reading).items():
        assert angle.unit == "deg"
        assert angle.value == pytest.approx(truth[name], abs=1.0), name
        assert angle.uncertainty is not None
        assert abs(angle.value - truth[name]) <= angle.uncertainty <= 5.0, name


def test_angles_are_those_of_the_construction(usual: Phantom, usual_reading: CurvatureReading) -> None:
    assert_as_built(usual_reading, true_angles(usual))
    # The phantom's own parameter says the same as its endplates.
    assert given(usual_reading)["lordosis"].value == pytest.approx(USUAL.curves.lordosis, abs=1.0)


def test_angles_of_a_kyphotic_spine_with_little_lordosis() -> None:
    phantom = built(KYPHOTIC, pixel=1.0, slices=1.0)
    truth = true_angles(phantom)
    assert truth["kyphosis"] > 45
    assert_as_built(measure(case_with_sacrum(phantom)), truth)


def test_straight_spine_has_no_coronal_curve(usual_reading: CurvatureReading) -> None:
    found = usual_reading.coronal
    assert isinstance(found, NoCurve)
    assert (found.first, found.last) == (Level.T4, Level.L5)
    assert found.statement == "No coronal curve of 10 degrees or more from T4 to L5."


def test_scoliosis_with_its_end_vertebrae(scoliotic: Phantom) -> None:
    reading = measure(case_with_sacrum(scoliotic))
    found = reading.coronal
    levels = [v for v in scoliotic.vertebrae if Level.T4.rank <= v.level.rank <= Level.L5.rank]
    truth = max(leftward(v, False) for v in levels) - min(leftward(v, True) for v in levels)
    assert truth == pytest.approx(25.0, abs=1.5)  # the steepest place of the curve lies between two vertebrae
    assert isinstance(found, CoronalCurve)
    assert found.angle.value == pytest.approx(truth, abs=1.0)
    assert found.angle.uncertainty is not None
    assert abs(found.angle.value - truth) <= found.angle.uncertainty <= 5.0
    # By the construction T9 and T10 lean alike, and so do L2 and L3.
    assert found.upper in (Level.T9, Level.T10)
    assert found.lower in (Level.L2, Level.L3)
    assert (found.apex, found.convex) == (Level.T12, "left")
    assert_as_built(reading, true_angles(scoliotic))


def test_slight_bend_is_no_curve() -> None:
    phantom = built(replace(SCOLIOTIC, curves=Curves(scoliosis=7.0, apex=Level.T12)), slices=2.0)
    assert isinstance(measure(case_with_sacrum(phantom)).coronal, NoCurve)


def test_patient_who_lies_crooked_has_the_same_angles() -> None:
    crooked = built(replace(USUAL, pose=Pose(rotation=(9.0, -7.0, 16.0))))
    axes = Pose(rotation=(9.0, -7.0, 16.0)).matrix.T
    assert true_angles(crooked, axes)["lordosis"] == pytest.approx(USUAL.curves.lordosis, abs=0.1)
    reading = measure(case_with_sacrum(crooked))
    assert_as_built(reading, true_angles(crooked, axes))
    assert isinstance(reading.coronal, NoCurve)


def test_grid_turned_in_space_changes_nothing(scoliotic: Phantom) -> None:
    matrix = Pose(rotation=(12.0, 10.0, -20.0)).matrix
    case = case_with_sacrum(scoliotic)
    assert case.segmentation is not None
    segmentation = replace(
        case.segmentation,
        labels=turned(case.segmentation.labels, matrix),
        regions=turned(case.segmentation.regions, matrix),
    )
    other = replace(case, volume=turned(case.volume, matrix), segmentation=segmentation)
    first, second = measure(case), measure(other)
    for name, angle in given(first).items():
        assert given(second)[name].value == pytest.approx(angle.value, abs=1.0), name
    assert isinstance(first.coronal, CoronalCurve)
    assert isinstance(second.coronal, CoronalCurve)
    assert second.coronal.angle.value == pytest.approx(first.coronal.angle.value, abs=1.0)
    assert (second.coronal.upper, second.coronal.lower) == (first.coronal.upper, first.coronal.lower)


def test_volume_resampled_on_turned_slices_keeps_its_angles(scoliotic: Phantom) -> None:
    """As a reformat at another angle would show the same patient."""
    matrix = Pose(rotation=(11.0, 5.0, 8.0)).matrix
    segmentation = with_sacrum(scoliotic)
    hu = resampled(scoliotic.volume, matrix, order=1)
    parts = {name: resampled(getattr(segmentation, name), matrix, order=0) for name in ("labels", "regions")}
    case = case_of(hu, replace(segmentation, **parts), slice_thickness=1.5)
    reading = measure(case)
    assert_as_built(reading, true_angles(scoliotic))
    before = measure(case_with_sacrum(scoliotic)).coronal
    assert isinstance(before, CoronalCurve)
    assert isinstance(reading.coronal, CoronalCurve)
    assert reading.coronal.angle.value == pytest.approx(before.angle.value, abs=1.0)


def resampled(volume: hd.Volume, matrix: np.ndarray, order: int) -> hd.Volume:
    """The same patient on a grid that is turned about the middle of the volume and padded to hold it."""
    pad = 40
    shape = np.array(volume.spatial_shape) + 2 * pad
    middle = volume.affine[:3, :3] @ ((np.array(volume.spatial_shape) - 1) / 2) + volume.affine[:3, 3]
    affine = volume.affine.copy()
    affine[:3, :3] = matrix @ affine[:3, :3]
    affine[:3, 3] = middle - affine[:3, :3] @ ((shape - 1) / 2)
    to_old = np.linalg.inv(volume.affine) @ affine
    array = ndimage.affine_transform(
        volume.array, to_old[:3, :3], to_old[:3, 3], tuple(shape), order=order, cval=0.0, mode="constant"
    )
    return hd.Volume(array, affine, coordinate_system="PATIENT")


def test_arms_lie_along_the_endplates(usual: Phantom, usual_reading: CurvatureReading) -> None:
    for name, angle in ((n, getattr(usual_reading, n)) for n in true_names()):
        assert len(angle.lines) == 2, name
        tilts = []
        for line in angle.lines:
            vertebra = usual.vertebra(line.level)
            front, back = np.array(line.ends)
            shape = vertebra.body.shape
            reach = np.linalg.norm(front - back)
            assert shape.depth < reach < shape.depth + 25
            local = vertebra.frame.to_local(np.array([front, back]))
            assert local[0, 1] > shape.depth / 2 > -shape.depth / 2 > local[1, 1]  # beyond the front and the back
            top, bottom = vertebra.body.plates_at(0.0, 0.0)
            height = local[:, 2].mean()
            assert height == pytest.approx(top if line.plate.value == "superior" else bottom, abs=1.5)
            tilts.append(np.degrees(np.arctan2(*(back - front)[[2, 1]])))
        assert abs(tilts[0] - tilts[1]) == pytest.approx(abs(angle.angle.value), abs=0.5)
