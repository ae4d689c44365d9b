"""Which vertebrae a reader should see first: they decide the key slices of every fall-back object."""

from __future__ import annotations

from models.anatomy import Level
from operators.reading.reading import Density, DensityCategory, Measured, SpineReading, Vertebra
from operators.results.table import FRACTURE_SIGN, grade_sign


def key_vertebrae(reading: SpineReading) -> tuple[Vertebra, ...]:
    """The vertebrae worth a look, from head to feet.

    Those with a fracture or a lesser or doubtful deformity; the one whose density decided, else the measured
    one nearest to the middle of the measured ones; where there is neither, the middle one of all, so that a
    negative result has its picture too.
    """
    vertebrae = reading.vertebrae
    if not vertebrae:
        return ()
    chosen = {v.number for v in vertebrae if grade_sign(v)[0]}
    category = reading.density_category
    measured = _measured(reading)
    decided = [v for v in measured if isinstance(category, DensityCategory) and v.level is category.level]
    if decided or measured:
        chosen.add((decided or [measured[len(measured) // 2]])[0].number)
    if not chosen:
        chosen.add(vertebrae[len(vertebrae) // 2].number)
    return tuple(v for v in vertebrae if v.number in chosen)


def viewed_vertebrae(reading: SpineReading, most: int) -> tuple[Vertebra, ...]:
    """The vertebrae to be shown in axial views, from head to feet.

    Fractures first, then the other key vertebrae, then measured ones from L2 outwards, up to ``most``.
    """
    key = key_vertebrae(reading)
    fractured = [v for v in key if grade_sign(v)[0] == FRACTURE_SIGN]
    measured = sorted(_measured(reading), key=lambda v: abs(v.level.rank - Level.L2.rank))
    chosen = list(dict.fromkeys(v.number for v in (*fractured, *key, *measured)))[:most]
    return tuple(v for v in reading.vertebrae if v.number in chosen)


def _measured(reading: SpineReading) -> list[Vertebra]:
    return [v for v in reading.vertebrae if isinstance(v.density, Density) and isinstance(v.density.mean, Measured)]
