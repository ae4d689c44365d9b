"""One palette for every object: the same level has the same colour in the SEG, the picture and the pages."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from models.anatomy import Level

RGB = tuple[int, int, int]

HUES: tuple[RGB, ...] = ((230, 159, 0), (86, 180, 233), (0, 180, 130), (240, 228, 66), (204, 121, 167))
"""Okabe and Ito's colours for colour-blind readers (https://jfly.uni-koeln.de/color/), the green a little lighter
so that it shows on CT. Vermilion is kept for fractures, and dark blue does not show."""
VERMILION: RGB = (213, 94, 0)
"""Findings only; no level has it."""
BADGE: RGB = (178, 68, 0)
"""Vermilion dark enough for white type."""
WHITE: RGB = (255, 255, 255)
_TINTS = (0.0, 0.30, 0.15, 0.45, 0.22, 0.38)
"""Share of white that is mixed into the hue, by the turn through the hues: no shade is darker than its hue, because
dark colours are lost on CT, and no two levels have the same."""


def _colour(level: Level) -> RGB:
    turn, place = divmod(level.rank, len(HUES))
    red, green, blue = (round(part + _TINTS[turn] * (255 - part)) for part in HUES[place])
    return red, green, blue


LEVEL_COLOURS: Mapping[Level, RGB] = MappingProxyType({level: _colour(level) for level in Level})
"""sRGB 0…255 per level; neighbours differ in hue."""
