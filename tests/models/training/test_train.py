"""Training: from several pools, written down, and taken up again where it stopped."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models.vertebrae.names.levels import TRAINED
from models.vertebrae.network import LEVEL_COUNT
from models.vertebrae.training.atlas import build_atlas
from models.vertebrae.training.pool import write_sample
from models.vertebrae.training.synthesis import Synthesiser
from models.vertebrae.training.train import Recipe, Training
from models.vertebrae.weights import COARSE_FILE, WeightsError, export, load_coarse, load_fine
from tests.models import built

RECIPE = Recipe("fine", minutes=0.05, threads=2)


@pytest.fixture(scope="module")
def pools(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two pools with a sample each."""
    maker = Synthesiser(build_atlas("built", built.label_map()))
    folders = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
    for seed, folder in enumerate(folders, start=5):
        write_sample(folder / f"{seed:08d}.npz", *maker.draw(seed, fine_crops=1))
        (folder / "data.json").write_text(json.dumps({f"labels/body{seed}_labels.nii.gz": "0"}))
    return folders


def lines(run: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_training_goes_on_where_it_stopped_and_says_what_it_saw(pools: list[Path], tmp_path: Path) -> None:
    first = Training(RECIPE, pools, tmp_path)
    first.complete()
    assert first.step > 0
    second = Training(RECIPE, pools, tmp_path)
    assert (second.step, second.elapsed) == (first.step, first.elapsed)
    second.complete()  # its minutes are used up
    assert second.step == first.step
    for old, new in zip(first.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(old, new)
    export(first.checkpoint, tmp_path / "fine.pt")
    for averaged, loaded in zip(first.average.parameters(), load_fine(tmp_path / "fine.pt").parameters(), strict=True):
        assert torch.allclose(averaged, loaded, atol=1e-3)  # shipped in half precision
    begun, resumed = lines(tmp_path)[0], lines(tmp_path)[-1]
    assert begun["recipe"] == {**vars(RECIPE)}
    assert set(begun["data"]) == {"labels/body5_labels.nii.gz", "labels/body6_labels.nii.gz"}  # type: ignore[call-overload]
    assert resumed["resumed"] == first.step
    assert resumed["data"] == begun["data"]


def test_same_seed_gives_the_same_training(pools: list[Path], tmp_path: Path) -> None:
    losses = [Training(RECIPE, pools, tmp_path / name).advance() for name in ("a", "b")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    other = Training(Recipe("fine", 0.05, seed=2), pools, tmp_path / "c").advance()
    assert other != pytest.approx(losses[0], rel=1e-3)


def test_a_run_may_begin_with_shipped_weights_and_answers_as_they_do(pools: list[Path], tmp_path: Path) -> None:
    """The level head has had a class for C1 to C4 from the first, so that old weights go on without a change."""
    shipped = load_coarse()
    begun = Training(Recipe("coarse", 0.05), pools, tmp_path, start=COARSE_FILE)
    assert all(parameter.requires_grad for parameter in begun.network.parameters())
    image = torch.randn((1, 1, 32, 32, 32), generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        old, new, averaged = (network(image) for network in (shipped, begun.network.eval(), begun.average.eval()))
    assert old.levels.shape[1] == LEVEL_COUNT == len(TRAINED) + 1
    for answer in (new, averaged):
        assert torch.equal(old.levels, answer.levels)
        assert torch.equal(old.classes, answer.classes)
    assert lines(tmp_path)[0]["start"] == hashlib.sha256(COARSE_FILE.read_bytes()).hexdigest()
    with pytest.raises(WeightsError, match=r"they belong to the stage 'coarse', not to 'fine'"):
        Training(Recipe("fine", 0.05), pools, tmp_path / "other", start=COARSE_FILE)


def test_every_pool_is_drawn_from_as_often_however_few_samples_it_has(pools: list[Path], tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(9):
        (many / f"{number:08d}.npz").symlink_to(next(pools[0].glob("*.npz")))
    training = Training(RECIPE, [many, pools[1]], tmp_path / "run")
    training.files = [sorted(pool.glob("*.npz")) for pool in training.pools]
    rng = np.random.default_rng(0)
    drawn = [training._file(rng).parent == many for _ in range(400)]
    assert 160 < sum(drawn) < 240


def test_a_pool_without_samples_is_named(pools: list[Path], tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match=r"empty holds no samples: fill it with models\.vertebrae\.training\.pool"):
        Training(RECIPE, [pools[0], empty], tmp_path / "run").complete()
