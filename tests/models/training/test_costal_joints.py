"""Ribs grow towards their vertebrae and their joints close, while what belongs to the vertebra stays."""

from __future__ import annotations

import numpy as np
import torch

from models.anatomy import Region
from models.vertebrae.training.costal_joints import costal_joints

SOFT, CORTEX = 40.0, 600.0


def scene() -> torch.Tensor:
    """A vertebra, a gap of three voxels, a rib; a disc below the gap, and a second rib far off."""
    regions = torch.zeros((8, 8, 24), dtype=torch.uint8)
    regions[2:, 2:6, 2:6] = Region.POSTERIOR_ELEMENTS
    regions[2:6, 2:6, 9:12] = Region.RIB
    regions[6:, 2:6, 6:9] = Region.DISC
    regions[2:6, 2:6, 20:22] = Region.RIB
    return regions


def drawn(seed: int) -> torch.Tensor:
    regions = scene()
    soft = torch.full(regions.shape, SOFT)
    bone = (regions == Region.POSTERIOR_ELEMENTS) | (regions == Region.RIB)
    shell = torch.full(regions.shape, CORTEX)
    return costal_joints(soft, regions, ~bone, shell, np.random.default_rng(seed))


def test_joints_are_wide_in_some_volumes_and_narrow_or_closed_in_others() -> None:
    gaps = []
    for seed in range(60):
        hu = drawn(seed)
        # Across the middle of the gap: vertebra, three voxels, rib.
        gaps.append([round(float(v)) for v in hu[4, 4, 6:9]])
    assert [40, 40, 40] in gaps
    assert [40, 40, 600] in gaps
    assert any(gap[2] == 600 and gap[1] == 40 for gap in gaps)
    assert 0.6 < np.mean([gap[2] > 40 for gap in gaps]) < 0.95


def test_a_gap_of_one_voxel_closes_by_a_share_of_the_cortex() -> None:
    regions = scene()
    regions[2:6, 2:6, 7:9] = Region.RIB
    bone = (regions == Region.POSTERIOR_ELEMENTS) | (regions == Region.RIB)
    soft, shell = torch.full(regions.shape, SOFT), torch.full(regions.shape, CORTEX)
    seen = [float(costal_joints(soft, regions, ~bone, shell, np.random.default_rng(s))[4, 4, 6]) for s in range(60)]
    assert min(seen) == SOFT
    assert max(seen) == CORTEX
    assert any(SOFT + 80 < value < CORTEX - 80 for value in seen)


def test_discs_and_what_lies_far_from_vertebrae_stay_as_they_are() -> None:
    for seed in range(30):
        hu = drawn(seed)
        assert torch.all(hu[6:, 2:6, 6:9] == SOFT)
        assert torch.all(hu[:, :, 14:] == SOFT)
        assert torch.all(hu[:, :, :6] == SOFT)
