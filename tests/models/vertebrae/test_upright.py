"""The fine network's crop stands upright in a bent back, and its answer comes back to where it belongs."""

from __future__ import annotations

import highdicom as hd
import numpy as np
import pytest

from models.vertebrae.fine_input import BEHIND_BODY, FINE_CROP
from models.vertebrae.network import FINE_SPACING
from models.vertebrae.upright import AIR, COMMON_LEAN, FineCrop, fine_crop, is_cut
from models.volume.orientation import Oriented

SPACING = (2.5, 0.8, 0.9)
SHAPE = (60, 170, 160)
CENTRE = np.array([74.0, 66.0, 72.0])
"""Of the body, mm along the axes."""
HALF = np.array([12.0, 16.0, 20.0])
"""Half the edges of the body, mm."""


def leaning(degrees: float, aside: float = 0.0) -> np.ndarray:
    """Unit vector that leans forward, and to the left by a part of it."""
    angle = np.radians(degrees)
    flat = np.array([0.0, -1.0, aside]) / np.hypot(1.0, aside)
    return np.cos(angle) * np.array([1.0, 0.0, 0.0]) + np.sin(angle) * flat


def frame(up: np.ndarray) -> np.ndarray:
    """Axes of a vertebra that leans like ``up`` and does not twist: columns up, back, left, as a textbook has it."""
    axis = np.cross([1.0, 0.0, 0.0], up)
    if not np.linalg.norm(axis):
        return np.eye(3)
    angle = np.arccos(up[0])
    x, y, z = axis / np.linalg.norm(axis)
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * skew @ skew


def body(up: np.ndarray) -> Oriented:
    """A box of bone of 400 HU in soft tissue that leans with the spine."""
    axes = [np.arange(n) * s - c for n, s, c in zip(SHAPE, SPACING, CENTRE, strict=True)]
    offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) @ frame(up)
    inside = (np.abs(offsets) <= HALF).all(axis=-1)
    hu = np.where(inside, 400, 40).astype(np.int16)
    # Axes towards head, back and left are LPS (0, 0, 1), (0, 1, 0) and (1, 0, 0).
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = *SPACING, 1.0
    return Oriented.of(hd.Volume(hu, affine, coordinate_system="PATIENT"))


def lean_of(mask: np.ndarray) -> float:
    """Angle in degrees between the first axis and the direction in which a box is lowest."""
    places = np.argwhere(mask) * FINE_SPACING
    values, vectors = np.linalg.eigh(np.cov(places.T))
    return float(np.degrees(np.arccos(abs(vectors[0, int(values.argmin())]))))


@pytest.mark.parametrize(("degrees", "aside"), [(25.0, 0.0), (40.0, 0.0), (40.0, 0.5), (55.0, -0.4), (-30.0, 0.0)])
def test_what_leans_more_than_usual_is_brought_up(degrees: float, aside: float) -> None:
    up = leaning(degrees, aside)
    crop = fine_crop(body(up), CENTRE, up)
    assert crop.hu.shape == FINE_CROP
    assert lean_of(crop.hu > 220) == pytest.approx(np.degrees(COMMON_LEAN), abs=2.0)


@pytest.mark.parametrize("degrees", [0.0, 14.0, 70.0])
def test_a_common_lean_and_one_beyond_belief_are_left(degrees: float) -> None:
    crop = fine_crop(body(leaning(0.0)), CENTRE, leaning(degrees))
    assert crop.turn is None
    assert lean_of(crop.hu > 220) == pytest.approx(0.0, abs=0.5)


@pytest.mark.parametrize("degrees", [0.0, 20.0, 45.0])
def test_the_spot_lies_in_the_middle_of_the_body(degrees: float) -> None:
    up = leaning(degrees, 0.3)
    crop = fine_crop(body(up), CENTRE, up)
    spot = np.array(np.unravel_index(int(crop.spot.argmax()), FINE_CROP))
    assert np.abs(np.argwhere(crop.hu > 220).mean(axis=0) - spot).max() < 0.8
    assert spot[1] == pytest.approx(0.5 * (FINE_CROP[1] - 1) - BEHIND_BODY / FINE_SPACING, abs=0.5)


