"""Phantom calibration: forward-made rods come back, and an entry is used for its own scanner only."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from operators.density.calibration import PHANTOMS, fit_phantom, matching_entry, use_of
from operators.reading.calibration_entry import CalibrationEntry, PhantomMaterial
from operators.reading.quantity import Withheld
from operators.reading.source import SourceSeries, Spectrum


def entry(**changes: Any) -> CalibrationEntry:
    known: dict[str, Any] = {
        "name": "ct1-120",
        "phantom": "mindways",
        "material": "K2HPO4",
        "slope": 0.8,
        "intercept": -5.0,
        "r_squared": 0.9995,
        "manufacturer": "SIEMENS",
        "model": "Sensation 64",
        "kvp": 120.0,
        "kernel": "B40f",
    }
    return CalibrationEntry(**{**known, **changes})


def source(**changes: Any) -> SourceSeries:
    known: dict[str, Any] = {
        "study_uid": "1",
        "series_uid": "2",
        "frame_of_reference_uid": None,
        "content_digest": "0",
        "slices": 9,
        "rows": 9,
        "columns": 9,
        "pixel_spacing": (1.0, 1.0),
        "slice_spacing": 1.0,
        "kvp": 120.0,
        "kernel": "B40f",
        "manufacturer": "SIEMENS",
        "model": "Sensation 64",
    }
    return SourceSeries(**{**known, **changes})


def test_hydroxyapatite_is_a_straight_line_of_density_on_hu() -> None:
    phantom = PHANTOMS["b-mas-200"]
    assert phantom.material is PhantomMaterial.HYDROXYAPATITE
    fit = fit_phantom(phantom, [2.0, 72.0, 142.0, 212.0, 282.0])  # 1.4 HU per mg/cm3
    assert fit.slope == pytest.approx(50 / 70)
    assert fit.intercept == pytest.approx(-2 * 50 / 70)
    assert fit.r_squared == pytest.approx(1.0)


def test_mindways_rods_come_back_through_its_reference_correction() -> None:
    """HU of a rod = water + K2HPO4 · 1.5 - 990 by construction: sigma 1.5, beta -990."""
    rods = [(-51.83, 1012.25), (-53.40, 1056.95), (58.88, 1103.57), (157.05, 1119.52), (375.83, 923.20)]
    fit = fit_phantom(PHANTOMS["mindways"], [water + 1.5 * mineral - 990.0 for mineral, water in rods])
    assert fit.slope == pytest.approx(1 / (1.5 - 0.2174))
    assert fit.intercept == pytest.approx(-(-990.0 + 999.6) / (1.5 - 0.2174))
    assert fit.r_squared == pytest.approx(1.0)


def test_swapped_rods_show_in_r_squared() -> None:
    assert fit_phantom(PHANTOMS["b-mas-200"], [282.0, 2.0, 212.0, 72.0, 142.0]).r_squared < 0.9


def test_the_number_of_rods_must_be_that_of_the_phantom() -> None:
    with pytest.raises(ValueError, match="has 3 rods, not 2"):
        fit_phantom(PHANTOMS["image-analysis"], [10.0, 100.0])


def test_an_entry_gives_density_and_says_its_material() -> None:
    made = entry()
    assert made.density(150.0) == pytest.approx(115.0)
    used = use_of(made)
    assert used.material is PhantomMaterial.POTASSIUM_PHOSPHATE
    assert used.entry == "ct1-120"
    assert "K2HPO4-equivalent" in (used.note or "")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"model": "Force"}, "calibration-scanner"),
        ({"manufacturer": None}, "calibration-scanner"),
        ({"kvp": 100.0}, "calibration-kvp"),
        ({"kvp": None}, "calibration-kvp"),
        ({"kernel": "B70f"}, "calibration-kernel"),
        ({"kernel": None}, "calibration-kernel"),
        ({"spectrum": Spectrum.TIN_FILTERED}, "calibration-spectrum"),
    ],
)
def test_an_entry_is_not_used_for_another_scanner_voltage_kernel_or_spectrum(
    changes: dict[str, Any], code: str
) -> None:
    found = matching_entry([entry()], source(**changes))
    assert isinstance(found, Withheld)
    assert found.code == code


def test_the_entry_of_the_kernel_goes_first_and_the_latest_of_several() -> None:
    every = entry(name="any", kernel=None, scanned=date(2026, 6, 1))
    old = entry(name="old", scanned=date(2026, 1, 1))
    new = entry(name="new", scanned=date(2026, 5, 1))
    assert matching_entry([every, old, new], source()) == new
    assert matching_entry([every, old, new], source(kernel="B70f")) == every
    assert matching_entry([every, old], source(manufacturer="Siemens ", kernel="b40F")) == old


def test_no_entries_is_no_reason() -> None:
    assert matching_entry([], source()) is None


@pytest.mark.parametrize("changes", [{"slope": 5.0}, {"r_squared": 0.5}, {"kvp": 12.0}, {"material": "CaCO3"}])
def test_an_absurd_entry_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        entry(**changes)
