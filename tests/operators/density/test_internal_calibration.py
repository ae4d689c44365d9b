"""Internal calibration against the vectors of docs/science.md §13.3, and its refusals."""

from __future__ import annotations

import pytest

from operators.density.attenuation_tables import Substance, mass_attenuation
from operators.density.internal_calibration import (
    InternalCalibration,
    calibrate_internally,
    density_band,
    fit_tissues,
)
from operators.reading.calibration_entry import PhantomMaterial
from operators.reading.quantity import Withheld

TEXTBOOK = {
    Substance.ADIPOSE: -100.0,
    Substance.AIR: -1000.0,
    Substance.BLOOD: 40.0,
    Substance.CORTICAL_BONE: 1200.0,
    Substance.MUSCLE: 55.0,
}


def without(*left_out: Substance) -> dict[Substance, float]:
    return {substance: hu for substance, hu in TEXTBOOK.items() if substance not in left_out}


def densities(model: InternalCalibration) -> list[float]:
    return [round(model.density(hu), 1) for hu in (0, 50, 100, 150, 200, 300)]


def test_all_five_tissues_give_the_published_model() -> None:
    model = fit_tissues(TEXTBOOK)
    assert model.energy == 98.5
    assert round(model.r_squared, 6) == 0.997187
    assert round(model.attenuation[0], 6) == 1.5e-5
    assert round(model.attenuation[1], 6) == 0.170156
    assert round(model.mass_density[0], 6) == 0.000907
    assert round(model.mass_density[1], 6) == 0.970098
    assert densities(model) == [32.0, 57.3, 84.8, 114.4, 146.1, 215.9]


@pytest.mark.parametrize(
    ("left_out", "energy", "expected"),
    [
        ((Substance.CORTICAL_BONE,), 83.0, [38.7, 53.2, 68.8, 85.6, 103.6, 143.1]),
        ((Substance.CORTICAL_BONE, Substance.MUSCLE), 85.0, [41.6, 57.3, 74.2, 92.4, 111.8, 154.7]),
    ],
)
def test_fewer_tissues(left_out: tuple[Substance, ...], energy: float, expected: list[float]) -> None:
    model = fit_tissues(without(*left_out))
    assert model.energy == energy
    assert densities(model) == expected


@pytest.mark.parametrize(
    ("substance", "hu", "at_100_hu"),
    [
        (Substance.ADIPOSE, -110.0, 88.9),
        (Substance.ADIPOSE, -90.0, 83.8),
        (Substance.BLOOD, 150.0, 70.4),
        (Substance.CORTICAL_BONE, 1000.0, 95.1),
        (Substance.CORTICAL_BONE, 1400.0, 79.1),
        (Substance.CORTICAL_BONE, 1600.0, 74.7),
        (Substance.AIR, -980.0, 86.3),
    ],
)
def test_sensitivity_to_one_tissue(substance: Substance, hu: float, at_100_hu: float) -> None:
    assert round(fit_tissues({**TEXTBOOK, substance: hu}).density(100.0), 1) == at_100_hu


def test_the_tables_are_read_at_their_grid_and_linearly_between() -> None:
    assert mass_attenuation(Substance.WATER, 60.0) == 0.2059
    assert float(mass_attenuation(Substance.WATER, 70.0)) == pytest.approx(0.1948)
    with pytest.raises(ValueError, match="40 to 150"):
        mass_attenuation(Substance.WATER, 30.0)


def test_a_model_names_its_material_and_that_it_is_experimental() -> None:
    model = calibrate_internally(without(Substance.CORTICAL_BONE))
    assert isinstance(model, InternalCalibration)
    use = model.use
    assert (use.kind, use.material, use.experimental) == ("internal", PhantomMaterial.POTASSIUM_PHOSPHATE, True)
    assert use.effective_energy == 83.0


@pytest.mark.parametrize(
    ("tissues", "code", "named"),
    [
        ({**without(Substance.CORTICAL_BONE), Substance.BLOOD: 150.0}, "reference-tissues", "Blood has 150 HU"),
        (without(Substance.ADIPOSE), "reference-tissues", "needs air, fat and a third tissue"),
        (without(Substance.AIR), "reference-tissues", "needs air, fat"),
        ({Substance.AIR: -1000.0, Substance.ADIPOSE: -100.0}, "reference-tissues", "a third tissue"),
        ({**without(Substance.CORTICAL_BONE), Substance.MUSCLE: -20.0}, "reference-tissues", "muscle has -20 HU"),
        ({**TEXTBOOK, Substance.CORTICAL_BONE: 950.0}, "effective-energy", "outside of 55 to 100 keV"),
    ],
)
def test_refusals(tissues: dict[Substance, float], code: str, named: str) -> None:
    found = calibrate_internally(tissues)
    assert isinstance(found, Withheld)
    assert found.code == code
    assert named in found.reason


def test_the_band_covers_what_a_tissue_off_by_five_hu_does_and_the_methods_own_error() -> None:
    tissues = without(Substance.CORTICAL_BONE)
    here = fit_tissues(tissues).density(100.0)
    band = density_band(tissues, 100.0)
    assert band > 1.96 * 0.078 * here
    assert band < 0.25 * here
