"""Which candidates are vertebrae: the row that the chain finds, and those that differ from it in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from models.anatomy import Level, left_out
from models.vertebrae.names.levels import MISSED, TURN_WEIGHT, Candidate, Link, presence

CLOSE = 12.0
"""Logarithm of the odds up to which a row is weighed beside the likeliest one."""


@dataclass(frozen=True)
class Row:
    """Which candidates are vertebrae.

    Attributes:
        kept: Their indices, from head to feet.
        steps: Levels from each to the next: 1 where they follow each other.
        log_odds: What speaks for it beside the names.
    """

    kept: tuple[int, ...]
    steps: tuple[int, ...]
    log_odds: float


def rows_beside(candidates: Sequence[Candidate], first: Sequence[Link]) -> list[Row]:
    """The row of a chain, and those that differ from it in one place: a candidate more or less, a vertebra not seen.

    Args:
        candidates: From head to feet.
        first: The chain.
    """
    kept = tuple(named.index for named in first)
    steps = tuple(_count(upper.level, lower.level) for upper, lower in pairwise(first))
    rows = [_row(candidates, kept, steps)]
    for place in range(len(steps)):
        for change in (-1, 1):
            if steps[place] + change >= 1:
                rows.append(_row(candidates, kept, (*steps[:place], steps[place] + change, *steps[place + 1 :])))
    for place in range(1, len(kept) - 1):
        for joined in {1, steps[place - 1] + steps[place]}:
            fewer = (*kept[:place], *kept[place + 1 :])
            rows.append(_row(candidates, fewer, (*steps[: place - 1], joined, *steps[place + 1 :])))
    for index in range(kept[0] + 1, kept[-1]):
        if index not in kept:
            place = sum(other < index for other in kept)
            more = (*kept[:place], index, *kept[place:])
            rows.append(_row(candidates, more, (*steps[: place - 1], 1, 1, *steps[place:])))
    best = max(row.log_odds for row in rows)
    return [row for row in rows if row.log_odds > best - CLOSE]


def _count(upper: Level, lower: Level) -> int:
    """Levels from one name to another; rare roads count as direct ones."""
    return 1 + len(left_out(upper, lower)) if (upper, lower) not in _DIRECT else 1


_DIRECT = ((Level.T11, Level.L1), (Level.L4, Level.S1))


def _row(candidates: Sequence[Candidate], kept: tuple[int, ...], steps: tuple[int, ...]) -> Row:
    """A row with what its candidates' strengths and the phase between them say."""
    odds = sum(presence(candidates[index]) for index in kept)
    for upper, lower, step in zip(kept, kept[1:], steps, strict=False):
        turned = abs(candidates[lower].turns - candidates[upper].turns - step)
        odds += MISSED * (step - 1) - TURN_WEIGHT * min(turned, 3.0)
    return Row(kept, steps, float(odds))
