"""How a body that was left out is judged: by its true bodies, cut ones apart, and doubt apart from error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.anatomy import Level, Region
from models.engine import VertebraInstance
from models.vertebrae.training.held_out import as_volume, true_centres, verdicts
from models.vertebrae.training.synthesis import CoarseSample
from models.volume.orientation import nothing_found


def _neck() -> CoarseSample:
    """C3 to C5, cubes of 5 voxels of 3 mm, 6 voxels from centre to centre; the lower border cuts C5."""
    regions = torch.zeros((16, 12, 14), dtype=torch.uint8)
    levels = torch.full_like(regions, 255)
    for rank, middle in ((2, 13), (3, 7), (4, 1)):
        box = (slice(max(0, middle - 2), middle + 2), slice(4, 9), slice(5, 10))
        regions[box], levels[box] = int(Region.BODY), rank
    hu = torch.where(regions > 0, 200, 40).to(torch.int16)
    return CoarseSample(hu, regions, levels, torch.zeros_like(regions), torch.zeros_like(regions))


def test_bodies_that_a_border_cuts_are_not_judged() -> None:
    centres = true_centres(_neck())
    assert list(centres) == [Level.C3, Level.C4]
    assert centres[Level.C4] == pytest.approx(np.array([7.0, 6.0, 6.5]) * 3.0)
    volume = as_volume(_neck())
    index = np.argwhere((volume.array == 200) & (np.arange(16)[:, None, None] == 7)).mean(axis=0)
    place = (volume.affine @ [*index, 1.0])[:3]
    # LPS: the head lies up, as the first axis of the sample runs.
    assert place == pytest.approx((21.0, 18.0, 21.0))


@pytest.mark.parametrize(
    ("level", "alternative", "away", "verdict"),
    [
        (Level.C4, None, 0.0, "right"),
        (Level.C5, None, 0.0, "wrong"),
        (Level.C5, Level.C4, 0.0, "doubted, right"),
        (Level.C4, Level.C5, 5.0, "doubted, right"),
        (Level.C5, Level.C6, 0.0, "doubted, wrong"),
        (Level.C4, None, 13.0, "missed"),
    ],
)
def test_verdicts(level: Level, alternative: Level | None, away: float, verdict: str) -> None:
    sample = _neck()
    centre = true_centres(sample)[Level.C4]
    place = (float(centre[0]), float(centre[1]), float(centre[2]) + away)
    instance = VertebraInstance(1, level, 0.9, True, place, alternative)
    result = replace(nothing_found(as_volume(sample), ()), vertebrae=(instance,))
    assert verdicts(result, {Level.C4: centre}) == {Level.C4: verdict}
