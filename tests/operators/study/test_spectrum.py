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
from operators.study.spectrum import no_section, spectrum_of
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
        ("VirtualNonContrast[HU]", (Spectrum.VIRTUAL_NON_CONTRAST, None)),
        ("virtual non contrast", (Spectrum.VIRTUAL_NON_CONTRAST, None)),
        ("DE_Abdomen_VNC_3.0", (Spectrum.VIRTUAL_NON_CONTRAST, None)),
        ("DE_VNCa_bone", (Spectrum.VIRTUAL_NON_CONTRAST, None)),
        ("GSI 40keV", (Spectrum.MONO_ENERGETIC, 40.0)),
        ("GSI_140_keV_axial", (Spectrum.MONO_ENERGETIC, 140.0)),
        ("70KEV", (Spectrum.MONO_ENERGETIC, 70.0)),
        ("monoenergetic", (Spectrum.MONO_ENERGETIC, None)),
        ("CalciumSuppression 25 [HU*]", (Spectrum.CALCIUM_SUPPRESSED, None)),
        ("Ca supp 50", (Spectrum.CALCIUM_SUPPRESSED, None)),
        ("Abdomen 3.0 DirectDensity", (Spectrum.ELECTRON_DENSITY, None)),
        ("Electron_density[%EDW]", (Spectrum.ELECTRON_DENSITY, None)),
        ("IodineDensity[mg/ml]", (Spectrum.MATERIAL_MAP, None)),
        ("Iodine_no_Water[mg/ml]", (Spectrum.MATERIAL_MAP, None)),
        ("Water(Iodine)", (Spectrum.MATERIAL_MAP, None)),
        ("iodine overlay", (Spectrum.MATERIAL_MAP, None)),
        ("Z Effective / Zeff", (Spectrum.MATERIAL_MAP, None)),
        ("Thorax subtracted", (Spectrum.SUBTRACTION, None)),
        ("CBCT pelvis", (Spectrum.CONE_BEAM, None)),
        ("PCCT spine", (Spectrum.PHOTON_COUNTING, None)),
        # The nearest innocent neighbours.
        ("Abdomen 3.0 W IODINE CONTRAST 100ML", (Spectrum.CONVENTIONAL, None)),
        ("Iodine 350 mg/ml 100 ml", (Spectrum.CONVENTIONAL, None)),
        ("monophasic abdomen", (Spectrum.CONVENTIONAL, None)),
        ("Calcium Score 3.0", (Spectrum.CONVENTIONAL, None)),
        ("TNC true non contrast", (Spectrum.CONVENTIONAL, None)),
        ("Sinus Sn", (Spectrum.CONVENTIONAL, None)),
        ("average intensity 0-90 %", (Spectrum.CONVENTIONAL, None)),
    ],
)
def test_what_descriptions_say(description: str, expected: tuple[Spectrum, float | None]) -> None:
    assert spectrum_of(header(SeriesDescription=description)) == expected


def multi_energy(detector: str) -> Dataset:
    group = header(MultienergyCTXRayDetectorSequence=[header(MultienergyDetectorType=detector)])
    return header(MultienergyCTAcquisition="YES", MultienergyCTAcquisitionSequence=[group])


def derived_by(code: str) -> Dataset:
    item = header(CodeValue=code, CodingSchemeDesignator="DCM")
    return header(ImageType=["DERIVED", "SECONDARY"], RescaleType="HU", DerivationCodeSequence=[item])


@pytest.mark.parametrize(
    "values",
    [
        header(ImageType=["DERIVED", "SECONDARY", "AXIAL", "CT_SOM5 MIP"]),
        header(ImageType=["DERIVED", "SECONDARY", "MPR", "ThickMIP"]),
        header(ImageType=["DERIVED", "SECONDARY", "MIN_IP"]),
        header(ImageType=["DERIVED", "SECONDARY", "AXIAL", "MAX IP"]),
        header(ImageType=["DERIVED", "SECONDARY", "OTHER", "VolumeRendering"]),
        header(ImageType=["DERIVED", "SECONDARY", "PROJECTION IMAGE"]),
        header(ImageType="MIP"),
        header(ImageType=["DERIVED", "SECONDARY", "VR"]),
        header(SeriesDescription="MIP axial 10/3"),
        header(SeriesDescription="Thorax_MinIP_5"),
        header(SeriesDescription="VRT spine"),
        header(DerivationDescription="maximum intensity projection"),
        derived_by("113078"),
        derived_by("113074"),
    ],
    ids=str,
)
def test_projections_and_renderings_are_no_section(values: Dataset) -> None:
    problem = no_section(values)
    assert problem is not None
    assert problem.code == "projection"


