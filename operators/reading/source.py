"""What was read: the series of the study, and the one that was taken, as far as a measurement depends on it."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from operators.reading.quantity import Frozen
from operators.reading.reasons import Reason


class Spectrum(StrEnum):
    """What the CT numbers of a series rest on, as far as its header says it."""

    CONVENTIONAL = "conventional"
    """One tube voltage behind the usual filter, or nothing that says otherwise."""
    TIN_FILTERED = "tin-filtered"
    PHOTON_COUNTING = "photon-counting"
    MIXED_ENERGIES = "mixed-energies"
    """Two tube voltages blended into one image."""
    MONO_ENERGETIC = "virtual mono-energetic"
    VIRTUAL_NON_CONTRAST = "virtual non-contrast"
    MATERIAL_MAP = "material map"
    """No attenuation at all: iodine, fat, uric acid, effective atomic number …"""
    CALCIUM_SUPPRESSED = "calcium-suppressed"
    """Attenuation from which calcium has been taken out, as bone is."""
    ELECTRON_DENSITY = "relative electron density"
    """Electron density on a scale like that of HU; soft tissue agrees, bone reads lower."""
    SUBTRACTION = "subtraction"
    """Difference of two images."""
    CONE_BEAM = "cone-beam"
    """CT numbers of a flat detector, which are not calibrated."""
    UNKNOWN = "derived in an unknown way"
    """Numbers that the header calls derived, or in another unit, in words that are not known."""


class SeriesVerdict(Frozen):
    """Whether one series of the study was read, and why or why not.

    Attributes:
        series_uid: Series Instance UID.
        series_number: Series Number, if there is one.
        modality: Modality, as in the file.
        instances: Number of instances received.
        read: How many of them were read; None where the series was not.
        taken: True for the one series that was read.
        code: Stable name of the reason.
        reason: The reason as a sentence.
    """

    series_uid: str
    series_number: int | None
    modality: str
    instances: int
    read: int | None = None
    taken: bool
    code: Reason
    reason: str


class SourceSeries(Frozen):
    """The series that was read, as far as a measurement depends on it.

    Attributes:
        study_uid, series_uid, frame_of_reference_uid: UIDs; the frame of reference may be missing.
        content_digest: SHA-256 over the instances of the study that were read, hex.
        slices: Number of axial slices.
        rows, columns: Matrix.
        pixel_spacing: Row and column spacing, mm.
        slice_spacing: Distance between slice centres along the normal, mm.
        slice_thickness: Nominal thickness, mm, where the file says it.
        kvp: Tube voltage, kV, where the file says it.
        kernel: Convolution kernel, where the file says it.
        contrast_recorded: True where the file names a contrast agent; the absence proves nothing.
        manufacturer, model: Of the scanner.
        age_years: Age at the study, where birth date or age is known; never a default.
        age_doubt: Why the age that the header says is not believed, where that is so.
        sex: ``M``, ``F`` or ``O``, where known.
        spectrum: What the CT numbers rest on, as far as the header says it.
        mono_energy: keV of a virtual mono-energetic image, where the file says it.
    """

    study_uid: str
    series_uid: str
    frame_of_reference_uid: str | None
    content_digest: str
    slices: int
    rows: int
    columns: int
    pixel_spacing: tuple[float, float]
    slice_spacing: float
    slice_thickness: float | None = None
    kvp: float | None = None
    kernel: str | None = None
    contrast_recorded: bool = False
    manufacturer: str | None = None
    model: str | None = None
    age_years: float | None = None
    age_doubt: str | None = None
    sex: Literal["M", "F", "O"] | None = None
    spectrum: Spectrum = Spectrum.CONVENTIONAL
    mono_energy: float | None = None
