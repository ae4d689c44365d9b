"""What a reading says of bone density: CT numbers, mg/cm3 where a calibration is valid, and their class."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from models.anatomy import Level
from operators.reading.quantity import Frozen, Measured, Point, Quantity

HOUNSFIELD = "[hnsf'U]"
"""UCUM code of the Hounsfield unit."""
MG_PER_CM3 = "mg/cm3"
"""UCUM code of a volumetric bone mineral density. The phantom material is always said beside it."""


class Spectrum(StrEnum):
    """What the CT numbers of a series rest on, as far as its header says it."""

    CONVENTIONAL = "conventional"
    """One tube voltage behind the usual filter, or nothing that says otherwise."""
    TIN_FILTERED = "tin-filtered"
    PHOTON_COUNTING = "photon-counting"
    MIXED_ENERGIES = "mixed-energies"
    """Two tube voltages blended into one image."""
    MONO_ENERGETIC = "virtual mono-energetic"
    VIRTUAL_NON_CONTRAST = "virtual non-contrast"
    MATERIAL_MAP = "material map"
    """No attenuation at all: iodine, fat, uric acid, effective atomic number …"""
    CALCIUM_SUPPRESSED = "calcium-suppressed"
    """Attenuation from which calcium has been taken out, as bone is."""
    ELECTRON_DENSITY = "relative electron density"
    """Electron density on a scale like that of HU; soft tissue agrees, bone reads lower."""
    SUBTRACTION = "subtraction"
    """The difference of two images."""
    CONE_BEAM = "cone-beam"
    """CT numbers of a flat detector, which are not calibrated."""
    UNKNOWN = "derived in an unknown way"
    """The header says that the numbers are derived or in another unit, in words that are not known."""


class PhantomMaterial(StrEnum):
    """What a density in mg/cm3 is a density of. The two are not interchangeable (science.md §2.7: 10–20 %)."""

    HYDROXYAPATITE = "HA"
    POTASSIUM_PHOSPHATE = "K2HPO4"


class Density(Frozen):
    """CT numbers of the trabecular middle of one vertebral body.

    Attributes:
        mean, median, deviation: HU.
        volume: Volume of the region, cm3.
        voxels: Number of voxels in it.
        outline: The region's outline in the vertebra's own mid-sagittal plane, for the picture.
        calibrated: Mineral density, mg/cm3, by the calibration that the reading names; None where the site
            has none. Its uncertainty is that of the calibration and the scan together, where it is known.
    """

    mean: Quantity
    median: Quantity
    deviation: Quantity
    volume: Quantity
    voxels: int
    outline: tuple[Point, ...] = ()
    calibrated: Quantity | None = None


class DensityCategory(Frozen):
    """The class that trabecular attenuation falls into. Not a T-score and not a diagnosis.

    Attributes:
        rule: Id of the rule that decided, such as ``ISCD-L1-HU-100-150``.
        level: The vertebra whose value decided.
        value: That value, HU.
        category: The class.
        near_limit: True where the value lies within the guard band of a limit of the rule.
        note: What limits the statement, as a sentence.
    """

    rule: str
    level: Level
    value: Measured
    category: Literal["osteoporosis likely", "indeterminate", "normal density likely"]
    near_limit: bool = False
    note: str | None = None


class LevelMean(Frozen):
    """A mean over several vertebrae.

    Attributes:
        value: The mean of the levels' means.
        levels: The levels in it.
        left_out: Levels that belong to the convention and are not in it: not measured, or outliers.
        note: What limits the statement, as a sentence.
    """

    value: Measured
    levels: tuple[Level, ...]
    left_out: tuple[Level, ...] = ()
    note: str | None = None


class CalibrationUse(Frozen):
    """How CT numbers became mg/cm3.

    Attributes:
        kind: Against a phantom scanned at another time, or against the patient's own tissues.
        material: Of the phantom, or of the model; part of every number's meaning.
        slope, intercept: ``mg/cm3 = slope * HU + intercept``; None for an internal calibration, which is
            not a straight line.
        r_squared: Of the fit.
        effective_energy: keV, of an internal calibration.
        entry: Id of the entry in the site's table.
        phantom: Name of the phantom.
        experimental: True for what has not been validated against a phantom on this scanner.
        note: What limits the numbers, as a sentence.
    """

    kind: Literal["asynchronous-phantom", "internal"]
    material: PhantomMaterial
    slope: float | None = None
    intercept: float | None = None
    r_squared: float | None = None
    effective_energy: float | None = None
    entry: str | None = None
    phantom: str | None = None
    experimental: bool = False
    note: str | None = None


class ComparatorFigure(Frozen):
    """What another published method makes of the same scan, for comparison only.

    Attributes:
        method: The method and where its constants come from.
        attenuation: Mean of whole vertebrae (with cortex and posterior elements) after two-point rescaling, HU.
        areal_density: Its estimate, g/cm2.
        below_limit: Whether the attenuation lies below the method's own limit.
        levels: The vertebrae in it.
        note: What the figure is not.
    """

    method: str
    attenuation: Measured
    areal_density: Measured
    below_limit: bool
    levels: tuple[Level, ...]
    note: str
