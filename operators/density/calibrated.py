"""mg/cm3 beside the HU of a reading: by the site's phantom calibration, else, where it wishes, internally."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

import numpy as np
from pydicom import Dataset

from operators.density.attenuation_tables import Substance
from operators.density.calibration import RECHECK_DAYS, matching_entry, use_of
from operators.density.internal_calibration import InternalCalibration, calibrate_internally, density_band
from operators.density.means import calibrated_mean
from operators.density.reference_tissues import reference_tissues
from operators.density.results import CALIBRATED, CALIBRATION, DENSITY, MG_PER_CM3, Density
from operators.reading.calibration_entry import CalibrationEntry
from operators.reading.case import Case
from operators.reading.gate import Outcome
from operators.reading.quantity import Measured, Quantity, Withheld
from operators.reading.reading import SpineReading
from operators.reading.reasons import Reason
from operators.reading.source import Spectrum
from operators.reading.vertebra import Vertebra

PHANTOM_ACCURACY = 0.067
"""Largest error of an asynchronous calibration on a standard phantom, as a share (Wang 2017;
docs/science.md §2.7 c [V])."""
ENHANCED_NOTE = "Enhanced scan: contrast raises these densities by 6 mg/cm3 or more."
"""Kaesmacher 2017 (docs/science.md §2.6 [V])."""


def with_calibration(reading: SpineReading, case: Case) -> SpineReading:
    """The reading with what its densities are in mg/cm3.

    Args:
        reading: With ``density`` of every vertebra and the mean attenuation.
        case: The volume, and the site's options.

    Returns:
        The reading, unchanged where the site has no calibration and wants no internal one; ``calibration``
        withheld with the reason where none holds.
    """
    options, source = case.job.options, reading.source
    entry = matching_entry(options.calibrations, source)
    if isinstance(entry, CalibrationEntry):
        use = use_of(entry)
        said = [use.note or "", *_reservations(entry, reading, case)]
        use = use.model_copy(update={"note": " ".join(said)})
        done = _applied(reading, lambda mean: _by_phantom(entry, mean))
        return _finished(done.with_result(CALIBRATION, use))
    if not options.internal_calibration:
        return reading if entry is None else reading.with_result(CALIBRATION, entry)
    tissues = _tissues(reading, case)
    if isinstance(tissues, Withheld):
        return reading.with_result(CALIBRATION, tissues)
    model = calibrate_internally(tissues)
    if isinstance(model, Withheld):
        return reading.with_result(CALIBRATION, model)
    return _finished(
        _applied(reading, lambda mean: _internally(model, tissues, mean)).with_result(CALIBRATION, model.use)
    )


def _reservations(entry: CalibrationEntry, reading: SpineReading, case: Case) -> list[str]:
    """What speaks against a phantom's calibration on this scan, as sentences."""
    said = [] if _contrast(reading) is Outcome.PASS else [ENHANCED_NOTE]
    day = study_day(case.slices[0]) if case.slices else None
    if entry.scanned is None:
        said.append("When the phantom was scanned is not known.")
    elif day is not None and abs((day - entry.scanned).days) > RECHECK_DAYS:
        said.append(f"The phantom was scanned on {entry.scanned.isoformat()}: more than {RECHECK_DAYS} days away.")
    return said


def study_day(header: Dataset) -> date | None:
    """Day on which images were made, where their header says it."""
    text = str(header.get("AcquisitionDate") or header.get("StudyDate") or "")
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8])) if len(text) == 8 else None
    except ValueError:
        return None


def _finished(reading: SpineReading) -> SpineReading:
    return reading.with_result(CALIBRATED, calibrated_mean(reading))


def _applied(reading: SpineReading, calibrate: Callable[[Measured], Measured]) -> SpineReading:
    def one(vertebra: Vertebra) -> Vertebra:
        density = vertebra.of(DENSITY)
        if not isinstance(density, Density):
            return vertebra
        mean: Quantity = calibrate(density.mean) if isinstance(density.mean, Measured) else density.mean
        return vertebra.with_result(DENSITY, density.model_copy(update={"calibrated": mean}))

    return reading.model_copy(update={"vertebrae": tuple(one(v) for v in reading.vertebrae)})


def _by_phantom(entry: CalibrationEntry, mean: Measured) -> Measured:
    value = entry.density(mean.value)
    half = np.hypot(entry.slope * (mean.uncertainty or 0.0), PHANTOM_ACCURACY * value)
    return Measured(value=round(value, 1), unit=MG_PER_CM3, uncertainty=round(float(half), 1))


def _internally(model: InternalCalibration, tissues: Mapping[Substance, float], mean: Measured) -> Measured:
    value = model.density(mean.value)
    spread = model.density(mean.value + (mean.uncertainty or 0.0)) - value
    half = np.hypot(spread, density_band(tissues, mean.value))
    return Measured(value=round(value, 1), unit=MG_PER_CM3, uncertainty=round(float(half), 1))


def _tissues(reading: SpineReading, case: Case) -> dict[Substance, float] | Withheld:
    if reading.source.spectrum is not Spectrum.CONVENTIONAL:
        return Withheld(
            code=Reason.CALIBRATION_SPECTRUM,
            reason=f"The images are {reading.source.spectrum}; an internal calibration needs conventional images.",
        )
    if _contrast(reading) is not Outcome.PASS:
        return Withheld(
            code=Reason.CONTRAST,
            reason="An internal calibration takes blood as a reference; this scan is, or may be, contrast-enhanced.",
        )
    if case.segmentation is None:
        return Withheld(code=Reason.NO_SPINE, reason="No vertebra was found.")
    return reference_tissues(case.volume, case.segmentation)


def _contrast(reading: SpineReading) -> Outcome:
    """What the gate of contrast says; a warning where it has not been put."""
    return next((gate.outcome for gate in reading.gates if gate.code is Reason.CONTRAST), Outcome.WARN)
