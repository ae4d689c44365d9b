"""Kinds of CT numbers, from the words of the standard and of the vendors, and what the gate makes of each."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from operators.quality.gates import spectrum_gate, tube_voltage_gate
from operators.reading.gate import Outcome
from operators.reading.job import Job
from operators.reading.options import TubeVoltageFactor
from operators.reading.provenance import Provenance
from operators.reading.source import Spectrum
from operators.study.load import load_volume
from operators.study.receive import receive_study
from operators.study.select import select_series
from operators.study.spectrum import spectrum_of
from tests.operators.quality.test_gates import source
from tests.phantoms.ct_series import CTHeader, write_ct_series
from tests.phantoms.density_slab import DensitySlab


def header(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("Abdomen 1.0 Br40", (Spectrum.CONVENTIONAL, None)),
        ("Bolus monitoring", (Spectrum.CONVENTIONAL, None)),
        ("Sinus 1.0", (Spectrum.CONVENTIONAL, None)),
        ("MonoPlus 70 keV", (Spectrum.MONO_ENERGETIC, 70.0)),
        ("MonoE 40keV[HU]", (Spectrum.MONO_ENERGETIC, 40.0)),
        ("Abdomen VNC 1.0", (Spectrum.VIRTUAL_NON_CONTRAST, None)),
        ("Virtual Unenhanced", (Spectrum.VIRTUAL_NON_CONTRAST, None)),
        ("Iodine Map", (Spectrum.MATERIAL_MAP, None)),
        ("Thorax Sn100 Br40", (Spectrum.TIN_FILTERED, None)),
    ],
)
def test_what_descriptions_say(description: str, expected: tuple[Spectrum, float | None]) -> None:
    assert spectrum_of(header(SeriesDescription=description)) == expected


def multi_energy(detector: str) -> Dataset:
    group = header(MultienergyCTXRayDetectorSequence=[header(MultienergyDetectorType=detector)])
    return header(MultienergyCTAcquisition="YES", MultienergyCTAcquisitionSequence=[group])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (header(), Spectrum.CONVENTIONAL),
        (header(ImageType=["ORIGINAL", "PRIMARY", "AXIAL"]), Spectrum.CONVENTIONAL),
        (header(ImageType=["DERIVED", "PRIMARY", "AXIAL", "VMI"]), Spectrum.MONO_ENERGETIC),
        (header(ImageType=["DERIVED", "PRIMARY", "AXIAL", "MAT_REMOVED"]), Spectrum.VIRTUAL_NON_CONTRAST),
        (header(ImageType=["DERIVED", "PRIMARY", "AXIAL", "EFF_ATOMIC_NUM"]), Spectrum.MATERIAL_MAP),
        (header(FilterMaterial="TIN"), Spectrum.TIN_FILTERED),
        (header(ManufacturerModelName="NAEOTOM Alpha"), Spectrum.PHOTON_COUNTING),
        (multi_energy("PHOTON_COUNTING"), Spectrum.PHOTON_COUNTING),
        (multi_energy("INTEGRATING"), Spectrum.MIXED_ENERGIES),
    ],
)
def test_what_the_standards_attributes_say(values: Dataset, expected: Spectrum) -> None:
    assert spectrum_of(values)[0] is expected


@pytest.mark.parametrize(
    ("kind", "energy", "outcome", "applies_to"),
    [
        (Spectrum.CONVENTIONAL, None, Outcome.PASS, "all"),
        (Spectrum.MONO_ENERGETIC, 70.0, Outcome.WARN, "category"),
        (Spectrum.MONO_ENERGETIC, 40.0, Outcome.WITHHOLD, "category"),
        (Spectrum.MONO_ENERGETIC, None, Outcome.WITHHOLD, "category"),
        (Spectrum.TIN_FILTERED, None, Outcome.WITHHOLD, "category"),
        (Spectrum.PHOTON_COUNTING, None, Outcome.WITHHOLD, "category"),
        (Spectrum.MIXED_ENERGIES, None, Outcome.WITHHOLD, "category"),
        (Spectrum.VIRTUAL_NON_CONTRAST, None, Outcome.WITHHOLD, "density"),
        (Spectrum.MATERIAL_MAP, None, Outcome.WITHHOLD, "all"),
    ],
)
def test_the_gate(kind: Spectrum, energy: float | None, outcome: Outcome, applies_to: str) -> None:
    gate = spectrum_gate(source(spectrum=kind, mono_energy=energy))
    assert (gate.outcome, gate.applies_to) == (outcome, applies_to)


def test_a_factor_that_the_site_measured_opens_its_own_voltage_only() -> None:
    factors = (TubeVoltageFactor(kvp=100, factor=0.9),)
    assert tube_voltage_gate(source(kvp=100.0), factors).outcome is Outcome.WARN
    assert tube_voltage_gate(source(kvp=140.0), factors).outcome is Outcome.WITHHOLD


def test_no_factor_below_90_kv() -> None:
    with pytest.raises(ValueError, match="90"):
        TubeVoltageFactor(kvp=80, factor=0.7)


def test_a_series_brings_its_spectrum_into_the_reading(tmp_path: Path) -> None:
    """From the file's header to the reading's source."""
    volume = DensitySlab((30.0, 100.0)).build()
    write_ct_series(volume, tmp_path, CTHeader(series_description="Abdomen VNC 1.0"))
    nobody = Provenance(pipeline="", engine="", engine_version="", engine_digest="")
    job = Job(study=tmp_path, out=tmp_path, at=datetime(2026, 1, 1, tzinfo=UTC))
    case = load_volume(job, select_series(receive_study(tmp_path)), nobody)
    assert case.reading.source.spectrum is Spectrum.VIRTUAL_NON_CONTRAST
