from __future__ import annotations

import numpy as np
import pytest

from models.anatomy import Region
from models.vertebrae.training.targets import NO_OFFSET, NO_PHASE, PHASE_STEPS, NoSpineError, SpineTargets, make_targets
from tests.models import built


@pytest.fixture(scope="module")
def targets() -> SpineTargets:
    return make_targets(built.label_map(), built.SPACING)


def test_body_is_what_lies_in_front_of_the_canal(targets: SpineTargets) -> None:
    labels = built.label_map()
    y = np.broadcast_to(np.arange(80)[None, :, None], labels.shape)
    vertebra = (labels >= 28) & (labels <= 31)
    body = targets.regions == Region.BODY
    assert np.array_equal(body, vertebra & (y < built.BACK_OF_BODY)) or _dice(body, vertebra & (y < 40)) > 0.97
    assert _dice(targets.regions == Region.POSTERIOR_ELEMENTS, vertebra & (y >= 40)) > 0.95


def test_disc_fills_the_gap_between_bodies_and_little_else(targets: SpineTargets) -> None:
    disc = targets.regions == Region.DISC
    between = np.zeros(len(disc), bool)
    for index in range(built.COUNT - 1):
        between[_gap(index)] = True
    # A collar of a few voxels around the rims is meant: a disc bulges.
    assert disc[between].sum() > 0.8 * disc.sum()
    assert not (disc & (built.label_map() <= 31)).any()
    for index in range(built.COUNT - 1):
        middle = _gap(index)[2]
        assert disc[middle, 30, built.MIDDLE_X]


def test_phase_is_half_a_turn_at_the_centre_and_wraps_in_the_disc(targets: SpineTargets) -> None:
    for index in range(built.COUNT):
        z, y, x = (int(v) for v in built.centre(index))
        assert abs(int(targets.phase[z, y, x]) - PHASE_STEPS // 2) < 0.06 * PHASE_STEPS
    middle = _gap(0)[2]
    phase = int(targets.phase[middle, 30, built.MIDDLE_X])
    assert min(phase, PHASE_STEPS - phase) < 0.1 * PHASE_STEPS
    assert targets.phase[0, 0, 0] == NO_PHASE


def test_offset_points_to_the_own_centre(targets: SpineTargets) -> None:
    z, y, x = (int(v) for v in built.centre(1))
    assert targets.offset[z + 4, y, x] == pytest.approx(4 * built.SPACING, abs=1.5)
    assert targets.offset[z - 4, y, x] == pytest.approx(-4 * built.SPACING, abs=1.5)
    assert targets.offset[0, 0, 0] == NO_OFFSET


def test_levels_follow_the_label_ids(targets: SpineTargets) -> None:
    assert sorted(targets.centres) == [19, 20, 21, 22]
    assert np.allclose(targets.centres[19] / built.SPACING, built.centre(0), atol=2.0)


def test_one_vertebra_makes_no_spine() -> None:
    labels = built.label_map()
    labels[labels < 31] = 0
    labels[built.label_map() == 79] = 79
    with pytest.raises(NoSpineError):
        make_targets(labels, built.SPACING)


def _gap(index: int) -> list[int]:
    upper = built.PITCH * (built.COUNT - index)
    return list(range(upper - built.PITCH + built.HALF_BODY + 1, upper - built.HALF_BODY))


def _dice(first: np.ndarray, second: np.ndarray) -> float:
    return float(2 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second)))
