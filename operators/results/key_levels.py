"""Which vertebrae a reader should see first: they decide the key slices of every fall-back object."""

from __future__ import annotations

from operators.biomarker import Flag, Weight
from operators.reading.reading import SpineReading
from operators.reading.vertebra import Vertebra
from operators.registered import BIOMARKERS
from operators.results.walk import flag_of

IN_THE_MIDDLE = Flag(Weight.PLAIN, "the middle of the spine, as nothing else deserves a look")


def key_vertebrae(reading: SpineReading) -> dict[int, Flag]:
    """The vertebrae worth a look, by number from head to feet, each with the reason.

    Those that a biomarker flags; where it flags none, the middle one of all, so that a negative result has its
    picture too.
    """
    flags = {vertebra.number: flag_of(reading, vertebra) for vertebra in reading.vertebrae}
    chosen = {number: flag for number, flag in flags.items() if flag is not None}
    if not chosen and reading.vertebrae:
        return {reading.vertebrae[len(reading.vertebrae) // 2].number: IN_THE_MIDDLE}
    return chosen


def viewed_vertebrae(reading: SpineReading, most: int) -> tuple[Vertebra, ...]:
    """The vertebrae to be shown in axial views, from head to feet.

    Findings first, then the other key vertebrae, then what the biomarkers name, up to ``most``.
    """
    key = key_vertebrae(reading)
    findings = [number for number, flag in key.items() if flag.weight is Weight.FINDING]
    named = [vertebra.number for one in BIOMARKERS for vertebra in one.views(reading)]
    chosen = list(dict.fromkeys([*findings, *key, *named]))[:most]
    return tuple(vertebra for vertebra in reading.vertebrae if vertebra.number in chosen)
