"""The second look answers for the box around the spine, and for nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.anatomy import Level
from models.compute import Compute
from models.engine import Numbering
from models.vertebrae.inference import run_coarse
from models.vertebrae.maps import CoarseMaps
from models.vertebrae.names.decode import Decoded, FoundVertebra
from models.vertebrae.names.numberings import Named
from models.vertebrae.network import CoarseNetwork
from models.vertebrae.second_look import look_again

COMPUTE = Compute.on_processor(fast=False)
SHAPE = (96, 112, 160)
"""A torso of 29 × 34 × 48 cm."""
FIRST, LAST = (70.0, 71.0, 80.0), (41.0, 69.0, 79.0)


@pytest.fixture(scope="module")
def network() -> CoarseNetwork:
    torch.manual_seed(0)
    return CoarseNetwork(widths=(8, 8, 8, 8, 8)).eval()


def spine(shape: tuple[int, int, int]) -> Decoded:
    """Two vertebrae, 87 mm apart."""
    found = tuple(
        FoundVertebra(Named(i, level, 1.0, level), 1.0, np.array(centre), 1.0, 30.0)
        for i, (level, centre) in enumerate(((Level.T12, FIRST), (Level.L3, LAST)))
    )
    return Decoded(found, np.full(shape, -1, np.int16), Numbering.RELATIVE, (), 9.0, ())


def asked(network: CoarseNetwork, shape: tuple[int, int, int]) -> tuple[np.ndarray, CoarseMaps]:
    hu = np.random.default_rng(1).normal(0, 200, shape).astype(np.float32)
    return hu, run_coarse(network, hu, COMPUTE)


def test_around_the_spine_stands_what_the_network_says_of_that_alone(network: CoarseNetwork) -> None:
    hu, maps = asked(network, SHAPE)
    before = maps.classes.copy()
    closer = look_again(network, hu, maps, spine(SHAPE), COMPUTE)
    assert closer is not None
    assert np.array_equal(maps.classes, before)
    changed = np.argwhere(np.any(closer.classes != maps.classes, axis=0))
    low, high = changed.min(axis=0), changed.max(axis=0) + 1
    # Vertebrae with their arches and ribs beside them lie within: 6 cm along, 5 cm before, 7 cm behind, 7 cm aside.
    reach = np.array([60.0, 50.0, 70.0]) / 3.0
    for centre in (FIRST, LAST):
        assert np.all(low <= np.maximum(np.array(centre) - reach, 0.0))
        assert np.all(high >= np.minimum(np.array(centre) + reach, SHAPE))
    box = tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))
    alone = run_coarse(network, np.ascontiguousarray(hu[box]), COMPUTE)
    half = tuple(slice(a // 2, b // 2) for a, b in zip(low.tolist(), high.tolist(), strict=True))
    for name, part in (("classes", box), ("phase", box), ("levels", half)):
        inside = getattr(closer, name)[(slice(None), *part)]
        assert np.allclose(inside, getattr(alone, name), atol=2e-3), name
    assert np.allclose(closer.offset[box], alone.offset, atol=0.05)


def test_a_view_that_is_narrow_already_is_not_looked_at_twice(network: CoarseNetwork) -> None:
    shape = (96, 80, 96)
    hu, maps = asked(network, shape)
    assert look_again(network, hu, maps, spine(shape), COMPUTE) is not None
    narrow = (80, 64, 64)
    hu, maps = asked(network, narrow)
    moved = spine(narrow)
    for vertebra in moved.vertebrae:
        vertebra.centre[:] -= np.array([10.0, 40.0, 48.0])
    assert look_again(network, hu, maps, moved, COMPUTE) is None
