"""What the published constants of Comp2Comp make of a scan: an independent figure beside the reading's own.

Another measurand than the trabecular region: the mean of whole vertebrae, cortex and posterior elements
included, after a two-point rescaling on fat and air (docs/science.md §2.7 e, §2.9 [C]). Written from that
description. It is for comparison between methods, never a diagnosis, and no T-score is derived from it.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from models.anatomy import Level
from operators.density.results import HOUNSFIELD, ComparatorFigure
from operators.quality.ct_numbers import air_attenuation, fat_attenuation
from operators.reading.case import Case
from operators.reading.quantity import Measured, Withheld
from operators.reading.reasons import Reason

LEVELS = (Level.L1, Level.L2, Level.L3, Level.L4)
AREAL_SLOPE, AREAL_INTERCEPT = 0.002533809257, 0.2298020484
"""g/cm2 per rescaled HU, and g/cm2 (docs/science.md §2.9 [C])."""
LIMIT_HU = 300.0
"""Its one limit: below it the method calls a spine abnormal (docs/science.md §2.9 [C])."""
FAT_HU, AIR_HU = -95.0, -1000.0
AIR_RANGE_HU = (-1050.0, -950.0)
"""To these fat and air are rescaled; air measured outside of the range ends it (docs/science.md §2.7 e [C])."""
UNIT = "g/cm2"
METHOD = "Comp2Comp, whole vertebrae L1–L4, constants of its public source code"
NOTE = (
    "For comparison between methods only: another measurand than the trabecular region, constants not validated "
    "here; no T-score and no diagnosis."
)


def areal_density(rescaled: float) -> float:
    """The method's estimate, g/cm2, of a mean attenuation after rescaling, HU."""
    return AREAL_SLOPE * rescaled + AREAL_INTERCEPT


def comparator_figure(case: Case) -> ComparatorFigure | Withheld:
    """The figure of a case, or why the method gives none."""
    gate = case.reading.withholding("density")
    if gate is not None:
        return Withheld(code=gate.code, reason=gate.reason)
    if case.segmentation is None:
        return Withheld(code=Reason.NO_SPINE, reason="No vertebra was found.")
    air, fat = air_attenuation(case.volume), fat_attenuation(case.volume)
    if air is None or fat is None:
        missing = "air" if air is None else "fat"
        return Withheld(
            code=Reason.REFERENCE_TISSUES, reason=f"The comparator rescales on air and fat; no {missing} in view."
        )
    if not AIR_RANGE_HU[0] <= air <= AIR_RANGE_HU[1]:
        return Withheld(code=Reason.HU_VALIDITY, reason=f"Air has {air:.0f} HU; the comparator takes -1050 to -950 HU.")
    whole = {v.number: v.level for v in case.reading.vertebrae if v.complete and v.level in LEVELS}
    labels = case.segmentation.labels.array
    found = ndimage.mean(case.volume.array, labels, list(whole)) if whole else []
    present = set(np.unique(labels).tolist())
    means = {level: float(m) for (number, level), m in zip(whole.items(), found, strict=True) if number in present}
    if not means:
        return Withheld(code=Reason.NO_LEVEL, reason="None of L1 to L4 is completely in view.")
    slope = (FAT_HU - AIR_HU) / (fat - air)
    rescaled = float(np.mean([slope * (mean - air) + AIR_HU for mean in means.values()]))
    return ComparatorFigure(
        method=METHOD,
        attenuation=Measured(value=round(rescaled, 1), unit=HOUNSFIELD),
        areal_density=Measured(value=round(areal_density(rescaled), 3), unit=UNIT),
        below_limit=rescaled < LIMIT_HU,
        levels=tuple(means),
        note=NOTE,
    )
