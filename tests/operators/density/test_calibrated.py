"""mg/cm3 in the reading: by phantom where an entry holds, internally where the site wishes, else with a reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from pydicom import Dataset

from models.anatomy import Level
from operators.density.measure import measure_bone_density
from operators.density.results import (
    ATTENUATION,
    CALIBRATED,
    CALIBRATION,
    COMPARATOR,
    DENSITY,
    CalibrationUse,
    Density,
    LevelMean,
)
from operators.quality.gates import assess_quality
from operators.reading.calibration_entry import CalibrationEntry, PhantomMaterial
from operators.reading.case import Case
from operators.reading.options import ReadingOptions
from operators.reading.quantity import Measured, Withheld
from operators.reading.reading import SpineReading
from operators.reading.source import Spectrum
from tests.operators.measured_case import phantom_case
from tests.phantoms.spine import SpinePhantom

ENTRY = CalibrationEntry(
    name="ct1",
    phantom="b-mas-200",
    material=PhantomMaterial.HYDROXYAPATITE,
    slope=0.7,
    intercept=-10.0,
    r_squared=0.9995,
    manufacturer="ACME",
    model="One",
    kvp=120.0,
    kernel="B30f",
)
LUMBAR = (Level.L1, Level.L2, Level.L3)


def built(**parameters: Any) -> Case:
    phantom = SpinePhantom(
        levels=(Level.L1, Level.L3), trabecular=dict.fromkeys(LUMBAR, 130.0), texture=0.0, **parameters
    )
    return assess_quality(phantom_case(phantom.build(1.5, 2.5), manufacturer="ACME", model="One"))


@pytest.fixture(scope="module")
def native() -> Case:
    return built()


def read(case: Case, options: ReadingOptions, **source: Any) -> SpineReading:
    told = case.reading.model_copy(update={"source": case.reading.source.model_copy(update=source)})
    return measure_bone_density(
        replace(case, job=case.job.model_copy(update={"options": options}), reading=told)
    ).reading


def calibrated(reading: SpineReading, level: Level) -> Measured:
    density = next(v.of(DENSITY) for v in reading.vertebrae if v.level is level)
    assert isinstance(density, Density)
    assert isinstance(density.calibrated, Measured)
    return density.calibrated


def test_without_a_calibration_there_is_no_number_and_no_complaint(native: Case) -> None:
    reading = read(native, ReadingOptions())
    assert (reading.of(CALIBRATION), reading.of(CALIBRATED), reading.of(COMPARATOR)) == (None, None, None)
    assert isinstance(reading.of(ATTENUATION), LevelMean)
    assert reading.of(ATTENUATION).value.value == pytest.approx(130.0, abs=2.0)
    assert reading.of(ATTENUATION).levels == LUMBAR


def test_a_phantoms_entry_gives_every_level_and_the_mean(native: Case) -> None:
    reading = read(native, ReadingOptions(calibrations=(ENTRY,)))
    assert isinstance(reading.of(CALIBRATION), CalibrationUse)
    assert (reading.of(CALIBRATION).entry, reading.of(CALIBRATION).material) == ("ct1", PhantomMaterial.HYDROXYAPATITE)
    for level in LUMBAR:
        value = calibrated(reading, level)
        assert value.unit == "mg/cm3"
        assert value.value == pytest.approx(0.7 * 130 - 10, abs=2.0)
        assert (value.uncertainty or 0) >= 0.067 * value.value
    assert isinstance(reading.of(CALIBRATED), LevelMean)
    assert reading.of(CALIBRATED).value.value == pytest.approx(81.0, abs=2.0)
    assert reading.of(CALIBRATED).levels == LUMBAR


@pytest.mark.parametrize(
    ("scanned", "expected"),
    [
        (None, "When the phantom was scanned is not known."),
        (date(2026, 1, 20), None),
        (date(2025, 6, 1), "The phantom was scanned on 2025-06-01: more than 31 days away."),
    ],
)
def test_an_old_phantom_scan_is_said_to_be_old(native: Case, scanned: date | None, expected: str | None) -> None:
    header = Dataset()
    header.StudyDate = "20260105"
    dated = replace(native, slices=(header,))
    entry = ENTRY.model_copy(update={"scanned": scanned})
    use = read(dated, ReadingOptions(calibrations=(entry,))).of(CALIBRATION)
    assert isinstance(use, CalibrationUse)
    assert (expected in (use.note or "")) if expected else ("phantom was scanned" not in (use.note or ""))


def test_an_entry_of_another_scanner_is_a_reason(native: Case) -> None:
    reading = read(native, ReadingOptions(calibrations=(ENTRY,)), model="Two")
    assert isinstance(reading.of(CALIBRATION), Withheld)
    assert reading.of(CALIBRATION).code == "calibration-scanner"
    assert reading.of(CALIBRATED) is None


def test_the_internal_calibration_is_experimental_and_states_its_material(native: Case) -> None:
    reading = read(native, ReadingOptions(internal_calibration=True))
    assert isinstance(reading.of(CALIBRATION), CalibrationUse), reading.of(CALIBRATION)
    assert reading.of(CALIBRATION).experimental
    assert reading.of(CALIBRATION).material is PhantomMaterial.POTASSIUM_PHOSPHATE
    assert 55 <= (reading.of(CALIBRATION).effective_energy or 0) <= 100
    value = calibrated(reading, Level.L2)
    assert 60 < value.value < 100
    assert (value.uncertainty or 0) > 0.15 * value.value


def test_a_phantom_goes_before_the_internal_calibration(native: Case) -> None:
    reading = read(native, ReadingOptions(calibrations=(ENTRY,), internal_calibration=True))
    assert isinstance(reading.of(CALIBRATION), CalibrationUse)
    assert reading.of(CALIBRATION).kind == "asynchronous-phantom"


def test_an_internal_calibration_refuses_other_spectra(native: Case) -> None:
    reading = read(native, ReadingOptions(internal_calibration=True), spectrum=Spectrum.PHOTON_COUNTING)
    assert isinstance(reading.of(CALIBRATION), Withheld)
    assert reading.of(CALIBRATION).code == "calibration-spectrum"


def test_enhanced_blood_is_no_reference_and_a_phantom_says_that_contrast_raises_its_numbers() -> None:
    enhanced = built(aorta_hu=220.0)
    internal = read(enhanced, ReadingOptions(internal_calibration=True))
    assert isinstance(internal.of(CALIBRATION), Withheld)
    assert internal.of(CALIBRATION).code == "contrast"
    assert internal.of(CALIBRATED) is None
    phantom = read(enhanced, ReadingOptions(calibrations=(ENTRY,)))
    assert isinstance(phantom.of(CALIBRATION), CalibrationUse)
    assert "contrast raises these densities" in (phantom.of(CALIBRATION).note or "")
