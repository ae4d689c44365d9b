"""Evidence that a volume lies otherwise than its tags say, with a network that knows a spine better upside down."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from models.anatomy import Region
from models.compute import Compute
from models.vertebrae import pose
from models.vertebrae.maps import CoarseMaps
from models.vertebrae.network import CoarseNetwork


class OneWayUp:
    """Stands for the coarse network's run: a spine is known by so much, and by more with its head at the other end."""

    def __init__(self, gain: float) -> None:
        self.gain = gain

    def __call__(self, network: object, hu: np.ndarray, compute: object) -> CoarseMaps:
        known = 0.3 * (self.gain if hu[0, 0, 0] > hu[-1, 0, 0] else 1.0)
        half = tuple(n // 2 for n in hu.shape)
        classes = np.zeros((7, *hu.shape), np.float16)
        classes[Region.BODY] = 0.8
        levels = np.full((26, *half), known, np.float16)
        return CoarseMaps(classes, np.zeros((2, *hu.shape), np.float16), np.zeros(hu.shape, np.float32), levels)


@pytest.mark.parametrize(
    ("count", "gain", "is_doubted", "is_certain"),
    [
        (3, 1.02, False, False),
        (3, 2.5, True, False),
        (3, 3.2, True, True),
        (5, 1.4, True, False),
        (5, 1.7, True, True),
        (8, 1.1, True, False),
        (8, 1.2, True, True),
        (12, 1.02, False, False),
        (12, 1.1, True, False),
        (12, 1.2, True, True),
    ],
)
def test_few_vertebrae_need_stronger_evidence_that_they_lie_otherwise(
    monkeypatch: pytest.MonkeyPatch, count: int, gain: float, is_doubted: bool, is_certain: bool
) -> None:
    monkeypatch.setattr(pose, "run_coarse", OneWayUp(gain))
    # Rises towards the last slice, so that the network sees it the other way up only when it is turned.
    hu = np.broadcast_to(np.arange(96, dtype=np.float32)[:, None, None], (96, 48, 32))
    centres = np.array([[10.0 + 5 * n, 24.0, 16.0] for n in range(count)])
    network = cast(CoarseNetwork, SimpleNamespace(stride=16))

    found = pose.other_pose(network, hu, centres, cast(Compute, None))

    assert ("head and feet exchanged" in found.doubt) is is_doubted
    assert found.certain == ("head and feet exchanged" if is_certain else "")
