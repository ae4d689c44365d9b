"""Which vertebrae a reader should see first: they decide the key slices of every fall-back object."""

from __future__ import annotations

from operators.reading import Deformity, Density, DensityCategory, Measured, SpineReading, Vertebra


def key_vertebrae(reading: SpineReading) -> tuple[Vertebra, ...]:
    """The vertebrae worth a look, from head to feet.

    Those with a fracture or a lesser or doubtful deformity; the one whose density decided, else the measured
    one nearest to the middle of the measured ones; where there is neither, the middle one of all, so that a
    negative result has its picture too.
    """
    vertebrae = reading.vertebrae
    if not vertebrae:
        return ()
    chosen = {v.number for v in vertebrae if _is_suspicious(v)}
    category = reading.density_category
    measured = [v for v in vertebrae if isinstance(v.density, Density) and isinstance(v.density.mean, Measured)]
    decided = [v for v in measured if isinstance(category, DensityCategory) and v.level is category.level]
    if decided or measured:
        chosen.add((decided or [measured[len(measured) // 2]])[0].number)
    if not chosen:
        chosen.add(vertebrae[len(vertebrae) // 2].number)
    return tuple(v for v in vertebrae if v.number in chosen)


def _is_suspicious(vertebra: Vertebra) -> bool:
    deformity = vertebra.deformity
    return isinstance(deformity, Deformity) and bool(deformity.grade or deformity.indeterminate)
