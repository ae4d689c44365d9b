"""The engine's ways of computing: the same reading in every precision, in tiles and on a device that is given."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
import torch

from models.compute import Compute
from models.engine import SpineSegmentation
from models.vertebrae.engine import VertebraNetwork
from models.vertebrae.evaluation.references import read_reference
from models.vertebrae.inference import LARGEST_PLANE, LARGEST_TILE, OVERLAP, tile_ranges, tile_size
from models.volume.grid import Axis, Grid
from models.volume.painting import Canvas, Patch

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def lumbar(shared_data: Path) -> hd.Volume:
    return read_reference(shared_data, "lumbar_3mm").volume


@pytest.fixture(scope="module")
def exact(lumbar: hd.Volume) -> SpineSegmentation:
    return VertebraNetwork(Compute(CPU, None)).segment(lumbar)


@pytest.mark.data
def test_bfloat16_gives_the_reading_of_float32(lumbar: hd.Volume, exact: SpineSegmentation) -> None:
    fast = VertebraNetwork(Compute(CPU, torch.bfloat16)).segment(lumbar)
    assert [v.level for v in fast.vertebrae] == [v.level for v in exact.vertebrae]
    assert [v.complete for v in fast.vertebrae] == [v.complete for v in exact.vertebrae]
    assert (fast.numbering, fast.anchors) == (exact.numbering, exact.anchors)
    for quick, slow in zip(fast.vertebrae, exact.vertebrae, strict=True):
        assert np.linalg.norm(np.subtract(quick.centroid, slow.centroid)) < 0.5
        assert abs(quick.confidence - slow.confidence) < 0.05
        first, second = fast.labels.array == quick.number, exact.labels.array == slow.number
        assert 2 * np.count_nonzero(first & second) / (first.sum() + second.sum()) > 0.98


@pytest.mark.data
def test_vertebrae_in_batches_as_on_a_gpu_give_the_same_masks(
    lumbar: hd.Volume, exact: SpineSegmentation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Compute, "batch", property(lambda self: 4))
    batched = VertebraNetwork(Compute(CPU, None)).segment(lumbar)
    assert batched.vertebrae == exact.vertebrae
    assert np.mean(batched.labels.array != exact.labels.array) < 1e-5


def test_processor_is_taken_where_there_is_no_gpu_and_a_gpu_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Compute.here().device.type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for own, precision in ((True, torch.bfloat16), (False, torch.float16)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, own=own: own)
        assert Compute.here() == Compute(torch.device("cuda"), precision)


def test_usual_torso_is_one_tile_and_a_long_wide_one_stays_within_the_memory_of_the_largest() -> None:
    assert tile_size(272, 112 * 160, 16) == 272  # 82 cm of a person 48 cm wide
    assert tile_size(288, 112 * 160, 16) == 176  # 86 cm: two halves that overlap
    for depth, plane in ((208, 112 * 160), (688, 112 * 160), (2000, LARGEST_PLANE), (160, LARGEST_PLANE)):
        tile = tile_size(depth, plane, 16)
        assert tile * plane <= LARGEST_TILE
        assert tile % 16 == 0 or tile == depth
        ranges = tile_ranges(depth, tile, OVERLAP)
        assert (ranges[0][1], ranges[-1][2]) == (0, depth)
        assert all(start + tile <= depth for start, _, _ in ranges)


def test_what_is_painted_in_a_part_lies_where_it_belongs_and_only_the_volumes_own_border_cuts() -> None:
    native = Grid(Axis(0.0, 1.0, 40), Axis(0.0, 1.0, 40), Axis(0.0, 1.0, 40))
    part = Grid(Axis(0.0, 2.0, 10), Axis(10.0, 2.0, 10), Axis(10.0, 2.0, 10))
    canvas = Canvas(native, part)
    everything = np.zeros((3, 10, 10, 10), np.float32)
    everything[0] = 1.0
    inner = Grid(Axis(6.0, 1.0, 10), Axis(12.0, 1.0, 10), Axis(12.0, 1.0, 10))
    canvas.paint_vertebra(1, Patch(everything, inner))
    assert not canvas.touches_border(1)
    canvas.paint_vertebra(2, Patch(everything, Grid(Axis(0.0, 0.4, 10), inner.y, inner.x)))
    assert canvas.touches_border(2)
    spike = np.zeros((3, 14, 3, 3), np.float32)
    spike[0, :, 1:, 1] = 1.0
    canvas.paint_vertebra(3, Patch(spike, Grid(Axis(0.0, 1.0, 14), Axis(25.0, 1.0, 3), Axis(25.0, 1.0, 3))))
    assert canvas.labels[0].max() == 3
    assert not canvas.touches_border(3)  # two voxels of 1 mm² are the ragged edge of a mask
    whole = canvas.whole(canvas.labels)
    assert whole.shape == (40, 40, 40)
    assert np.argwhere(whole == 1).min(axis=0).tolist() == [6, 12, 12]
    assert np.argwhere(whole == 1).max(axis=0).tolist() == [15, 21, 21]


@pytest.mark.parametrize("spacing", [0.34, 0.5, 1.0, 1.5])
def test_the_distance_of_a_body_to_the_border_is_judged_in_mm(spacing: float) -> None:
    """The mask of a cut body ends short of the border, by as many mm in thin slices as in thick ones."""
    count = round(60.0 / spacing)
    native = Grid(Axis(0.0, spacing, count), Axis(0.0, 1.0, 40), Axis(0.0, 1.0, 40))
    body = np.zeros((3, 20, 10, 10), np.float32)
    body[0] = 1.0
    across = (Axis(12.0, 1.0, 10), Axis(12.0, 1.0, 10))
    edge = -spacing / 2
    for number, gap in ((1, 0.4), (2, 6.0)):
        canvas = Canvas(native, native)
        canvas.paint_vertebra(number, Patch(body, Grid(Axis(edge + gap + 0.25, 0.5, 20), *across)))
        assert canvas.touches_border(number) is (number == 1)
