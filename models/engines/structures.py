"""What a label table of an engine may name, and the ids that stand for it."""

from __future__ import annotations

import re

from models.anatomy import Level
from models.label_ids import CORD_ID, DISC_ID, ID_OF, RIB_IDS, SACRUM_ID

_PLAIN = {
    "sacrum": SACRUM_ID,
    "spinal_cord": CORD_ID,
    "canal": CORD_ID,
    "rib": RIB_IDS[0],
    "disc": DISC_ID,
}
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
        return RIB_IDS[0]
    return _PLAIN.get(short.lower())
