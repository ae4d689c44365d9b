"""What the generator adds to the label maps' anatomy: rare spines, metal, degenerative change, arms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from models.anatomy import Region
from models.vertebrae.training.atlas import NOTHING_ID, SPACING, Atlas, build_atlas
from models.vertebrae.training.deformation import FieldOfView
from models.vertebrae.training.degeneration import fused_discs, grow_spurs
from models.vertebrae.training.hardware import METAL_HU, add_metal, implant, screws
from models.vertebrae.training.scanner import add_arms
from models.vertebrae.training.synthesis import Synthesiser
from models.vertebrae.training.targets import NO_LEVEL
from models.vertebrae.training.transition import make_transition, random_transition
from tests.models import built

L1 = 19


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return build_atlas("built", built.label_map())


def identity(shape: tuple[int, ...]) -> Tensor:
    axes = torch.meshgrid(*(torch.arange(n) * SPACING for n in shape), indexing="ij")
    return torch.stack(axes)


def bodies_along_the_spine(atlas: Atlas, points: Tensor) -> list[int]:
    """Names of the bodies met from head to feet, on the line through their middles."""
    maker = Synthesiser(atlas)
    index, inside = maker._nearest(points)
    levels = maker._take("levels", index, inside, NO_LEVEL)
    regions = maker._take("regions", index, inside, 0)
    names: list[int] = []
    gap = True
    for region, level in zip(regions[:, 30, 40].flip(0), levels[:, 30, 40].flip(0), strict=True):
        if region == Region.BODY and gap:
            names.append(int(level))
        gap = region != Region.BODY
    return names


def test_a_vertebra_comes_twice_with_a_disc_between(atlas: Atlas) -> None:
    spine = Synthesiser(atlas).spine
    points = identity((140, 80, 80)) - torch.tensor([40 * SPACING, 0.0, 0.0])[:, None, None, None]
    assert bodies_along_the_spine(atlas, points) == [L1, L1 + 1, L1 + 2, L1 + 3]
    twice = make_transition(spine, 1, twice=True).applied(points)
    assert bodies_along_the_spine(atlas, twice) == [L1, L1 + 1, L1 + 1, L1 + 2, L1 + 3]


def test_a_vertebra_is_missing(atlas: Atlas) -> None:
    spine = Synthesiser(atlas).spine
    less = make_transition(spine, 2, twice=False).applied(identity(atlas.labels.shape))
    assert bodies_along_the_spine(atlas, less) == [L1, L1 + 1, L1 + 3]


def test_rare_anatomy_is_drawn_only_where_the_spine_varies() -> None:
    cervical = np.stack([np.linspace(100, 0, 5), np.zeros(5), np.zeros(5)], axis=1)
    rng = np.random.default_rng(0)
    assert random_transition(cervical, np.arange(5), rng) is None
    drawn = [random_transition(cervical, np.arange(17, 22), rng) for _ in range(20)]
    assert {jump.level for jump in drawn if jump is not None} <= {1, 3}
    assert len({jump.twice for jump in drawn if jump is not None}) == 2


def test_screws_run_through_the_arch_into_the_body_and_throw_streaks() -> None:
    spine = np.stack([np.array([200.0, 150.0, 100.0, 50.0]), np.full(4, 60.0), np.full(4, 90.0)], axis=1)
    coarse = [(torch.arange(n) + 0.5) * 2 * SPACING for n in (84, 60, 60)]
    points = torch.stack(torch.meshgrid(*coarse, indexing="ij"))
    rng, generator = np.random.default_rng(1), torch.Generator().manual_seed(1)
    metal = screws(points, spine, rng)
    assert tuple(metal.shape) == (168, 120, 120)
    touched = torch.nonzero(metal > 0.5).float() * SPACING
    beside = (touched[:, 2] - 90.0).abs()
    # Two rows of screws beside the midline, from the back of the arch into the body.
    assert 1.0 < float(beside.min()) < 15.0 < float(beside.max()) < 30.0
    assert float(touched[:, 1].min()) < 65.0
    assert 90.0 < float(touched[:, 1].max()) < 125.0
    plain = torch.full(metal.shape, 50.0)
    hu = add_metal(plain, metal, rng, generator)
    core = metal >= float(metal.max())
    assert float(metal.max()) > 0.9
    assert float(hu[core].max()) > 0.9 * METAL_HU
    free = (metal == 0) & (metal.amax(dim=(1, 2), keepdim=True) > 0.5)
    assert float(hu[free].std()) > 10.0
    untouched = metal.amax(dim=(1, 2)) == 0
    assert bool((hu[untouched] == 50.0).all())


def test_an_implant_lies_low_and_to_one_side() -> None:
    for seed in range(4):
        metal = implant((96, 64, 128), np.random.default_rng(seed))
        places = torch.nonzero(metal > 0.5).float()
        assert float(places[:, 0].mean()) < 30
        assert abs(float(places[:, 2].mean()) - 63.5) > 30


def test_spurs_grow_at_the_discs_and_belong_to_the_nearest_body(atlas: Atlas) -> None:
    regions, levels = torch.from_numpy(atlas.regions), torch.from_numpy(atlas.levels)
    free = torch.from_numpy((atlas.bone_depth == 0) & (atlas.labels != NOTHING_ID))
    field = torch.full(regions.shape, 2.0)
    spurs = grow_spurs(regions, levels, free, field, np.random.default_rng(0))
    places = torch.nonzero(spurs.where)
    assert len(places) > 50
    disc = torch.nonzero(regions == Region.DISC).float()
    for place in places[:: max(1, len(places) // 40)]:
        assert float((disc - place.float()).abs().amax(dim=1).min()) <= 2
        assert int(spurs.levels[tuple(place)]) in range(L1, L1 + 4)
    assert not bool((spurs.where & (regions == Region.CANAL)).any())
    assert bool((spurs.levels[~spurs.where] == NO_LEVEL).all())


def test_fused_discs_are_whole_discs(atlas: Atlas) -> None:
    regions, levels = torch.from_numpy(atlas.regions), torch.from_numpy(atlas.levels)
    for seed in range(5):
        fused = fused_discs(regions, levels, np.random.default_rng(seed))
        assert bool(fused.any())
        assert bool((regions[fused] == Region.DISC).all())


def test_arms_lie_outside_the_body_and_have_bones() -> None:
    hu = torch.full((32, 100, 220), -1000.0)
    outside = torch.ones_like(hu, dtype=torch.bool)
    outside[:, 20:80, 70:150] = False
    hu[~outside] = 40.0
    drawn = [add_arms(hu, outside, np.random.default_rng(seed)) for seed in range(4)]
    assert all(bool((arms[~outside] == 40.0).all()) for arms in drawn)
    assert any(float(arms[outside].max()) == 900.0 for arms in drawn)


def test_volumes_with_rare_anatomy_carry_the_levels_of_what_they_show(
    atlas: Atlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.vertebrae.training.deformation.TRANSITION_SHARE", 1.0)
    sample, crops = Synthesiser(atlas).draw(3)
    assert crops == []
    shown = set(torch.unique(sample.levels[sample.regions == Region.BODY]).tolist())
    assert shown <= set(range(L1, L1 + 4))
    assert shown


def test_a_given_field_of_view_has_rare_anatomy_only_when_asked(atlas: Atlas, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spines that stand for usual ones must be usual, whatever chance says."""
    monkeypatch.setattr("models.vertebrae.training.deformation.TRANSITION_SHARE", 1.0)
    maker = Synthesiser(atlas)
    view = FieldOfView((128, 64, 64), (75.0, 60.0, 60.0))
    usual = maker.draw(3, view=view)[1]
    rare = maker.draw(3, view=view, transition=make_transition(maker.spine, 1, twice=True))[1]
    assert len(usual) == 2
    assert rare == []
