"""Contrast phase of a scan, from the image: the DICOM attributes are unreliable (docs/science.md §2.10 [V]).

The great vessel in front of the spine is looked for as the brightest homogeneous disc that continues from
level to level. It need not be the aorta itself: the brightest tube beside the spine bounds the aorta from
above, which is what one-sided rules need. Parenchyma beside the spine catches late phases, in which
vessels have faded and kidneys are still bright.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import highdicom as hd
import numpy as np
from scipy import ndimage

from models.engine import SpineSegmentation
from operators.body.resampling import Array, Flags, Sampler

GRID_MM = 2.0
LEAST_LEVELS = 2
"""Vertebrae beside which a vessel or an organ must be seen: oral contrast in the bowel is bright at one only."""
VESSEL_RADIUS_MM = 6.0
ORGAN_RADIUS_MM = 10.0
HOMOGENEOUS_HU = 45.0
"""Standard deviation within a disc above which it is not the inside of one organ (after smoothing)."""
NATIVE_BELOW_HU = 80.0
"""Limit below which unenhanced blood and organs lie, with room for noise. docs/science.md §2.10 puts the
unenhanced aorta below 60, but the brightest disc is taken here, which may be liver or muscle."""
ENHANCED_ABOVE_HU = 100.0
ARTERIAL_ABOVE_HU = 180.0
"""Limits of the aorta in the portal-venous and the arterial phase (docs/science.md §2.10 [P])."""


class Phase(StrEnum):
    """Contrast phase as far as this image shows it."""

    NATIVE = "native"
    VENOUS = "venous"
    ARTERIAL = "arterial"
    UNKNOWN = "unknown"

    @property
    def enhanced(self) -> bool:
        """True for the phases in which contrast surely raises the attenuation of bone."""
        return self in (Phase.VENOUS, Phase.ARTERIAL)


@dataclass(frozen=True)
class PhaseEstimate:
    """Contrast phase and the attenuation that it was told from.

    Attributes:
        phase: The phase.
        vessel: CT number of the brightest tube in front of the spine, HU; None where none was found.
        organ: CT number of the brightest homogeneous organ beside the spine, HU; None likewise.
    """

    phase: Phase
    vessel: float | None
    organ: float | None


def contrast_phase(volume: hd.Volume, segmentation: SpineSegmentation) -> PhaseEstimate:
    """Estimate the contrast phase of a scan.

    Args:
        volume: HU, shape ``(k, i, j)``, affine in mm (LPS).
        segmentation: On the same grid; its vertebrae tell where the great vessels run.

    Returns:
        The estimate; :attr:`Phase.UNKNOWN` where too little of the surroundings is in view.
    """
    centres = [np.array(v.centroid) for v in segmentation.vertebrae if v.level.region in "TL"]
    vessels, organs, seen = [], [], 0
    for centre in centres:
        around = Surroundings.of(volume, segmentation, centre, np.arange(-75.0, 50.1, GRID_MM))
        vessel, organ = _discs(around)
        seen += _has_vessels_in_view(around)
        if vessel is not None:
            vessels.append(vessel)
        if organ is not None:
            organs.append(organ)
    if len(vessels) < LEAST_LEVELS:
        return PhaseEstimate(Phase.UNKNOWN, None, None)
    # Most levels must agree: a bowel loop with oral contrast is bright at one level only.
    vessel = float(np.median(vessels))
    organ = float(np.median(organs)) if len(organs) >= LEAST_LEVELS else None
    phase = _phase(vessel, organ)
    if phase is Phase.NATIVE and seen < LEAST_LEVELS:
        # What is bright is seen wherever it is; that nothing is bright needs the place where it would be.
        phase = Phase.UNKNOWN
    return PhaseEstimate(phase, round(vessel, 1), None if organ is None else round(organ, 1))


def _phase(vessel: float, organ: float | None) -> Phase:
    if vessel >= ARTERIAL_ABOVE_HU:
        return Phase.ARTERIAL
    if vessel >= ENHANCED_ABOVE_HU:
        return Phase.VENOUS
    if vessel < NATIVE_BELOW_HU and (organ is None or organ < ENHANCED_ABOVE_HU):
        return Phase.NATIVE
    return Phase.UNKNOWN


def _discs(around: Surroundings) -> tuple[float | None, float | None]:
    """Brightest vessel-sized disc in front of, and organ-sized disc beside, one vertebra, HU."""
    front = (around.x > -35) & (around.x < 50) & (around.y < 5)
    beside = (np.abs(around.x) > 35) & (around.y > -55)
    return (
        _brightest(around.disc_means(front, VESSEL_RADIUS_MM)),
        _brightest(around.disc_means(beside, ORGAN_RADIUS_MM)),
    )


def _has_vessels_in_view(around: Surroundings) -> bool:
    """Whether the volume covers the place of aorta and vena cava in front of a vertebra."""
    place = (around.x > -20) & (around.x < 30) & (around.y > -50) & (around.y < -15)
    return float(around.outside[place].mean()) < 0.05


def _brightest(means: Array) -> float | None:
    return float(means.max()) if means.size else None


@dataclass(frozen=True)
class Surroundings:
    """Surroundings of one vertebra in the axial plane of the patient, averaged over 8 mm.

    Attributes:
        x, y: Left and posterior of the vertebra's centre, mm, shape ``(i, j)``.
        image: HU, same shape.
        outside: True where the volume has ended.
        blocked: True there and where bone is.
    """

    x: Array
    y: Array
    image: Array
    outside: Flags
    blocked: Flags

    @classmethod
    def of(cls, volume: hd.Volume, segmentation: SpineSegmentation, centre: Array, depth: Array) -> Self:
        """Sample the surroundings of a point.

        Args:
            volume: HU, affine in mm (LPS).
            segmentation: On the same grid.
            centre: LPS mm.
            depth: Posterior positions from the centre, mm, ``GRID_MM`` apart.
        """
        lateral = np.arange(-100.0, 100.1, GRID_MM)
        layers = np.arange(-4.0, 4.1, 2.0)
        grid = np.stack(np.meshgrid(lateral, depth, layers, indexing="ij"), axis=-1) + centre
        corners = grid.reshape(-1, 3)[[0, -1]]
        picture = Sampler(volume, corners, 6.0, order=1).at(grid)
        bone = Sampler(segmentation.labels, corners, 6.0, order=1).at(grid)
        outside = np.asarray(~np.isfinite(picture).all(axis=2))
        blocked = outside | ndimage.binary_dilation((np.nan_to_num(bone) > 0).any(axis=2), iterations=2)
        x, y = np.meshgrid(lateral, depth, indexing="ij")
        return cls(x, y, np.nan_to_num(picture, nan=-1000.0).mean(axis=2), outside, blocked)

    def disc_means(self, window: Flags, radius: float) -> Array:
        """Means of all homogeneous discs that lie within ``window`` and touch nothing blocked, HU."""
        reach = int(radius // GRID_MM)
        offsets = np.arange(-reach, reach + 1) * GRID_MM
        disc = (offsets[:, None] ** 2 + offsets**2 <= radius**2).astype(float)
        disc /= disc.sum()
        mean = ndimage.convolve(self.image, disc, mode="nearest")
        variance = ndimage.convolve(self.image**2, disc, mode="nearest") - mean**2
        homogeneous = np.sqrt(np.maximum(variance, 0.0)) < np.maximum(HOMOGENEOUS_HU, 0.15 * mean)
        clear = ndimage.convolve(self.blocked.astype(float), disc, mode="constant", cval=1.0) < 1e-6
        usable = window & homogeneous & clear & (mean > -20.0) & (mean < 700.0)
        return np.asarray(mean[usable])
