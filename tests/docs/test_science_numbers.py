"""The numbers of docs/science.md: those that the code repeats are the same, those that are computed can be."""

from __future__ import annotations

import re
from math import exp, log

import pytest

from models.anatomy import Level
from operators.density.attenuation_tables import ENERGIES_KEV, Substance, mass_attenuation
from operators.density.calibration import PHANTOMS
from operators.fractures.expectation import ANTERIOR_RATIOS, WEDGE_ANGLES
from tests.docs.test_citations import pages

SCIENCE = pages()["docs/science.md"]
COLUMNS = {
    "adipose": Substance.ADIPOSE,
    "air": Substance.AIR,
    "blood": Substance.BLOOD,
    "cortical bone": Substance.CORTICAL_BONE,
    "muscle": Substance.MUSCLE,
    "water": Substance.WATER,
    "K2HPO4": Substance.POTASSIUM_PHOSPHATE,
    "HA": Substance.HYDROXYAPATITE,
    "triglyceride C55H98O6": Substance.TRIGLYCERIDE,
}
DENSITIES = {"HA": 3.16, "K2HPO4": 2.44}
PHANTOM_NAMES = {
    "Mindways Model 3 CT": "mindways",
    "Mindways Model 3 QA": "mindways-qa",
    "QRM-BDC, 3 rods": "qrm-bdc-3",
    "QRM-BDC, 6 rods": "qrm-bdc-6",
    "Image Analysis QCT-3D Plus": "image-analysis",
    "B-MAS 200": "b-mas-200",
    "Siemens Osteo": "siemens-osteo",
}


def table(number: str, first: str) -> list[list[str]]:
    """The rows of the table in a section whose first cell of the head is this, the head included."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in SCIENCE[number].splitlines()
        if line.startswith("|")
    ]
    start = next(i for i, row in enumerate(rows) if row[0] == first)
    rest = rows[start + 2 :]
    end = next((i for i, row in enumerate(rest) if set("".join(row)) <= set("-: ")), len(rest) + 1) - 1
    return [rows[start], *rest[:end]]


def numbers(cell: str) -> list[float]:
    return [float(found) for found in re.findall(r"-?\d+(?:\.\d+)?", cell.replace("−", "-"))]


def attenuation() -> dict[str, dict[float, float]]:
    """By material and keV, cm2/g, as the document has them."""
    head, *rows = table("17", "keV")
    return {name: {float(row[0]): float(row[i]) for row in rows} for i, name in enumerate(head) if i}


def test_mass_attenuation_is_the_document_s() -> None:
    documented = attenuation()

    assert set(documented) == set(COLUMNS)
    for name, substance in COLUMNS.items():
        assert tuple(documented[name]) == ENERGIES_KEV
        for energy, value in documented[name].items():
            assert float(mass_attenuation(substance, energy)) == pytest.approx(value, abs=1e-9)


def test_norms_of_intact_vertebrae_are_the_document_s() -> None:
    rows = {row[0]: row for row in table("3.4", "level")[1:] if row[0]}
    ratios = {Level(name): tuple(numbers(row[1])) for name, row in rows.items() if row[1]}
    angles = {Level(name): tuple(numbers(row[2])) for name, row in rows.items()}

    assert ratios == dict(ANTERIOR_RATIOS)
    assert {level: pair for level, pair in angles.items() if level is not Level.L5} == dict(WEDGE_ANGLES)


def test_phantoms_are_the_document_s() -> None:
    rows = {row[0]: row for row in table("2.7", "phantom")[1:]}

    assert {PHANTOM_NAMES[name] for name in rows} == set(PHANTOMS)
    for name, row in rows.items():
        phantom = PHANTOMS[PHANTOM_NAMES[name]]
        assert row[1] == phantom.material.value
        assert numbers(row[2]) == [rod.mineral for rod in phantom.rods]
        assert numbers(row[3]) == [rod.water for rod in phantom.rods if rod.water is not None]


def between(values: dict[float, float], energy: float) -> float:
    """Log-log interpolation."""
    if energy in values:
        return values[energy]
    low = max(at for at in values if at < energy)
    high = min(at for at in values if at > energy)
    share = log(energy / low) / log(high / low)
    return exp((1 - share) * log(values[low]) + share * log(values[high]))


@pytest.mark.parametrize("mineral", list(DENSITIES))
def test_attenuation_of_mineral_follows_from_the_tables(mineral: str) -> None:
    head, *rows = table("2.5", "keV")
    (row,) = (row for row in rows if row[0] == mineral)
    documented = attenuation()

    for energy, printed in zip(map(float, head[1:]), map(float, row[1:]), strict=True):
        gain = between(documented[mineral], energy) / between(documented["water"], energy)
        assert 100.0 * gain - 100.0 / DENSITIES[mineral] == pytest.approx(printed, abs=1.0)


def test_predictive_values_follow_from_their_formula() -> None:
    head, *rows = table("19", "at")

    assert len(rows) == 4
    for row in rows:
        sensitivity, specificity = numbers(row[0].split(":")[1])
        for prevalence, printed in zip((numbers(cell)[-1] / 100 for cell in head[1:]), row[1:], strict=True):
            alarms = sensitivity * prevalence + (1 - specificity) * (1 - prevalence)
            assert 100 * sensitivity * prevalence / alarms == pytest.approx(numbers(printed)[0], abs=0.06)


def test_comparator_s_vectors_follow_from_its_line() -> None:
    slope, intercept = map(float, re.findall(r"0\.\d{9,}", SCIENCE["2.9"]))
    pairs = re.findall(r"(\d+) HU[^,]* is (0\.\d+) g/cm²", SCIENCE["13.2"])

    assert len(pairs) == 2
    for hounsfield, areal in pairs:
        assert slope * float(hounsfield) + intercept == pytest.approx(float(areal), abs=1e-5)


def test_grades_of_the_vectors_follow_from_the_limits() -> None:
    rows = [row for row in table("13.4", "Ha, Hm, Hp in mm")[1:] if row[0][0].isdigit()]

    assert len(rows) == 6
    for row in rows:
        front, middle, back = numbers(row[0])
        wedge, biconcave, crush = 1 - front / back, 1 - middle / back, 1 - back / 25
        loss = 100 * max(wedge, biconcave, crush)
        printed = next(numbers(part)[0] for part in row[1].split(",") if "%" in part)
        assert loss == pytest.approx(printed, abs=0.06)
        grade = int(re.findall(r"grade (\d)", row[1])[0])
        assert grade == sum(loss >= limit - 1e-9 for limit in (20, 25, 40))
