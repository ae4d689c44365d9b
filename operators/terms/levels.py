"""Which levels a convention speaks of."""

from __future__ import annotations

from models.anatomy import Level

GRADED = tuple(level for level in Level if Level.T4.rank <= level.rank <= Level.L4.rank)
"""T4 to L4, with T13 where there is one: the levels that Genant's grades and the deformity index are made for
(docs/science.md §3.1, §3.3)."""
OPTIONAL = (Level.T13,)
"""Levels that most people do not have."""


def level_names(levels: tuple[Level, ...]) -> str:
    """The levels as a list for a sentence."""
    return ", ".join(map(str, levels))
