"""Means over L1–L3, by the convention of spine QCT, in HU and in mg/cm3 (docs/science.md §2.3)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from models.anatomy import Level
from operators.density.results import ATTENUATION, DENSITY, HOUNSFIELD, MG_PER_CM3, Density, LevelMean
from operators.reading.quantity import Measured, Withheld
from operators.reading.reading import SpineReading
from operators.reading.reasons import Reason
from operators.reading.vertebra import Vertebra

LEVELS = (Level.L1, Level.L2, Level.L3)
LEAST_LEVELS = 2
"""Fewer levels make no mean (docs/science.md §2.3)."""
OUTLIER_HU = 30.0
"""A level this far from the mean of the others is left out (docs/science.md §2.3, by analogy with DXA [P])."""


def mean_of(vertebra: Vertebra) -> Measured | None:
    """Mean HU of one vertebra's trabecular region; None where it is withheld or was not measured."""
    density = vertebra.of(DENSITY)
    return density.mean if isinstance(density, Density) and isinstance(density.mean, Measured) else None


def attenuation_mean(reading: SpineReading) -> LevelMean | Withheld:
    """Mean HU of L1–L3 with outlying levels left out, or why there is none."""
    gate = reading.withholding("density")
    if gate is not None:
        return Withheld(code=gate.code, reason=gate.reason)
    return _mean({v.level: mean for v in reading.vertebrae if v.level in LEVELS and (mean := mean_of(v))}, HOUNSFIELD)


def calibrated_mean(reading: SpineReading) -> LevelMean | Withheld:
    """Mean mg/cm3 of the levels that the mean of HU has, or why there is none."""
    attenuation = reading.of(ATTENUATION)
    if not isinstance(attenuation, LevelMean):
        return attenuation or Withheld(code=Reason.NO_LEVEL, reason="No mean attenuation was measured.")
    chosen = [v for v in reading.vertebrae if v.level in attenuation.levels]
    values = {v.level: value for v in chosen if (value := _calibrated(v)) is not None}
    if len(values) < LEAST_LEVELS:
        return Withheld(code=Reason.NO_LEVEL, reason="Fewer than two of L1, L2 and L3 have a calibrated density.")
    mean = float(np.mean([value.value for value in values.values()]))
    # The calibration's error is common to all levels: it does not shrink with their number.
    errors = [value.uncertainty for value in values.values()]
    common = None if any(error is None for error in errors) else round(float(np.mean([e for e in errors if e])), 1)
    return LevelMean(
        value=Measured(value=round(mean, 1), unit=MG_PER_CM3, uncertainty=common),
        levels=tuple(values),
        left_out=tuple(level for level in LEVELS if level not in values),
        note=attenuation.note,
    )


def _calibrated(vertebra: Vertebra) -> Measured | None:
    density = vertebra.of(DENSITY)
    value = density.calibrated if isinstance(density, Density) else None
    return value if isinstance(value, Measured) else None


def _mean(values: Mapping[Level, Measured], unit: str) -> LevelMean | Withheld:
    if len(values) < LEAST_LEVELS:
        found = ", ".join(values) or "none"
        return Withheld(
            code=Reason.NO_LEVEL, reason=f"A mean needs two of L1, L2 and L3; measured: {found}. See the single levels."
        )
    kept = dict(values)
    outlier = _outlier(values)
    note = None
    if outlier is not None:
        del kept[outlier]
        note = f"{outlier} is left out: it differs from the mean of the others by {OUTLIER_HU:.0f} HU or more."
    numbers = [value.value for value in kept.values()]
    errors = [value.uncertainty or 0.0 for value in kept.values()]
    if len(kept) == LEAST_LEVELS and abs(numbers[0] - numbers[1]) >= OUTLIER_HU:
        note = f"The two levels differ by {abs(numbers[0] - numbers[1]):.0f} HU: check them for a lesion or a fracture."
    half = round(float(np.sqrt(np.square(errors).sum())) / len(kept), 1) if all(errors) else None
    return LevelMean(
        value=Measured(value=round(float(np.mean(numbers)), 1), unit=unit, uncertainty=half),
        levels=tuple(kept),
        left_out=tuple(level for level in LEVELS if level not in kept),
        note=note,
    )


def _outlier(values: Mapping[Level, Measured]) -> Level | None:
    """The one level that is far from the mean of the other two, where those agree."""
    if len(values) < LEAST_LEVELS + 1:
        return None
    apart = {
        level: abs(value.value - np.mean([other.value for key, other in values.items() if key is not level]))
        for level, value in values.items()
    }
    worst = max(apart, key=lambda level: apart[level])
    return worst if apart[worst] >= OUTLIER_HU else None
