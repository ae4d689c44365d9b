"""Mass attenuation coefficients of the materials that an internal calibration needs.

Values are those of NIST (X-ray mass attenuation tables 4, XCOM by formula), cm2/g, as listed in docs/science.md
§17. Between them they are interpolated linearly, as Michalski et al. 2020 do; log-log would give 0.6 % less
at 70 keV, and the test vectors (docs/science.md §13.3) are frozen on the linear way.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

ENERGIES_KEV = (40.0, 50.0, 60.0, 80.0, 100.0, 150.0)
"""Energies of the table, keV; nothing is extrapolated beyond them."""


class Substance(StrEnum):
    """What there is a table for."""

    ADIPOSE = "adipose tissue"
    AIR = "air"
    BLOOD = "blood"
    CORTICAL_BONE = "cortical bone"
    MUSCLE = "skeletal muscle"
    WATER = "water"
    POTASSIUM_PHOSPHATE = "K2HPO4"
    HYDROXYAPATITE = "hydroxyapatite"
    TRIGLYCERIDE = "triglyceride"


_TABLE: Mapping[Substance, tuple[float, ...]] = MappingProxyType(
    {
        Substance.ADIPOSE: (0.2396, 0.2123, 0.1974, 0.1800, 0.1688, 0.1500),
        Substance.AIR: (0.2485, 0.2080, 0.1875, 0.1662, 0.1541, 0.1356),
        Substance.BLOOD: (0.2715, 0.2278, 0.2057, 0.1827, 0.1695, 0.1492),
        Substance.CORTICAL_BONE: (0.6655, 0.4242, 0.3148, 0.2229, 0.1855, 0.1480),
        Substance.MUSCLE: (0.2685, 0.2262, 0.2048, 0.1823, 0.1693, 0.1492),
        Substance.WATER: (0.2683, 0.2269, 0.2059, 0.1837, 0.1707, 0.1505),
        Substance.POTASSIUM_PHOSPHATE: (0.9327, 0.5573, 0.3890, 0.2508, 0.1972, 0.1480),
        Substance.HYDROXYAPATITE: (0.9877, 0.5867, 0.4067, 0.2589, 0.2019, 0.1501),
        Substance.TRIGLYCERIDE: (0.2293, 0.2072, 0.1945, 0.1789, 0.1683, 0.1499),
    }
)


def mass_attenuation(substance: Substance, energies: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Mass attenuation coefficients, cm2/g, at ``energies`` (keV), of the shape of ``energies``.

    Raises:
        ValueError: An energy lies outside of the table.
    """
    asked = np.asarray(energies, dtype=np.float64)
    if asked.size and not (ENERGIES_KEV[0] <= asked.min() and asked.max() <= ENERGIES_KEV[-1]):
        msg = f"energies of {asked.min():g} to {asked.max():g} keV are not all within 40 to 150 keV"
        raise ValueError(msg)
    return np.asarray(np.interp(asked, ENERGIES_KEV, _TABLE[substance]))
