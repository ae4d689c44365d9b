"""The rival's regions on a box-shaped vertebra, against what its rules make of it by hand."""

from __future__ import annotations

import highdicom as hd
import numpy as np
import pytest

from evidence.density.rival import LEAST_PIXELS, ball, cylinder, mean_hu

Mask = np.ndarray


def vertebra() -> Mask:
    """A body of 40 by 30 by 25 voxels, and a spinous process apart from it behind."""
    whole = np.zeros((60, 60, 45), bool)
    whole[10:50, 20:50, 10:35] = True
    whole[28:32, 4:10, 15:25] = True
    return whole


def extent(region: Mask) -> list[tuple[int, int]]:
    return [(int(axis.min()), int(axis.max())) for axis in np.nonzero(region)]


def test_cylinder_of_a_box_has_the_rules_centre_and_half_diameters() -> None:
    region = cylinder(vertebra(), (1.0, 1.0, 1.0))
    assert region is not None
    # Depth 30 from 20: centre 20 + 0.58 * 30 = 37.4, half 15 // 2 = 7. Width 40: middle 29.5, half 26 // 2 = 13.
    # Column 10 to 34: middle 22, half 7.5 // 2 = 3.
    assert extent(region) == [(17, 42), (31, 44), (19, 25)]
    inside = sum(((x - 29.5) / 13) ** 2 + ((y - 37.4) / 7) ** 2 <= 1 for x in range(60) for y in range(60))
    assert [int(n) for n in region.sum(axis=(0, 1))[19:26]] == [inside] * 7


@pytest.mark.parametrize(("slices", "heights"), [(2.5, (21, 23)), (3.0, (21, 23)), (5.0, (22, 22))])
def test_height_is_cut_to_whole_slices(slices: float, heights: tuple[int, int]) -> None:
    region = cylinder(vertebra(), (1.0, 1.0, slices))
    assert region is not None
    assert extent(region)[2] == heights


def test_a_spinous_process_that_hangs_on_to_the_body_counts_as_its_depth() -> None:
    joined = vertebra()
    joined[29, 10:20, 24] = True
    region = cylinder(joined, (1.0, 1.0, 5.0))
    assert region is not None
    # One piece in profile, whose middle slice 22 begins with the process at 4 and has 6 + 30 voxels: centre
    # 4 + 0.58 * 36 = 24.9 instead of 37.4, half 18 // 2 = 9, of which the mask eroded by one voxel leaves 21 to 33.
    assert extent(region)[1] == (21, 33)


def test_the_mask_is_eroded_by_one_voxel_in_thick_slices_and_by_two_in_others() -> None:
    low = np.zeros((60, 60, 45), bool)
    low[10:57, 5:55, 21:26] = True
    thin, thick = cylinder(low, (1.0, 1.0, 2.9)), cylinder(low, (1.0, 1.0, 3.0))
    assert thin is not None
    assert thick is not None
    # Both take the slices 23 ± 1 of 21 to 25.
    assert extent(thin)[2] == (23, 23)
    assert extent(thick)[2] == (22, 24)


def test_a_body_lower_than_the_cylinder_has_no_figure() -> None:
    low = np.zeros((60, 60, 45), bool)
    low[10:57, 5:55, 20:25] = True
    assert cylinder(low, (1.0, 1.0, 1.0)) is None


def test_ball_is_five_millimetres_around_the_middle_of_the_profile() -> None:
    region = ball(vertebra(), (1.0, 1.0, 1.0))
    assert region is not None
    # The body's middle is (29.5 cut to 29, 34.5, 22): half a voxel off on one axis, so that ± 5 on the others is out.
    assert extent(region) == [(25, 33), (30, 39), (18, 26)]


def test_a_sliver_gives_no_region() -> None:
    thin = np.zeros((20, 40, 40), bool)
    thin[9:11, 5:25, 5:15] = True
    assert np.count_nonzero(thin[9]) == LEAST_PIXELS
    assert cylinder(thin, (1.0, 1.0, 1.0)) is None
    assert ball(thin, (1.0, 1.0, 1.0)) is None


@pytest.mark.parametrize("rule", [cylinder, ball])
def test_mean_is_that_of_the_region_whichever_way_the_volume_is_stored(rule: object) -> None:
    # The volume is stored head to feet, front to back, left; the rule's axes run the other way along two of them.
    whole = vertebra().transpose(2, 1, 0)[::-1, ::-1]
    hu = np.broadcast_to(np.arange(60.0)[::-1, None], whole.shape)
    affine = np.array([[0.0, 0, 1, 0], [0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 1]])
    volume = hd.Volume(hu.astype(np.float32), affine, coordinate_system="PATIENT")
    found = mean_hu(volume, np.ascontiguousarray(whole), rule)
    region = rule(vertebra(), (1.0, 1.0, 1.0))
    assert found == pytest.approx(float(np.nonzero(region)[1].mean()), abs=0.01)


def test_a_vertebra_at_the_border_of_the_volume_does_not_wrap_round() -> None:
    whole = vertebra()[10:50, 20:50, 10:35]
    volume = hd.Volume(np.full(whole.shape, 7.0, np.float32), np.diag([1.0, -1, 1, 1]), coordinate_system="PATIENT")
    assert mean_hu(volume, whole, cylinder) == pytest.approx(7.0)
