"""The phantom is what it says it is: measured here on the voxels, without its own code for shapes."""

from __future__ import annotations

from dataclasses import replace

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from models.anatomy import Anchor, Level, Region
from models.engine import Numbering
from operators.fractures.results import Shape
from tests.phantoms.anatomy.column import Curves
from tests.phantoms.damage import broken
from tests.phantoms.spine import COLUMN, Pose, SpinePhantom
from tests.phantoms.truth import Phantom, VertebraTruth

PLAIN = SpinePhantom(levels=(Level.L1, Level.L3), noise=0, blur=0, texture=0, veins=0)
"""Without anything that makes an edge or a mean uncertain."""


def fine(spine: SpinePhantom) -> Phantom:
    return spine.build(pixel_spacing=0.4, slice_spacing=0.4, field_of_view=(24.0, 84.0))


def coarse(spine: SpinePhantom) -> Phantom:
    return spine.build(pixel_spacing=1.0, slice_spacing=1.5, field_of_view=(110.0, 120.0))


@pytest.fixture(scope="module")
def plain() -> Phantom:
    return fine(PLAIN)


@pytest.fixture(scope="module")
def scanned() -> Phantom:
    return coarse(SpinePhantom(levels=(Level.T11, Level.L4)))


def profile(volume: hd.Volume, start: NDArray[np.float64], end: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    points = start + np.linspace(0, 1, count)[:, None] * (end - start)
    index = volume.map_reference_to_indices(points)
    values: NDArray[np.float64] = ndimage.map_coordinates(volume.array, index.T, order=1)
    return values


def measured_height(phantom: Phantom, vertebra: VertebraTruth, fraction: float) -> float:
    """Distance of the outer half-maxima of both endplates along the vertebra's axis, mm.

    The line starts and ends in the discs; outside (85 HU) and cortex (850 HU) have their mean at 467.5.
    """
    place = (0.5 - fraction) * vertebra.body.shape.depth
    middle = vertebra.frame.origin + vertebra.frame.axes[1] * place
    reach = vertebra.body.shape.posterior / 2 + 4.0
    axis = vertebra.frame.axes[2]
    count = 2001
    values = profile(phantom.volume, middle - reach * axis, middle + reach * axis, count)
    above = np.nonzero(values > 467.5)[0]
    return float((above[-1] - above[0] + 1) * 2 * reach / (count - 1))


@pytest.mark.parametrize("level", [Level.L1, Level.L2, Level.L3])
@pytest.mark.parametrize("fraction", [0.125, 0.3, 0.5, 0.875])
def test_heights_in_the_voxels_are_the_constructed_ones(plain: Phantom, level: Level, fraction: float) -> None:
    vertebra = plain.vertebra(level)
    assert measured_height(plain, vertebra, fraction) == pytest.approx(vertebra.height_at(fraction), abs=0.15)


def test_heights_are_the_parameters(plain: Phantom) -> None:
    shape = PLAIN.unbroken(Level.L2)
    vertebra = plain.vertebra(Level.L2)
    assert vertebra.anterior == pytest.approx(shape.anterior)
    assert vertebra.posterior == pytest.approx(shape.posterior)
    assert vertebra.height_at(0.5) == pytest.approx(shape.middle)
    assert vertebra.middle <= vertebra.height_at(0.5)


@pytest.mark.parametrize(
    ("shape", "remaining"),
    [(Shape.WEDGE, (0.7, 0.85, 1.0)), (Shape.BICONCAVE, (1.0, 0.7, 1.0)), (Shape.CRUSH, (0.7, 0.7, 0.7))],
)
def test_a_fracture_of_thirty_percent_shows_thirty_percent(
    plain: Phantom, shape: Shape, remaining: tuple[float, float, float]
) -> None:
    spine = replace(PLAIN, levels=(Level.L2, Level.L2))
    hurt = fine(broken(spine, Level.L2, shape, 0.3))
    for fraction, kept in zip((0.125, 0.5, 0.875), remaining, strict=True):
        before = measured_height(plain, plain.vertebra(Level.L2), fraction)
        after = measured_height(hurt, hurt.vertebra(Level.L2), fraction)
        assert after / before == pytest.approx(kept, abs=0.012)


def test_heights_hold_for_a_patient_who_lies_askew() -> None:
    askew = replace(PLAIN, levels=(Level.L2, Level.L2), pose=Pose((9.0, -6.0, 11.0), (20.0, -35.0, 500.0)))
    phantom = askew.build(pixel_spacing=0.4, slice_spacing=0.4, field_of_view=(40.0, 90.0))
    vertebra = phantom.vertebra(Level.L2)
    assert abs(vertebra.frame.axes[2][0]) > 0.08
    for fraction in (0.125, 0.5, 0.875):
        assert measured_height(phantom, vertebra, fraction) == pytest.approx(vertebra.height_at(fraction), abs=0.15)


def deep_inside(phantom: Phantom, vertebra: VertebraTruth, erosion: float) -> NDArray[np.bool_]:
    mask = (phantom.labels.array == vertebra.number) & (phantom.regions.array == Region.BODY)
    depth = ndimage.distance_transform_edt(mask, sampling=phantom.volume.spacing)
    inside: NDArray[np.bool_] = depth > erosion
    return inside


def test_spongiosa_has_its_mean_and_its_deviation(scanned: Phantom) -> None:
    expected = {Level.T11: 163.3, Level.T12: 159.7, Level.L1: 152.3, Level.L2: 148.7, Level.L3: 145.0, Level.L4: 150.0}
    assert [v.level for v in scanned.vertebrae if v.complete] == list(expected)
    index = np.moveaxis(np.indices(scanned.volume.spatial_shape), 0, -1)
    for vertebra in scanned.vertebrae:
        if not vertebra.complete:
            continue
        inside = deep_inside(scanned, vertebra, 4.0)
        points = scanned.volume.map_indices_to_reference(index[inside])
        front = vertebra.frame.to_local(points)[:, 1] > 0  # before the basivertebral veins
        values = scanned.volume.array[inside][front]
        assert values.size > 800
        assert vertebra.trabecular_hu == pytest.approx(expected[vertebra.level], abs=0.1)
        assert values.mean() == pytest.approx(expected[vertebra.level], abs=3.0)
        assert 12 < values.std() < 30


def test_spongiosa_without_texture_is_even(plain: Phantom) -> None:
    vertebra = plain.vertebra(Level.L2)
    values = plain.volume.array[deep_inside(plain, vertebra, 2.5)]
    assert values == pytest.approx(148.667, abs=0.05)


def test_the_map_has_the_centroid_that_is_promised(scanned: Phantom) -> None:
    for vertebra in scanned.vertebrae:
        if vertebra.complete:
            mask = (scanned.labels.array == vertebra.number) & (scanned.regions.array == Region.BODY)
            middle = scanned.volume.map_indices_to_reference(np.argwhere(mask).mean(axis=0)[None])[0]
            assert middle == pytest.approx(vertebra.centroid, abs=0.35)


def test_noise_has_its_deviation() -> None:
    spine = SpinePhantom(levels=(Level.L3, Level.L3), noise=17.0)
    noisy = coarse(spine).volume.array
    clean = coarse(replace(spine, noise=0)).volume.array
    tissue = (clean > -200) & (clean < 400)
    assert (noisy - clean)[tissue].std() == pytest.approx(17.0, rel=0.02)
    assert (noisy - clean)[tissue].mean() == pytest.approx(0.0, abs=0.3)


def test_the_seed_decides_everything() -> None:
    spine = SpinePhantom(levels=(Level.L3, Level.L3), seed=3)
    first, again = coarse(spine), coarse(spine)
    other = coarse(replace(spine, seed=4))
    assert np.array_equal(first.volume.array, again.volume.array)
    assert not np.array_equal(first.volume.array, other.volume.array)
    assert np.array_equal(first.labels.array, other.labels.array)


def test_a_thick_slice_is_the_mean_of_thin_ones() -> None:
    spine = replace(PLAIN, levels=(Level.L2, Level.L2))
    thick_grid = spine.grid(pixel_spacing=1.0, slice_spacing=5.0, field_of_view=(70.0, 90.0))
    thin_affine = thick_grid.affine.copy()
    thin_affine[:3, 0] /= 10
    thin_affine[:3, 3] -= 4.5 * thin_affine[:3, 0]
    shape = (10 * thick_grid.shape[0], *thick_grid.shape[1:])
    thin = spine.render(replace(thick_grid, affine=thin_affine, shape=shape, thickness=0.5)).volume.array
    thick = spine.render(thick_grid).volume.array
    means = thin.reshape(-1, 10, *thin.shape[1:]).mean(axis=1)
    bone = ndimage.binary_dilation(thick > 200, iterations=2)
    assert np.abs(thick - means)[bone].mean() < 12
    assert (thick - means)[bone].mean() == pytest.approx(0, abs=1.5)


def endplate_tilt(vertebra: VertebraTruth, superior: bool) -> float:
    """Angle of the endplate against the horizontal in the sagittal plane, degrees; forward is positive."""
    front, rear = vertebra.line_at(0.125), vertebra.line_at(0.875)
    a, b = (front[0], rear[0]) if superior else (front[1], rear[1])
    return float(np.degrees(np.arctan2(b[2] - a[2], b[1] - a[1])))


def test_curves_have_their_angles() -> None:
    spine = SpinePhantom(levels=(Level.T1, Level.S1), curves=Curves(lordosis=60.0, kyphosis=35.0, sacral_slope=42.0))
    phantom = replace(spine, noise=0).build(pixel_spacing=4.0, slice_spacing=6.0)
    assert phantom.sacrum is not None
    sacral = endplate_tilt(phantom.sacrum, superior=True)
    assert sacral == pytest.approx(42.0, abs=0.5)
    lumbar = endplate_tilt(phantom.vertebra(Level.L1), superior=True)
    assert sacral - lumbar == pytest.approx(60.0, abs=0.5)
    upper = endplate_tilt(phantom.vertebra(Level.T1), superior=True)
    lower = endplate_tilt(phantom.vertebra(Level.T12), superior=False)
    assert upper - lower == pytest.approx(35.0, abs=0.5)


def test_scoliosis_has_its_cobb_angle() -> None:
    spine = SpinePhantom(curves=Curves(scoliosis=30.0, apex=Level.L1, span=4.0))
    tilts = [np.degrees(np.arcsin(p.frame.axes[2][0])) for p in spine.placements()]
    assert max(tilts) - min(tilts) == pytest.approx(30.0, abs=1.5)
    sideways = {p.level: p.frame.origin[0] for p in spine.placements()}
    assert abs(sideways[Level.L1]) > 10
    assert abs(sideways[Level.T1] - sideways[Level.S1]) < abs(sideways[Level.L1]) / 3


def test_the_field_of_view_shows_the_levels_asked_for(scanned: Phantom) -> None:
    assert [v.number for v in scanned.vertebrae] == list(range(1, len(scanned.vertebrae) + 1))
    assert {v.level for v in scanned.vertebrae if v.complete} == {
        Level.T11, Level.T12, Level.L1, Level.L2, Level.L3, Level.L4,
    }  # fmt: skip
    assert set(np.unique(scanned.labels.array)) == {0, *(v.number for v in scanned.vertebrae)}
    assert scanned.volume.geometry_equal(scanned.labels)
    assert scanned.volume.geometry_equal(scanned.regions)


def test_the_truth_is_a_segmentation() -> None:
    phantom = SpinePhantom(levels=(Level.T12, Level.S1)).build(pixel_spacing=2.0, slice_spacing=3.0)
    found = phantom.segmentation()
    assert found.numbering is Numbering.ANCHORED
    assert Anchor.SACRUM in found.anchors
    assert [v.level for v in found.vertebrae if v.complete] == [
        Level.T12, Level.L1, Level.L2, Level.L3, Level.L4, Level.L5,
    ]  # fmt: skip
    present = set(np.unique(found.regions.array))
    assert present == {int(r) for r in Region}
    bodies, arches = (found.regions.array == r for r in (Region.BODY, Region.POSTERIOR_ELEMENTS))
    assert (found.labels.array[bodies | arches] > 0).all()
    for vertebra in found.vertebrae:
        k, i, j = np.rint(phantom.volume.map_reference_to_indices(np.array([vertebra.centroid]))[0]).astype(int)
        assert found.labels.array[k, i, j] == vertebra.number
        assert found.regions.array[k, i, j] == Region.BODY


def test_a_sixth_lumbar_vertebra_is_possible() -> None:
    column = (*COLUMN[:-1], Level.L6, Level.S1)
    phantom = SpinePhantom(levels=(Level.L4, Level.S1), column=column).build(pixel_spacing=2.0, slice_spacing=3.0)
    assert [v.level for v in phantom.vertebrae if v.complete] == [Level.L4, Level.L5, Level.L6]
