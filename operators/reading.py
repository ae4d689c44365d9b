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


class EndplateForm(StrEnum):
    """How an endplate is bent."""

    EVEN = "even"
    """No deeper than the patient's other endplates."""
    CONCAVE = "concave"
    """Depressed as a whole, as in a biconcave fracture."""
    FOCAL = "focal"
    """A narrow dent in a plate that is otherwise in place, as a node of Schmorl makes it."""


class Endplate(Frozen):
    """The depression of one endplate of a vertebral body.

    Attributes:
        depth: Deepest place below the line between the plate's anterior and posterior part, mm.
        focal_depth: Deepest place below the plate's own smooth curve, mm: what a narrow dent adds.
        focal_width: Extent of that dent, mm; None where there is none.
        form: How the plate is bent.
        deepest: Where ``focal_depth`` was found for a focal dent, else the place of ``depth``.
    """

    depth: Quantity
    focal_depth: Quantity
    focal_width: Measured | None = None
    form: EndplateForm = EndplateForm.EVEN
    deepest: Point | None = None


class Endplates(Frozen):
    """Both endplates of one vertebral body."""

    superior: Endplate | Withheld
    inferior: Endplate | Withheld


class MimicCode(StrEnum):
    """What can look like an osteoporotic fracture, or hide one (science.md §3.6)."""

    SCHMORL = "schmorl-node"
    SCHEUERMANN = "scheuermann"
    DEGENERATIVE = "degenerative"
    SHORT = "short-vertebra"
    LYTIC = "lytic-lesion"
    SCLEROTIC = "sclerotic-lesion"
    HARDWARE = "hardware-nearby"
    CEMENT_NEARBY = "cement-nearby"
    FUSED = "fused"


class Mimic(Frozen):
    """Another explanation of a vertebra's shape, to be weighed by whoever reads.

    Attributes:
        code: Which.
        sentence: What was seen, with its numbers, for the report.
    """

    code: MimicCode
    sentence: str


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
        grade_range: Least and greatest grade within the 95 % interval of the loss, where they differ.
        probability_band: The same probability by the two yardsticks (the vertebra's own posterior height,
            the neighbours' prediction) each on its own, lower first; None with one yardstick only.
        area_loss: Loss of the body's area in its mid-sagittal plane against the area that the expected
            heights enclose, %.
        endplates: How far the endplates are depressed.
        mimics: Other explanations of the shape, possibly none.
        is_endplate_depressed: True where an endplate is depressed as a whole, which a fracture requires
            by the algorithm-based qualitative method (science.md §3.5); None where it was not seen.
    """

    height_loss: Quantity
    grade: Annotated[int, Field(ge=0, le=3)] | None = None
    shape: Shape | None = None
    probability: Annotated[float, Field(ge=0, le=1)] | None = None
    indeterminate: bool = False
    note: str | None = None
    grade_range: tuple[int, int] | None = None
    probability_band: tuple[float, float] | None = None
    area_loss: Quantity | None = None
    endplates: Endplates | None = None
    mimics: tuple[Mimic, ...] = ()
    is_endplate_depressed: bool | None = None


class Course(StrEnum):
    """What became of a vertebra since an earlier reading."""

    NEW = "new fracture"
    """Grade 2 or 3 now, no fracture then."""
    WORSENED = "worsened"
    """A grade more than then, or a height lower by 20 % and 4 mm."""
    STABLE = "no change"
    """Neither."""


class HeightChange(Frozen):
    """One vertebra beside the same vertebra of an earlier reading.

    Attributes:
        course: New, worsened or stable.
        prior_grade: Genant grade then; None where it was not graded.
        anterior, middle, posterior: Change of Ha, Hm and Hp since then, mm; negative where it is lower.
        reason: By which rule, with its numbers, as a sentence.
    """

    course: Course
    prior_grade: Annotated[int, Field(ge=0, le=3)] | None
    anterior: Quantity
    middle: Quantity
    posterior: Quantity
    reason: str


class PriorComparison(Frozen):
    """The comparison of a whole reading with an earlier one of the same patient.

    Attributes:
        prior_study_uid, prior_series_uid: What it was compared with.
        compared: Levels for which both readings have a grade, from head to feet.
        new, worsened: Levels among them with that course.
    """

    prior_study_uid: str
    prior_series_uid: str
    compared: tuple[Level, ...]
    new: tuple[Level, ...] = ()
    worsened: tuple[Level, ...] = ()


class DeformityIndex(Frozen):
    """Spinal Deformity Index: the sum of the Genant grades of T4–L4 (science.md §3.3).

    Attributes:
        value: The sum, 0…39.
        levels: The levels that were graded, from head to feet; fewer than 13 make it a lower bound.
    """

    value: Annotated[int, Field(ge=0, le=39)]
    levels: tuple[Level, ...]


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
        change: Beside the same vertebra of an earlier reading; None where none was given.
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
    change: HeightChange | Withheld | None = None


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
    deformity_index: DeformityIndex | None = None
    change: PriorComparison | Withheld | None = None
    remarks: tuple[str, ...] = ()

    def withholding(self, subject: Literal["density", "heights", "category"]) -> Gate | None:
        """The first gate that withholds ``subject``, or None."""
        for gate in self.gates:
            if gate.outcome is Outcome.WITHHOLD and gate.applies_to in (subject, "all"):
                return gate
        return None
