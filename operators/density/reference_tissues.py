"""The patient's own air, fat, muscle and blood, as CT numbers for an internal calibration.

No cortical bone: as a reference it moves the result more than all others together (docs/science.md §2.7 d, §13.3).
"""

from __future__ import annotations

import highdicom as hd
import numpy as np

from models.engine import SpineSegmentation
from operators.body.resampling import Flags
from operators.density.attenuation_tables import Substance
from operators.quality.contrast_phase import GRID_MM, VESSEL_RADIUS_MM, Surroundings
from operators.quality.ct_numbers import air_attenuation, fat_attenuation

MUSCLE_RADIUS_MM = 8.0
LEAST_LEVELS = 2
"""A tissue seen beside fewer vertebrae than this is not believed."""


def reference_tissues(volume: hd.Volume, segmentation: SpineSegmentation) -> dict[Substance, float]:
    """Mean HU of the reference tissues that are in view.

    Blood is what fills homogeneous discs of the aorta's size right in front of the spine and to its left,
    muscle that of the erectors of the spine behind it; each is the median over the thoracic and lumbar vertebrae.

    Args:
        volume: HU, shape ``(k, i, j)``, affine in mm (LPS). Unenhanced: enhanced blood is no reference.
        segmentation: On the same grid.
    """
    tissues: dict[Substance, float] = {}
    air, fat = air_attenuation(volume), fat_attenuation(volume)
    if air is not None:
        tissues[Substance.AIR] = air
    if fat is not None:
        tissues[Substance.ADIPOSE] = fat
    blood, muscle = [], []
    for vertebra in segmentation.vertebrae:
        if vertebra.level.region not in "TL":
            continue
        around = Surroundings.of(volume, segmentation, np.array(vertebra.centroid), np.arange(-75.0, 80.1, GRID_MM))
        vessel = around.disc_means(_before(around), VESSEL_RADIUS_MM)
        erector = around.disc_means(_behind(around), MUSCLE_RADIUS_MM)
        if vessel.size:
            blood.append(float(np.median(vessel)))
        if erector.size:
            muscle.append(float(np.median(erector)))
    for substance, means in ((Substance.BLOOD, blood), (Substance.MUSCLE, muscle)):
        if len(means) >= LEAST_LEVELS:
            tissues[substance] = float(np.median(means))
    return tissues


def _before(around: Surroundings) -> Flags:
    return np.asarray((around.x > -4) & (around.x < 26) & (around.y > -42) & (around.y < -8))


def _behind(around: Surroundings) -> Flags:
    return np.asarray((np.abs(around.x) > 14) & (np.abs(around.x) < 55) & (around.y > 28) & (around.y < 70))
