"""Rare anatomy from usual anatomy: a vertebra twice, or one left out, with everything around it.

Six lumbar or thirteen thoracic vertebrae are in none of the label maps. They are made by reading the
atlas below a disc from one vertebra higher up (that vertebra then comes twice) or from one further down
(it is missing). The seam runs through a disc, where the anatomy of neighbours is nearly the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

TWICE_SHARE = 0.75
"""Share of the rare spines that have one vertebra more; the others have one less."""


@dataclass(frozen=True)
class Transition:
    """A jump in the atlas.

    Attributes:
        level: Which vertebra of the spine comes twice or is missing, counted from the head of the atlas.
        twice: True where it comes twice.
        seam: A point of the disc at which the jump happens, mm ``(z, y, x)``.
        down: Unit vector along the spine towards the feet.
        shift: What is added to atlas coordinates beyond the seam, mm ``(z, y, x)``.
    """

    level: int
    twice: bool
    seam: tuple[float, float, float]
    down: tuple[float, float, float]
    shift: tuple[float, float, float]

    def applied(self, points: Tensor) -> Tensor:
        """Atlas coordinates ``(3, z, y, x)`` in mm with the jump in them."""
        relative = [(points[axis] - self.seam[axis]) * self.down[axis] for axis in range(3)]
        beyond = relative[0] + relative[1] + relative[2] > 0
        moved = torch.stack([points[axis] + self.shift[axis] for axis in range(3)])
        return torch.where(beyond[None], moved, points)


def make_transition(spine: np.ndarray, level: int, twice: bool) -> Transition:
    """The jump that doubles or leaves out one vertebra.

    Args:
        spine: Centres of the bodies in mm ``(n, 3)``, head first.
        level: Which one, from 1 to n − 2: it needs a disc above and one below.
        twice: Whether it comes twice or not at all.
    """
    above = 0.5 * (spine[level - 1] + spine[level])
    below = 0.5 * (spine[level] + spine[level + 1])
    down = (spine[level + 1] - spine[level - 1]) / np.linalg.norm(spine[level + 1] - spine[level - 1])
    seam, shift = (below, above - below) if twice else (above, below - above)
    return Transition(level, twice, _triple(seam), _triple(down), _triple(shift))


def random_transition(spine: np.ndarray, levels: np.ndarray, rng: np.random.Generator) -> Transition | None:
    """Draw a jump at the end of the thoracic or in the lumbar spine; None where the atlas has neither.

    Args:
        spine: Centres of the bodies in mm ``(n, 3)``, head first.
        levels: Their levels, C1 = 0 (T12 = 18, L1 = 19).
        rng: Source of randomness.
    """
    twice = bool(rng.random() < TWICE_SHARE)
    inner = np.arange(1, len(spine) - 1)
    wanted = [i for i in inner if levels[i] in (17, 18, 20, 21, 22)]
    return make_transition(spine, int(rng.choice(wanted)), twice) if wanted else None


def _triple(vector: np.ndarray) -> tuple[float, float, float]:
    return float(vector[0]), float(vector[1]), float(vector[2])
