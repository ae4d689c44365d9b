"""Bone mineral from the patient's own tissues instead of a phantom: experimental.

Written from the published description (Michalski et al. 2020, DOI 10.1016/j.medengphy.2020.01.009; docs/science.md
§2.7 d). The tissues' CT numbers fix the effective energy of the scan; at that energy the voxel is a mixture of
mineral (K2HPO4) and marrow fat (triglyceride). The method is fragile (docs/science.md §13.3: 110 HU of contrast in
the blood or 400 HU in the cortical reference move the result at 100 HU by 14 and 16 mg/cm3),
hence its refusals and its band.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from operators.density.attenuation_tables import ENERGIES_KEV, Substance, mass_attenuation
from operators.density.results import CalibrationUse
from operators.reading.calibration_entry import PhantomMaterial
from operators.reading.quantity import Withheld
from operators.reading.reasons import Reason

ENERGY_STEP_KEV = 0.5
CREDIBLE_KEV = (55.0, 100.0)
"""Effective energies that are believed (docs/science.md §2.7 d [P])."""
PLAUSIBLE_HU: Mapping[Substance, tuple[float, float]] = {
    Substance.ADIPOSE: (-130.0, -70.0),
    Substance.AIR: (-1030.0, -980.0),
    Substance.BLOOD: (-20.0, 60.0),
    Substance.MUSCLE: (-5.0, 65.0),
    Substance.CORTICAL_BONE: (950.0, 1450.0),
}
"""What a tissue may measure, HU (docs/science.md §2.7 d, step 5 [C])."""
NEEDED = (Substance.AIR, Substance.ADIPOSE)
"""Without both ends of soft tissue the regression rests on noise."""
LEAST_TISSUES = 3
LEAST_R_SQUARED = 0.98
"""Below it docs/science.md §2.7 b warns of a phantom scan; a model that rests on nothing else refuses."""
METHOD_RMS = 0.078
"""RMS error against a phantom on unenhanced scans, as a share of the value (Kaesmacher 2017;
docs/science.md §2.6 [V])."""
TISSUE_SD_HU = 5.0
"""How far a reference tissue's composition lets it differ from the table's, HU: theory and clinical means
differ by 5 to 20 HU (docs/science.md §17 [X])."""


@dataclass(frozen=True)
class InternalCalibration:
    """A model of one scan.

    Attributes:
        energy: Effective energy, keV.
        r_squared: Of the regression of mass attenuation on HU at that energy.
        attenuation: Slope (cm2/g per HU) and intercept (cm2/g) of mass attenuation on HU.
        mass_density: Slope (g/cm3 per HU) and intercept (g/cm3) of mass density on HU.
    """

    energy: float
    r_squared: float
    attenuation: tuple[float, float]
    mass_density: tuple[float, float]

    def density(self, hounsfield: float) -> float:
        """K2HPO4-equivalent density of bone of this CT number, mg/cm3."""
        mass = self.mass_density[0] * hounsfield + self.mass_density[1]
        attenuation = self.attenuation[0] * hounsfield + self.attenuation[1]
        fat = float(mass_attenuation(Substance.TRIGLYCERIDE, self.energy))
        mineral = float(mass_attenuation(Substance.POTASSIUM_PHOSPHATE, self.energy))
        return 1000.0 * mass * (attenuation - fat) / (mineral - fat)

    @property
    def use(self) -> CalibrationUse:
        """What the reading says of it."""
        return CalibrationUse(
            kind="internal",
            material=PhantomMaterial.POTASSIUM_PHOSPHATE,
            r_squared=round(self.r_squared, 5),
            effective_energy=self.energy,
            experimental=True,
            note="Experimental: calibrated against the patient's own air, fat, muscle and blood, not a phantom; "
            "K2HPO4-equivalent.",
        )


def fit_tissues(tissues: Mapping[Substance, float]) -> InternalCalibration:
    """Fit the model to mean tissue HU; refuses nothing.

    Args:
        tissues: Mean HU of at least three reference tissues.
    """
    numbers = np.array([float(value) for value in tissues.values()])
    energies = np.arange(ENERGIES_KEV[0], ENERGIES_KEV[-1] + ENERGY_STEP_KEV / 2, ENERGY_STEP_KEV)
    table = np.stack([mass_attenuation(substance, energies) for substance in tissues])
    fit = [np.corrcoef(numbers, column)[0, 1] ** 2 for column in table.T]
    best = int(np.argmax(fit))
    water = float(mass_attenuation(Substance.WATER, float(energies[best])))
    slope, intercept = np.polyfit(numbers, table[:, best], 1)
    masses = (numbers / 1000.0 * water + water) / table[:, best]
    mass_slope, mass_intercept = np.polyfit(numbers, masses, 1)
    return InternalCalibration(
        energy=float(energies[best]),
        r_squared=float(fit[best]),
        attenuation=(float(slope), float(intercept)),
        mass_density=(float(mass_slope), float(mass_intercept)),
    )


def calibrate_internally(tissues: Mapping[Substance, float]) -> InternalCalibration | Withheld:
    """The model of a scan, or why its tissues do not carry one.

    Args:
        tissues: Mean HU of the reference tissues that were found.
    """
    missing = [str(substance) for substance in NEEDED if substance not in tissues]
    if missing or len(tissues) < LEAST_TISSUES:
        found = ", ".join(str(substance) for substance in tissues) or "none"
        return Withheld(
            code=Reason.REFERENCE_TISSUES,
            reason=f"An internal calibration needs air, fat and a third tissue in view; found: {found}.",
        )
    for substance, number in tissues.items():
        low, high = PLAUSIBLE_HU[substance]
        if not low <= number <= high:
            return Withheld(
                code=Reason.REFERENCE_TISSUES,
                reason=f"{str(substance).capitalize()} has {number:.0f} HU, outside of {low:.0f} to {high:.0f} HU: "
                "no internal calibration from it.",
            )
    model = fit_tissues(tissues)
    if not CREDIBLE_KEV[0] <= model.energy <= CREDIBLE_KEV[1]:
        return Withheld(
            code=Reason.EFFECTIVE_ENERGY,
            reason=f"The tissues give an effective energy of {model.energy:g} keV, outside of 55 to 100 keV: "
            "no internal calibration.",
        )
    if model.r_squared < LEAST_R_SQUARED:
        return Withheld(
            code=Reason.CALIBRATION_FIT,
            reason=f"The reference tissues do not lie on one line (R2 {model.r_squared:.3f}): no internal calibration.",
        )
    return model


def density_band(tissues: Mapping[Substance, float], hounsfield: float) -> float:
    """Half-width of the 95 % interval of an internally calibrated density, mg/cm3.

    The method's own error against phantoms, and what the composition of each tissue does to the result,
    taken as independent.

    Args:
        tissues: That carried the calibration.
        hounsfield: CT number of the bone.
    """
    here = fit_tissues(tissues).density(hounsfield)
    moved = [
        fit_tissues({**tissues, substance: tissues[substance] + TISSUE_SD_HU}).density(hounsfield) - here
        for substance in tissues
        if substance is not Substance.AIR
    ]
    return float(1.96 * np.sqrt((METHOD_RMS * here) ** 2 + np.square(moved).sum()))
