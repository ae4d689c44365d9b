"""Which candidates are vertebrae: the best chain of names over the candidates along the spine.

Candidates are places where the votes of the voxels meet, ordered from head to feet. Each brings
evidence for every level. The chain may leave a candidate out, may jump over a vertebra that nobody
saw, and may take the rare roads of anatomy (eleven or thirteen thoracic, four or six lumbar), each
at its price. It says which candidates stand in the row; what they are called is weighed in
:mod:`models.vertebrae.names.numberings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.anatomy import RARE_LEVELS, Level, left_out

Floats = npt.NDArray[np.floating[Any]]

LEVELS = tuple(Level)
"""All names, head first: the states of the chain."""
TRAINED = tuple(level for level in LEVELS if level not in RARE_LEVELS)
"""The names that the network knows, in the order of its level head; without the rest of the sacrum."""

MISSED = -8.0
"""Log price of a vertebra that is there and was not seen."""
RARE = -9.0
"""Log price of thirteen or eleven thoracic, or six or four lumbar vertebrae. Within the evidence of T13 and L6 it is
weighed as that evidence is: less in long views, so that these rather turn to a rare count, which is then withheld."""
DROPPED = -15.0
"""Log price of leaving out a candidate of full strength."""
SPACING_SIGMA = 0.22
"""Standard deviation of the logarithm of a distance between neighbours, around the expected one."""
TURN_WEIGHT = 8.0
"""Log price of one whole turn of the phase more or less than the names claim."""
IMPOSSIBLE = -1e9


@dataclass(frozen=True)
class Candidate:
    """A place that may be the centre of a vertebra.

    Attributes:
        position: Along the spine in mm, growing towards the feet.
        strength: Votes relative to a typical vertebra there, 1 = full.
        evidence: Log-likelihood ratio of every level in ``LEVELS`` against knowing nothing.
        turns: Turns of the phase from the head to here.
    """

    position: float
    strength: float
    evidence: Floats
    turns: float


@dataclass(frozen=True)
class Link:
    """A candidate that the best chain keeps.

    Attributes:
        index: Which candidate.
        level: Its name in the chain.
    """

    index: int
    level: Level


def spread_evidence(trained: Floats) -> Floats:
    """Evidence for all ``LEVELS`` from that for the ``TRAINED`` ones.

    T13 looks like T12 or L1, and L6 like L5, so they share that evidence and pay for being rare.
    """
    by_name = dict(zip(TRAINED, trained.tolist(), strict=True))
    by_name[Level.T13] = max(by_name[Level.T12], by_name[Level.L1]) + RARE
    by_name[Level.L6] = by_name[Level.L5] + RARE
    return np.array([by_name[level] for level in LEVELS])


def _steps() -> tuple[npt.NDArray[np.int64], Floats]:
    """Vertebrae between two names (0 = not in this order), and the log price of that road."""
    count = len(LEVELS)
    distance = np.zeros((count, count), np.int64)
    price = np.full((count, count), IMPOSSIBLE)
    for first in range(count):
        for second in range(first + 1, count):
            # A rare vertebra between two others is left out unless one of them is it.
            distance[first, second] = 1 + len(left_out(LEVELS[first], LEVELS[second]))
            price[first, second] = MISSED * (distance[first, second] - 1)
    return distance, price


def _short_roads() -> Floats:
    """Log price of following directly although a vertebra lies between: eleven thoracic, four lumbar."""
    price = np.full((len(LEVELS), len(LEVELS)), IMPOSSIBLE)
    price[Level.T11.rank, Level.L1.rank] = RARE
    price[Level.L4.rank, Level.S1.rank] = RARE
    return price


_DISTANCE, _PRICE = _steps()
_SHORT = _short_roads()


def expected_spacing(rank: npt.NDArray[np.int64]) -> Floats:
    """Usual distance in mm from a vertebra's centre to the next one's below, by rank from C1 = 0."""
    ranks = np.array([0, 6, 7, 13, 19, 20, 25, 26])
    heights = np.array([17.0, 18.0, 20.0, 24.0, 30.0, 32.0, 36.0, 35.0])
    return np.asarray(np.interp(rank, ranks, heights))


_USUAL = np.array([[expected_spacing(np.arange(a, max(b, a + 1))).mean() for b in range(27)] for a in range(27)])


def _transition(upper: Candidate, lower: Candidate, size: float) -> Floats:
    """Log price of every pair of names for two candidates that follow each other."""
    gap = np.log(max(lower.position - upper.position, 1.0))
    turns = lower.turns - upper.turns
    usual = _price(_DISTANCE, _PRICE, gap, turns, size)
    return np.asarray(np.maximum(usual, _price(np.ones_like(_DISTANCE), _SHORT, gap, turns, size)))


def _price(distance: npt.NDArray[np.int64], road: Floats, log_gap: float, turns: float, size: float) -> Floats:
    """Log price of a road, given the gap and the turns that were seen."""
    stretched = (log_gap - np.log(np.maximum(distance, 1) * _USUAL * size)) / SPACING_SIGMA
    turned = np.abs(turns - distance)
    return np.asarray(road - 0.5 * np.minimum(stretched**2, 36.0) - TURN_WEIGHT * np.minimum(turned, 3.0))


def presence(candidate: Candidate) -> float:
    """What keeping a candidate is worth against dropping it."""
    return float(np.clip(25.0 * (candidate.strength - 0.35), -4.0, -DROPPED))


def best_chain(candidates: Sequence[Candidate], size: float = 1.0) -> list[Link]:
    """The likeliest chain of names.

    Args:
        candidates: Ordered from head to feet.
        size: Size of this spine relative to the usual one.

    Returns:
        The candidates that it keeps, in order; empty when there are none.
    """
    if not candidates:
        return []
    own = np.array([candidate.evidence + presence(candidate) for candidate in candidates])
    forward = own.copy()
    origin: dict[tuple[int, int], tuple[int, int]] = {}
    for lower in range(1, len(candidates)):
        for upper in range(lower):
            reached = forward[upper][:, None] + _transition(candidates[upper], candidates[lower], size)
            arrival = reached.max(axis=0) + own[lower]
            for rank in np.flatnonzero(arrival > forward[lower]):
                forward[lower, rank] = arrival[rank]
                origin[(lower, int(rank))] = (upper, int(reached[:, rank].argmax()))
    last, name = np.unravel_index(int(forward.argmax()), forward.shape)
    path = [(int(last), int(name))]
    while path[-1] in origin:
        path.append(origin[path[-1]])
    return [Link(kept, LEVELS[rank]) for kept, rank in path[::-1]]
