"""Names of the spine, in the order in which they follow each other from head to feet.

A *level* is a claim of whoever names it: transitional anatomy and short fields of view make it
uncertain, so everything that carries a level also carries a confidence.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Level(StrEnum):
    """A vertebral level, by the name a radiologist writes in a report."""

    C1 = "C1"
    C2 = "C2"
    C3 = "C3"
    C4 = "C4"
    C5 = "C5"
    C6 = "C6"
    C7 = "C7"
    T1 = "T1"
    T2 = "T2"
    T3 = "T3"
    T4 = "T4"
    T5 = "T5"
    T6 = "T6"
    T7 = "T7"
    T8 = "T8"
    T9 = "T9"
    T10 = "T10"
    T11 = "T11"
    T12 = "T12"
    T13 = "T13"
    L1 = "L1"
    L2 = "L2"
    L3 = "L3"
    L4 = "L4"
    L5 = "L5"
    L6 = "L6"
    S1 = "S1"

    @property
    def rank(self) -> int:
        """Position from the head, C1 = 0."""
        return list(Level).index(self)

    @property
    def region(self) -> str:
        """``C``, ``T``, ``L`` or ``S``."""
        return self.value[0]


RARE_LEVELS = (Level.T13, Level.L6)
"""Names that few people have a vertebra for."""


def left_out(upper: Level, lower: Level) -> list[Level]:
    """The levels that everybody has between two names that follow each other."""
    return [level for level in tuple(Level)[upper.rank + 1 : lower.rank] if level not in RARE_LEVELS]


class Region(IntEnum):
    """What a voxel of the sub-region map is; the values are those stored in the array."""

    BACKGROUND = 0
    BODY = 1
    POSTERIOR_ELEMENTS = 2
    DISC = 3
    SACRUM = 4
    RIB = 5
    CANAL = 6


class Anchor(StrEnum):
    """What in the field of view fixes the numbering of the vertebrae."""

    SACRUM = "sacrum"
    LOWEST_RIB = "lowest rib"
    C2 = "C2"
