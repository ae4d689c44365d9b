"""What Osteon says of a spine: one frozen value that grows from step to step of the graph.

The types know no DICOM tag; the encoders turn a finished reading into SEG, SR, a picture or JSON.
Lengths are in mm, CT numbers in HU, volumes in cm3, points in LPS patient coordinates (mm).
A value that the input cannot support is :class:`Withheld`, with its reason, never a guess or a zero.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.anatomy import Anchor, Level
from models.engine import Numbering

Point = tuple[float, float, float]
"""A point in LPS patient coordinates, mm."""


class Frozen(BaseModel):
    """A value: immutable, compared by content, refusing fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Measured(Frozen):
    """A number with its unit.

    Attributes:
        value: The number.
        unit: UCUM code (``mm``, ``%``, ``[hnsf'U]``, ``cm3`` …).
        uncertainty: Half-width of the 95 % interval in the same unit, where it is known.
    """

    kind: Literal["measured"] = "measured"
    value: float
    unit: str
    uncertainty: float | None = None


class Withheld(Frozen):
    """A number that is not given, and why.

    Attributes:
        code: Stable short name of the reason (``incomplete``, ``kvp``, ``metal`` …).
        reason: The reason as a sentence for the report.
    """

    kind: Literal["withheld"] = "withheld"
    code: str
    reason: str


Quantity = Annotated[Measured | Withheld, Field(discriminator="kind")]


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
        taken: True for the one series that was read.
        code: Stable short name of the reason.
        reason: The reason as a sentence.
    """

    series_uid: str
    series_number: int | None
    modality: str
    instances: int
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
        sex: ``M``, ``F`` or ``O``, where known.
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
    sex: Literal["M", "F", "O"] | None = None


class HeightLine(Frozen):
    """Where a height was measured: from the superior to the inferior endplate."""

    superior: Point
    inferior: Point


class Heights(Frozen):
    """The three heights of a vertebral body in its own mid-sagittal plane, mm.

    Attributes:
        anterior, middle, posterior: Ha, Hm, Hp.
        lines: Where they were measured, in the same order.
    """

    anterior: Quantity
    middle: Quantity
    posterior: Quantity
    lines: tuple[HeightLine, HeightLine, HeightLine] | None = None


class Shape(StrEnum):
    """Which height is reduced."""

    WEDGE = "wedge"
    BICONCAVE = "biconcave"
    CRUSH = "crush"


class Deformity(Frozen):
    """Height loss of one vertebra and the grade that it gives.

    Attributes:
        height_loss: Loss against the expected height, %.
        grade: Genant semiquantitative grade 0…3 by height loss; None where it is withheld.
        shape: Which height is reduced, for grades above 0.
        probability: Probability that the grade is 2 or 3, given the uncertainty of the heights and
            the spread of intact vertebrae; None where it is not known.
        indeterminate: True where that probability is too near to one half to decide.
        note: What speaks for or against a fracture, as a sentence.
    """

    height_loss: Quantity
    grade: Annotated[int, Field(ge=0, le=3)] | None = None
    shape: Shape | None = None
    probability: Annotated[float, Field(ge=0, le=1)] | None = None
    indeterminate: bool = False
    note: str | None = None


class Density(Frozen):
    """CT numbers of the trabecular middle of one vertebral body.

    Attributes:
        mean, median, deviation: HU.
        volume: Volume of the region, cm3.
        voxels: Number of voxels in it.
        outline: The region's outline in the vertebra's own mid-sagittal plane, for the picture.
    """

    mean: Quantity
    median: Quantity
    deviation: Quantity
    volume: Quantity
    voxels: int
    outline: tuple[Point, ...] = ()


class Vertebra(Frozen):
    """One vertebra of the reading.

    Attributes:
        number: Value in the instance map, and segment number in the SEG.
        level: The name given to it, and ``alternative`` under the second-best numbering.
        confidence: Probability 0…1 that this is one whole vertebra with this name.
        complete: False where the border of the volume cuts it.
        centroid: Centre of the vertebral body.
        heights, deformity, density: None until the step that measures them has run; then present
            for every vertebra, withheld inside where need be.
    """

    number: int
    level: Level
    alternative: Level | None = None
    confidence: float
    complete: bool
    centroid: Point
    heights: Heights | Withheld | None = None
    deformity: Deformity | Withheld | None = None
    density: Density | Withheld | None = None


class DensityCategory(Frozen):
    """The class that trabecular attenuation falls into. Not a T-score and not a diagnosis.

    Attributes:
        rule: Id of the rule that decided, such as ``ISCD-L1-HU-100-150``.
        level: The vertebra whose value decided.
        value: That value, HU.
        category: The class.
        near_limit: True where the value lies within the guard band of a limit of the rule.
        note: What limits the statement, as a sentence.
    """

    rule: str
    level: Level
    value: Measured
    category: Literal["osteoporosis likely", "indeterminate", "normal density likely"]
    near_limit: bool = False
    note: str | None = None


class Provenance(Frozen):
    """What read the study.

    Attributes:
        pipeline: Version of Osteon.
        engine, engine_version, engine_digest: The segmentation engine and its weights.
        options: Digest of the site's choices that change what is measured, empty for the default.
    """

    pipeline: str
    engine: str
    engine_version: str
    engine_digest: str
    options: str = ""


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
    remarks: tuple[str, ...] = ()

    def withholding(self, subject: Literal["density", "heights", "category"]) -> Gate | None:
        """The first gate that withholds ``subject``, or None."""
        for gate in self.gates:
            if gate.outcome is Outcome.WITHHOLD and gate.applies_to in (subject, "all"):
                return gate
        return None
