"""What a voxel of a label map can be, and the numbers that stand for it here.

Inside this package a label map carries the ids of TotalSegmentator v2 for the spine (sacrum 25, S1 26,
L5 27 … C1 50, spinal cord 79, ribs 92 to 115), because the geometry that splits a vertebra speaks
them. A network's own ids are translated by its label table.
"""

from __future__ import annotations

import re

from models.anatomy import Level

SACRUM = 25
CANAL = 79
RIB = 92
DISC = 117
_USUAL = [level for level in Level if level not in (Level.T13, Level.L6)]
ID_OF = {level: 50 - place for place, level in enumerate(_USUAL)} | {Level.T13: 118, Level.L6: 119}
"""Id of every vertebra."""
LEVEL_OF = {number: level for level, number in ID_OF.items()}
_PLAIN = {"sacrum": SACRUM, "spinal_cord": CANAL, "canal": CANAL, "rib": RIB, "disc": DISC}
ALLOWED = f"a level ({Level.C1} … {Level.S1}), {', '.join(_PLAIN)}"
"""What a label table may name, in words."""


def structure_of(name: str) -> int | None:
    """The id of a structure by its name, or None where it is none of the spine.

    Args:
        name: As in a label table (``L3``, ``sacrum``) or as TotalSegmentator calls it
            (``vertebrae_L3``, ``rib_left_12``).
    """
    short = name.strip().removeprefix("vertebrae_")
    if short.upper() in Level.__members__:
        return ID_OF[Level(short.upper())]
    if re.fullmatch(r"rib_(left|right)_\d+", short):
        return RIB
    return _PLAIN.get(short.lower())
