"""Mineral density in mg/cm3 from a phantom that was scanned at another time on the same scanner.

A calibration holds for one scanner and one tube voltage (docs/science.md §2.7 c [V]): with that of another voltage
single patients scatter by 28 %, while another kernel changes it by 0.2 % (docs/science.md §2.5 [V]). The phantom's
material is part of every number: hydroxyapatite and K2HPO4 differ by 10 to 20 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

import numpy as np

from operators.density.results import CalibrationUse
from operators.reading.calibration_entry import (
    GOOD_R_SQUARED,
    CalibrationEntry,
    PhantomMaterial,
)
from operators.reading.quantity import Withheld
from operators.reading.reasons import Reason
from operators.reading.source import SourceSeries, Spectrum

MINDWAYS_SLOPE, MINDWAYS_OFFSET = 0.2174, 999.6
"""From the phantom's reference solution to CT numbers: ``slope - 0.2174``, ``offset + 999.6`` (docs/science.md §2.7 b
[C])."""
KVP_TOLERANCE = 0.5
RECHECK_DAYS = 31
"""A phantom is scanned weekly to monthly (docs/science.md §2.7 c [V])."""


@dataclass(frozen=True)
class Rod:
    """One rod of a phantom: mineral density and, for Mindways, water-equivalent density, mg/cm3."""

    mineral: float
    water: float | None = None


@dataclass(frozen=True)
class BonePhantom:
    """A calibration phantom with its nominal rods; a phantom's own certificate is better."""

    name: str
    material: PhantomMaterial
    rods: tuple[Rod, ...]

    @property
    def is_mindways(self) -> bool:
        """Whether its rods carry a water-equivalent density, which asks for Mindways's own correction."""
        return all(rod.water is not None for rod in self.rods)


def _of_hydroxyapatite(name: str, *minerals: float) -> BonePhantom:
    return BonePhantom(name, PhantomMaterial.HYDROXYAPATITE, tuple(Rod(mineral) for mineral in minerals))


def _of_mindways(name: str, *rods: tuple[float, float]) -> BonePhantom:
    return BonePhantom(name, PhantomMaterial.POTASSIUM_PHOSPHATE, tuple(Rod(*rod) for rod in rods))


PHANTOMS: Mapping[str, BonePhantom] = MappingProxyType(
    {
        phantom.name: phantom
        for phantom in (
            _of_mindways(
                "mindways",
                (-51.83, 1012.25),
                (-53.40, 1056.95),
                (58.88, 1103.57),
                (157.05, 1119.52),
                (375.83, 923.20),
            ),
            _of_mindways(
                "mindways-qa",
                (58.88, 1103.57),
                (-53.40, 1056.95),
                (157.05, 1119.52),
                (157.13, 1120.10),
            ),
            _of_hydroxyapatite("qrm-bdc-3", 100.0, 400.0, 800.0),
            _of_hydroxyapatite("qrm-bdc-6", 0.0, 100.0, 200.0, 400.0, 600.0, 800.0),
            _of_hydroxyapatite("image-analysis", 8.0, 97.3, 189.8),
            _of_hydroxyapatite("b-mas-200", 0.0, 50.0, 100.0, 150.0, 200.0),
            _of_hydroxyapatite("siemens-osteo", 0.0, 200.0),
        )
    }
)
"""Phantoms whose nominal densities are public (docs/science.md §2.7 [C]); densities are serial-specific."""


def use_of(entry: CalibrationEntry) -> CalibrationUse:
    """What the reading says of an entry of the site's table."""
    doubtful = entry.r_squared < GOOD_R_SQUARED
    return CalibrationUse(
        kind="asynchronous-phantom",
        material=entry.material,
        slope=entry.slope,
        intercept=entry.intercept,
        r_squared=entry.r_squared,
        entry=entry.name,
        phantom=entry.phantom,
        note=f"{entry.material}-equivalent, by a phantom scanned at another time on this scanner."
        + (f" The phantom's rods do not lie well on one line (R2 {entry.r_squared:.3f})." if doubtful else ""),
    )


