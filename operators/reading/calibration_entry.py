"""A site's phantom calibration as a value of its settings: what ``osteon calibrate`` makes and a reading takes."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from operators.reading.quantity import Frozen

GOOD_R_SQUARED, LEAST_R_SQUARED = 0.98, 0.90
"""Below the first a fit is doubtful, below the second it is no fit (docs/science.md §2.7 b [C])."""
SLOPE_RANGE = (0.2, 2.0)
"""mg/cm3 per HU that a phantom can give: physics has 0.44 (HA at 50 keV) to 0.94 (K2HPO4 at 80 keV),
with room (docs/science.md §2.5 [X])."""

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]


class PhantomMaterial(StrEnum):
    """What a density in mg/cm3 is a density of. The two are not interchangeable (docs/science.md §2.7: 10–20 %)."""

    HYDROXYAPATITE = "HA"
    POTASSIUM_PHOSPHATE = "K2HPO4"


class CalibrationEntry(Frozen):
    """One row of a site's table: what a phantom scan gave for one scanner, voltage and kernel.

    Attributes:
        name: The site's name for it.
        phantom: Name of the phantom.
        material: What its mg/cm3 are of.
        slope, intercept: ``mg/cm3 = slope * HU + intercept``.
        r_squared: Of the fit.
        manufacturer, model: Of the scanner, as its images say them.
        kvp: Tube voltage, kV.
        kernel: Convolution kernel; None means that it holds for every kernel of the scanner.
        scanned: Day of the phantom scan, where it is known.
    """

    name: Name
    phantom: Name
    material: PhantomMaterial
    slope: Annotated[float, Field(ge=SLOPE_RANGE[0], le=SLOPE_RANGE[1])]
    intercept: Annotated[float, Field(ge=-200.0, le=200.0)]
    r_squared: Annotated[float, Field(ge=LEAST_R_SQUARED, le=1.0)]
    manufacturer: Name
    model: Name
    kvp: Annotated[float, Field(ge=60.0, le=150.0)]
    kernel: Name | None = None
    scanned: date | None = None

    def density(self, hounsfield: float) -> float:
        """Mineral density of this CT number, mg/cm3."""
        return self.slope * hounsfield + self.intercept
