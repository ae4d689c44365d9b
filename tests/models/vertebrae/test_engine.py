from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
import torch

from models.anatomy import Region
from models.engine import Numbering
from models.vertebrae.belief import FILE as BELIEF_FILE
from models.vertebrae.belief import Belief
from models.vertebrae.engine import VertebraNetwork
from models.vertebrae.inference import tile_ranges
from models.vertebrae.names.shape import FILE as SHAPE_FILE
from models.vertebrae.network import CoarseNetwork, normalise_hu
from models.vertebrae.weights import COARSE_FILE, load_coarse
from models.weights import WeightsError


@pytest.fixture(scope="module")
def engine() -> VertebraNetwork:
    return VertebraNetwork()


def volume(array: np.ndarray, spacing: float = 3.0) -> hd.Volume:
    return hd.Volume(array, np.diag([spacing, spacing, spacing, 1.0]), coordinate_system="PATIENT")


@pytest.mark.parametrize(
    "array",
    [
        np.full((40, 40, 40), -1024, np.int16),
        np.full((40, 40, 40), np.nan, np.float32),
        np.full((1, 64, 64), -1024, np.int16),
        np.zeros((20, 30, 40), np.int16),
        np.full((12, 40, 40), 3071, np.int16),
    ],
    ids=["air", "nan", "one slice", "water", "metal"],
)
def test_what_holds_no_spine_gives_an_empty_segmentation_with_a_reason(
    engine: VertebraNetwork, array: np.ndarray
) -> None:
    result = engine.segment(volume(array))
    assert result.vertebrae == ()
    assert result.numbering is Numbering.NONE
    assert result.remarks
    assert result.labels.spatial_shape == array.shape
    assert result.labels.array.dtype == np.uint8
    assert not result.labels.array.any()


def test_noise_gives_no_exception_and_keeps_the_grid_in_any_orientation(engine: VertebraNetwork) -> None:
    rng = np.random.default_rng(0)
    array = rng.normal(40, 300, (30, 44, 36)).astype(np.float32)
    array[:3] = np.nan
    turned = volume(array).to_patient_orientation("RAF")
    first, second = engine.segment(turned), engine.segment(turned)
    assert first.labels.geometry_equal(turned)
    assert np.array_equal(first.labels.array, second.labels.array)
    assert np.array_equal(first.regions.array, second.regions.array)
    assert first.vertebrae == second.vertebrae


def test_digest_is_that_of_what_decides_the_result() -> None:
    coarse_only = VertebraNetwork(fine=False, belief=Belief())
    assert coarse_only.digest == hashlib.sha256(COARSE_FILE.read_bytes() + SHAPE_FILE.read_bytes()).hexdigest()
    believed = VertebraNetwork(fine=False)
    assert believed.digest == (
        hashlib.sha256(COARSE_FILE.read_bytes() + SHAPE_FILE.read_bytes() + BELIEF_FILE.read_bytes()).hexdigest()
    )


def test_tiles_answer_for_every_slice_once() -> None:
    for depth in (32, 160, 176, 400, 1024):
        ranges = tile_ranges(depth, 160, 48)
        assert ranges[0][1] == 0
        assert ranges[-1][2] == depth
        assert all(before[2] == after[1] for before, after in pairwise(ranges))
        assert all(start <= low < high <= start + 160 for start, low, high in ranges)


def test_foreign_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "coarse.pt"
    with pytest.raises(WeightsError, match="missing"):
        load_coarse(path)
    torch.save({"stage": "fine", "weights": {}}, path)
    with pytest.raises(WeightsError, match="belong to the stage 'fine'"):
        load_coarse(path)
    torch.save({"stage": "coarse", "weights": {"stem.weight": torch.zeros(3)}}, path)
    with pytest.raises(WeightsError, match="another shape"):
        load_coarse(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n", COARSE_FILE.read_bytes()[:9000]],
    ids=["empty", "a pointer of Git LFS", "cut off"],
)
def test_a_damaged_weights_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "coarse.pt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"coarse\.pt: the file is damaged"):
        load_coarse(path)


def test_bfloat16_and_float32_agree_on_what_voxels_are() -> None:
    network = load_coarse()
    generator = torch.Generator().manual_seed(0)
    image = normalise_hu(200.0 * torch.randn((1, 1, 32, 48, 48), generator=generator))
    with torch.inference_mode():
        exact = network(image).classes.argmax(dim=1)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            fast = network(image).classes.argmax(dim=1)
    assert float((exact == fast).float().mean()) > 0.98


def test_bundle_describes_the_network_that_is_there() -> None:
    folder = COARSE_FILE.parent.parent
    metadata = json.loads((folder / "configs" / "metadata.json").read_text())
    outputs = metadata["network_data_format"]["outputs"]
    network = CoarseNetwork()
    assert outputs["classes"]["num_channels"] == len(Region)
    assert outputs["levels"]["num_channels"] == network.levels.out_channels
    assert (folder / "docs" / "model_card.md").exists()