@pytest.mark.parametrize(
    "values",
    [
        header(ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]),
        header(SeriesDescription="0.6 I26f for MIP"),
        header(SeriesDescription="Hemipelvis left"),
        header(SeriesDescription="Abdomen VR 3.0"),
        header(SeriesDescription="AveIP 0-90"),
        header(SeriesDescription="average intensity projection"),
        derived_by("113072"),
        derived_by("113049"),
    ],
    ids=str,
)
def test_sections_are_none_of_it(values: Dataset) -> None:
    assert no_section(values) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (header(), Spectrum.CONVENTIONAL),
        (header(ImageType=["ORIGINAL", "PRIMARY", "AXIAL"]), Spectrum.CONVENTIONAL),
        (header(ImageType=["DERIVED", "PRIMARY", "AXIAL", "VMI"]), Spectrum.MONO_ENERGETIC),
        (header(ImageType=["DERIVED", "PRIMARY", "AXIAL", "MAT_REMOVED"]), Spectrum.VIRTUAL_NON_CONTRAST),
        (header(ImageType=["DERIVED", "PRIMARY", "AXIAL", "EFF_ATOMIC_NUM"]), Spectrum.MATERIAL_MAP),
        (header(FilterMaterial="TIN"), Spectrum.TIN_FILTERED),
        (header(FilterType="Sn"), Spectrum.TIN_FILTERED),
        (header(ManufacturerModelName="NAEOTOM Alpha"), Spectrum.PHOTON_COUNTING),
        (multi_energy("PHOTON_COUNTING"), Spectrum.PHOTON_COUNTING),
        (multi_energy("INTEGRATING"), Spectrum.MIXED_ENERGIES),
        (header(RescaleType="HU"), Spectrum.CONVENTIONAL),
        (header(RescaleType="HU_MOD"), Spectrum.CALCIUM_SUPPRESSED),
        (header(RescaleType="US"), Spectrum.UNKNOWN),
        (header(ConvolutionKernel="Sd36f"), Spectrum.ELECTRON_DENSITY),
        (header(ConvolutionKernel=["Sd40d", "3"]), Spectrum.ELECTRON_DENSITY),
        (header(ConvolutionKernel="Br36f"), Spectrum.CONVENTIONAL),
        (header(ProtocolName="GSI Abdomen 50 keV"), Spectrum.MONO_ENERGETIC),
        (header(DerivationDescription="virtual unenhanced"), Spectrum.VIRTUAL_NON_CONTRAST),
        (header(ManufacturerModelName="On-Board Imager"), Spectrum.CONE_BEAM),
        (header(StudyDescription="CBCT"), Spectrum.CONE_BEAM),
        (header(ImageType=["DERIVED", "SECONDARY", "AXIAL"], RescaleType="HU"), Spectrum.CONVENTIONAL),
        (header(ImageType=["DERIVED", "SECONDARY", "AXIAL"]), Spectrum.UNKNOWN),
        (header(ImageType=["DERIVED", "SECONDARY", "AXIAL", "SPLENDID"], RescaleType="HU"), Spectrum.UNKNOWN),
        (header(ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "SPLENDID"]), Spectrum.CONVENTIONAL),
        (header(ImageType=["DERIVED", "PRIMARY", "MPR", "CSA MPR"], RescaleType="HU"), Spectrum.CONVENTIONAL),
        (derived_by("113072"), Spectrum.CONVENTIONAL),
        (derived_by("113062"), Spectrum.SUBTRACTION),
        (derived_by("113052"), Spectrum.MATERIAL_MAP),
        (derived_by("999999"), Spectrum.UNKNOWN),
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
        (Spectrum.CALCIUM_SUPPRESSED, None, Outcome.WITHHOLD, "density"),
        (Spectrum.ELECTRON_DENSITY, None, Outcome.WITHHOLD, "density"),
        (Spectrum.CONE_BEAM, None, Outcome.WITHHOLD, "density"),
        (Spectrum.UNKNOWN, None, Outcome.WITHHOLD, "density"),
        (Spectrum.SUBTRACTION, None, Outcome.WITHHOLD, "all"),
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