def painted(crop: FineCrop, oriented: Oriented) -> np.ndarray:
    """Where the body that the crop shows lies on the native grid, as the engine paints it."""
    shares = np.stack([np.clip((crop.hu - 40.0) / 360.0, 0.0, 1.0)])
    answer, grid = crop.on_volume(shares.astype(np.float32), oriented.grid)
    result = np.zeros(SHAPE, bool)
    starts = [
        round((axis.start - own.start) / own.spacing) for axis, own in zip(grid.axes, oriented.grid.axes, strict=True)
    ]
    result[tuple(slice(s, s + n) for s, n in zip(starts, grid.shape, strict=True))] = answer[0] > 0.5
    return result


@pytest.mark.parametrize("degrees", [20.0, 35.0, 50.0])
def test_the_answer_comes_back_to_where_it_belongs(degrees: float) -> None:
    up = leaning(degrees, 0.3)
    oriented = body(up)
    truth = np.asarray(oriented.volume.array) > 220
    mask = painted(fine_crop(oriented, CENTRE, up), oriented)
    overlap = 2.0 * np.count_nonzero(mask & truth) / (np.count_nonzero(mask) + np.count_nonzero(truth))
    assert overlap > 0.97
    shift = (np.argwhere(mask).mean(axis=0) - np.argwhere(truth).mean(axis=0)) * SPACING
    assert np.abs(shift).max() < 0.15


def test_beyond_the_volume_there_is_air_and_its_border_counts_to_the_edge() -> None:
    up = leaning(30.0)
    oriented = body(up)
    top = np.array([SHAPE[0] * SPACING[0] - 3.0, CENTRE[1], CENTRE[2]])
    crop = fine_crop(oriented, top, up)
    turn = crop.turn
    assert turn is not None
    index = np.stack(np.meshgrid(*(np.arange(n) for n in FINE_CROP), indexing="ij"), axis=-1)
    offsets = (index - 0.5 * (np.array(FINE_CROP) - 1)) * FINE_SPACING
    places = crop.middle + offsets @ turn.T
    height = places[..., 0] - (SHAPE[0] - 0.5) * SPACING[0]
    within = ((places > 2.0) & (places < np.array(SHAPE) * SPACING - 3.0))[..., 1:].all(axis=-1)
    assert (crop.hu[height > 1.0] == AIR).all()
    assert crop.hu[(height < -1.0) & (height > -4.0) & within].min() >= 39.0


def test_what_is_no_number_counts_as_air_in_a_turned_crop() -> None:
    up = leaning(30.0)
    oriented = body(up)
    broken = np.asarray(oriented.volume.array, np.float32)
    broken[30, :, :] = np.nan
    crop = fine_crop(Oriented.of(oriented.volume.with_array(broken)), CENTRE, up)
    assert np.isfinite(crop.hu).all()


def test_an_answer_of_nothing_paints_nothing() -> None:
    up = leaning(30.0)
    oriented = body(up)
    answer, grid = fine_crop(oriented, CENTRE, up).on_volume(np.zeros((3, *FINE_CROP), np.float32), oriented.grid)
    assert not answer.any()
    assert all(grid.shape)


def test_a_leaning_body_is_cut_farther_from_the_border_than_an_upright_one() -> None:
    grid = body(leaning(0.0)).grid
    top = SHAPE[0] * SPACING[0] - 0.5 * SPACING[0]
    for up, reach in ((leaning(0.0), 10.0), (leaning(45.0), 25.0 * np.sqrt(0.5))):
        for height in (top - reach, reach - 0.5 * SPACING[0]):
            within = 1.0 if height < 50.0 else -1.0
            assert not is_cut(grid, np.array([height + within, 50.0, 50.0]), up, 20.0)
            assert is_cut(grid, np.array([height - within, 50.0, 50.0]), up, 20.0)