@dataclass(frozen=True)
class CalibrationFit:
    """What the rods of a phantom give.

    Attributes:
        slope, intercept: ``mg/cm3 = slope * HU + intercept``.
        r_squared: Of the regression.
    """

    slope: float
    intercept: float
    r_squared: float


def fit_phantom(phantom: BonePhantom, hounsfield: Sequence[float]) -> CalibrationFit:
    """Fit a calibration to the mean HU of a phantom's rods.

    For hydroxyapatite density is regressed on HU. For Mindways HU less the rod's water equivalent is regressed
    on K2HPO4, and the result is carried over from the reference solution (docs/science.md §2.7 a, b [C]).

    Args:
        phantom: With its rods.
        hounsfield: Mean HU of the rods, in their order.

    Raises:
        ValueError: The number of means is not that of the rods, or all rods measure the same.
    """
    numbers = np.array([float(value) for value in hounsfield])
    minerals = np.array([rod.mineral for rod in phantom.rods])
    if len(numbers) != len(minerals):
        msg = f"{phantom.name} has {len(minerals)} rods, not {len(numbers)}"
        raise ValueError(msg)
    if np.ptp(numbers) < 1.0:
        msg = f"the rods of {phantom.name} all measure {numbers.mean():.0f} HU"
        raise ValueError(msg)
    if not phantom.is_mindways:
        slope, intercept = np.polyfit(numbers, minerals, 1)
        return CalibrationFit(float(slope), float(intercept), _r_squared(numbers, minerals))
    water = np.array([rod.water for rod in phantom.rods], dtype=float)
    reference, offset = np.polyfit(minerals, numbers - water, 1)
    per_mineral, base = float(reference) - MINDWAYS_SLOPE, float(offset) + MINDWAYS_OFFSET
    return CalibrationFit(1.0 / per_mineral, -base / per_mineral, _r_squared(minerals, numbers - water))


def _r_squared(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(x, y)[0, 1] ** 2)


def matching_entry(entries: Iterable[CalibrationEntry], source: SourceSeries) -> CalibrationEntry | Withheld | None:
    """The entry that holds for a series, why none does, or None where the site has no entry at all.

    An entry that names the kernel goes before one that does not, a later phantom scan before an earlier one.
    """
    known = list(entries)
    if not known:
        return None
    if source.spectrum is not Spectrum.CONVENTIONAL:
        return Withheld(
            code=Reason.CALIBRATION_SPECTRUM,
            reason=f"The images are {source.spectrum}; a calibration holds for conventional images only.",
        )
    same = [entry for entry in known if _same_scanner(entry, source)]
    if not same:
        return Withheld(code=Reason.CALIBRATION_SCANNER, reason="No calibration of the site is for this scanner.")
    same = [e for e in same if source.kvp is not None and abs(e.kvp - source.kvp) < KVP_TOLERANCE]
    if not same:
        said = "an unknown tube voltage" if source.kvp is None else f"{source.kvp:g} kV"
        return Withheld(code=Reason.CALIBRATION_KVP, reason=f"No calibration of this scanner is for {said}.")
    same = [e for e in same if e.kernel is None or _same(e.kernel, source.kernel)]
    if not same:
        said = source.kernel[:16] if source.kernel else "an unknown kernel"
        return Withheld(code=Reason.CALIBRATION_KERNEL, reason=f"No calibration of this scanner is for kernel {said}.")
    return max(same, key=lambda e: (e.kernel is not None, e.scanned or date.min, e.name))


def _same_scanner(entry: CalibrationEntry, source: SourceSeries) -> bool:
    return _same(entry.manufacturer, source.manufacturer) and _same(entry.model, source.model)


def _same(wanted: str, found: str | None) -> bool:
    return found is not None and wanted.strip().casefold() == found.strip().casefold()
