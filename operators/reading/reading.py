"""What Osteon says of a spine: one frozen value that grows from step to step of the graph.

The types know no DICOM tag; the encoders turn a finished reading into SEG, SR, a picture or JSON.
Lengths are in mm, CT numbers in HU, volumes in cm3, points in LPS patient coordinates (mm).
A value that the input cannot support is :class:`Withheld`, with its reason, never a guess or a zero.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from models.anatomy import Anchor, Level
from models.engine import Numbering
from operators.density.findings import (
    CalibrationUse,
    ComparatorFigure,
    Density,
    DensityCategory,
    LevelMean,
    PhantomMaterial,
    Spectrum,
)
from operators.fractures.findings import (
    Agreement,
    Course,
    Deformity,
    DeformityIndex,
    Endplate,
    EndplateForm,
    Endplates,
    HeightChange,
    HeightLine,
    Heights,
    Mimic,
    MimicCode,
    PriorComparison,
    SecondOpinion,
    Shape,
)
from operators.reading.quantity import Frozen, Measured, Point, Quantity, Withheld

__all__ = [
    "Agreement",
    "CalibrationUse",
    "ComparatorFigure",
    "Course",
    "Deformity",
    "DeformityIndex",
    "Density",
    "DensityCategory",
    "Endplate",
    "EndplateForm",
    "Endplates",
    "Frozen",
    "Gate",
    "HeightChange",
    "HeightLine",
    "Heights",
    "LevelMean",
    "Measured",
    "Mimic",
    "MimicCode",
    "Outcome",
    "PhantomMaterial",
    "Point",
    "PriorComparison",
    "Provenance",
    "Quantity",
    "SecondOpinion",
    "SeriesVerdict",
    "Shape",
    "SourceSeries",
    "Spectrum",
    "SpineReading",
    "Vertebra",
    "Withheld",
]


class Outcome(StrEnum):
    """What a quality gate decides."""

    PASS = "pass"
    WARN = "warn"
    WITHHOLD = "withhold"


class Gate(Frozen):
    """One question put to the scan before a number is published.

    Attributes:
        code: Stable short name (``kvp``, ``slice-thickness``, ``contrast`` …).
        outcome: Pass, warn or withhold.
        reason: A sentence, also for a pass.
        applies_to: What the gate guards: ``density`` and ``heights`` are the numbers themselves,
            ``category`` only the class that a density falls into, ``all`` everything.
    """

    code: str
    outcome: Outcome
    reason: str
    applies_to: Literal["density", "heights", "category", "all"] = "all"


class SeriesVerdict(Frozen):
    """Whether one series of the study was read, and why or why not.

    Attributes:
        series_uid: Series Instance UID.
        series_number: Series Number, if there is one.
        modality: Modality, as in the file.
        instances: Number of instances received.
        read: How many of them were read; None where the series was not.
        taken: True for the one series that was read.
        code: Stable short name of the reason.
        reason: The reason as a sentence.
    """

    series_uid: str
    series_number: int | None
    modality: str
    instances: int
    read: int | None = None
    taken: bool
    code: str
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


class Vertebra(Frozen):
    """One vertebra of the reading.

    Attributes:
        number: Value in the instance map, and segment number in the SEG.
        level: The name given to it, and ``alternative`` under the second-best numbering.
        confidence: Probability 0…1 that this is one whole vertebra with this name.
        outline: How sure the outline is, 0…1, whatever the name; None where the engine does not tell.
        complete: False where the border of the volume cuts it.
        centroid: Centre of the vertebral body.
        heights, deformity, density: None until the step that measures them has run; then present
            for every vertebra, withheld inside where need be.
        change: Beside the same vertebra of an earlier reading; None where none was given.
    """

    number: int
    level: Level
    alternative: Level | None = None
    confidence: float
    outline: float | None = None
    complete: bool
    centroid: Point
    heights: Heights | Withheld | None = None
    deformity: Deformity | Withheld | None = None
    density: Density | Withheld | None = None
    change: HeightChange | Withheld | None = None

    @property
    def sure(self) -> float:
        """How sure the outline is; a vertebra of doubtful name can be measured as well as any other."""
        return self.confidence if self.outline is None else self.outline


class Provenance(Frozen):
    """What read the study.

    Attributes:
        pipeline: Version of Osteon.
        engine, engine_version, engine_digest: The segmentation engine and its weights.
        options: Digest of the site's choices that change what is measured, empty for the default.
        second_opinion: SHA-256 of the weights of the second opinion on fractures.
    """

    pipeline: str
    engine: str
    engine_version: str
    engine_digest: str
    options: str = ""
    second_opinion: str = ""


class SpineReading(Frozen):
    """Everything that was found out about one study so far.

    Attributes:
        series: Verdict on every series of the study.
        source: The series that was read.
        provenance: What read it.
        gates: Quality gates with their outcome.
        numbering: How sure the names of the vertebrae are, and by which anchors and margin.
        vertebrae: From head to feet.
        density_category: The class of the whole study's density, None until it was measured.
        attenuation: Mean HU of L1–L3, None until it was measured.
        calibration: How HU became mg/cm3; None where the site has no calibration, withheld with the reason
            where it has and none of them holds for this scan.
        calibrated: Mean mg/cm3 of L1–L3; None where there is no calibration.
        comparator: What another published method makes of the scan; None unless the site asks for it.
        deformity_index: Sum of the grades, None where nothing was graded.
        change: Beside an earlier reading of the same patient; None where none was given, withheld with
            the reason where the two cannot be compared.
        remarks: Sentences for the report that belong to the whole study.
    """

    series: tuple[SeriesVerdict, ...]
    source: SourceSeries
    provenance: Provenance
    gates: tuple[Gate, ...] = ()
    numbering: Numbering = Numbering.NONE
    anchors: tuple[Anchor, ...] = ()
    margin: float = 0.0
    vertebrae: tuple[Vertebra, ...] = ()
    density_category: DensityCategory | Withheld | None = None
    attenuation: LevelMean | Withheld | None = None
    calibration: CalibrationUse | Withheld | None = None
    calibrated: LevelMean | Withheld | None = None
    comparator: ComparatorFigure | Withheld | None = None
    deformity_index: DeformityIndex | None = None
    change: PriorComparison | Withheld | None = None
    remarks: tuple[str, ...] = ()

    def withholding(self, subject: Literal["density", "heights", "category"]) -> Gate | None:
        """The first gate that withholds ``subject``, or None."""
        for gate in self.gates:
            if gate.outcome is Outcome.WITHHOLD and gate.applies_to in (subject, "all"):
                return gate
        return None
