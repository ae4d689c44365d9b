from __future__ import annotations

import numpy as np
import pytest
import torch

from models.anatomy import Region
from models.vertebrae.training.atlas import Atlas, build_atlas
from models.vertebrae.training.deformation import _bend
from models.vertebrae.training.scanner import gaussian, slice_profile
from models.vertebrae.training.synthesis import FINE_CROP, Synthesiser
from tests.models import built


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return build_atlas("built", built.label_map())


def test_same_seed_gives_the_same_volume(atlas: Atlas) -> None:
    first, crops = Synthesiser(atlas).draw(5)
    second, again = Synthesiser(atlas).draw(5)
    assert torch.equal(first.hu, second.hu)
    assert torch.equal(first.regions, second.regions)
    assert len(crops) == len(again) > 0
    assert torch.equal(crops[0].hu, again[0].hu)


def test_volumes_differ_between_seeds_and_stay_within_ct(atlas: Atlas) -> None:
    maker = Synthesiser(atlas)
    samples = [maker.draw(seed, fine_crops=0)[0] for seed in range(4)]
    assert len({(*tuple(sample.hu.shape), int(sample.hu.sum())) for sample in samples}) == 4
    for sample in samples:
        assert int(sample.hu.min()) >= -1024
        assert int(sample.hu.max()) <= 3071
        assert all(side % 16 == 0 for side in sample.hu.shape)


def test_vertebrae_turn_with_the_bends_of_the_spine() -> None:
    """Beside the spine a bend is a rotation: what was at right angles to the spine still is, to second order."""
    axes = [torch.arange(n) * step for n, step in ((200, 3.0), (5, 3.0), (5, 3.0))]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    spine = np.array([[height, 6.0, 6.0] for height in range(0, 600, 30)], dtype=float)
    slopes, skews = [], []
    for seed in range(12):
        points = torch.stack([z, y, x]).float()
        _bend(points, z, spine, np.random.default_rng(seed))
        along = (points[:, 2:, 2, 2] - points[:, :-2, 2, 2]) / 6.0
        across = (points[:, 1:-1, 3, 2] - points[:, 1:-1, 1, 2]) / 6.0
        slopes.append(float(along[1].abs().max()))
        skews.append(float((along * across).sum(dim=0).abs().max()))
    assert max(slopes) > 0.2
    assert all(skew < 0.35 * slope + 0.02 for skew, slope in zip(skews, slopes, strict=True))


def test_bone_is_denser_than_what_surrounds_it_nearly_always(atlas: Atlas) -> None:
    maker = Synthesiser(atlas)
    denser = []
    for seed in range(6):
        sample, _ = maker.draw(seed, fine_crops=0)
        arch = sample.hu[sample.regions == Region.POSTERIOR_ELEMENTS].float()
        other = sample.hu[(sample.regions == Region.BACKGROUND) & (sample.hu > -300)].float()
        if len(arch) > 100 and len(other) > 100:
            denser.append(bool(arch.mean() > other.mean()))
    assert sum(denser) >= len(denser) - 1 >= 2


def test_fine_crop_holds_its_vertebra_near_the_stated_centre(atlas: Atlas) -> None:
    _, crops = Synthesiser(atlas).draw(5)
    for crop in crops:
        assert tuple(crop.hu.shape) == FINE_CROP
        body = torch.nonzero(crop.classes == 1).float().mean(dim=0)
        assert np.allclose(body.numpy(), crop.centre, atol=4.0)


def test_slice_profile_has_the_width_of_the_slice() -> None:
    for thickness in (2.0, 3.0, 4.5, 5.0):
        profile = slice_profile(thickness)
        assert float(profile.sum()) == pytest.approx(1.0)
        assert float(profile[len(profile) // 2]) * thickness == pytest.approx(1.5, rel=0.01)
    assert slice_profile(1.0).tolist() == [1.0]
    assert gaussian(0.1).tolist() == [1.0]
