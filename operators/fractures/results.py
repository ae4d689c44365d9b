"""Result types on the shape of one vertebra and on a spine's fractures, and the slots that they lie in."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from models.anatomy import Level
from operators.reading.quantity import Frozen, Measured, Point, Quantity, Withheld
from operators.reading.slots import Slot


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
    """What can look like an osteoporotic fracture, or hide one (docs/science.md §3.6)."""

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


class Agreement(StrEnum):
    """How morphometry and the learned second opinion stand to each other (docs/science.md §18.2)."""

    AGREEING = "agreeing"
    """The second opinion says grade 2 or 3, and the heights have lost 20 % or more."""
    ONLY_SECOND = "only the second opinion"
    """It says grade 2 or 3, and the heights have grade 0 or none: a possible fracture, to be reviewed."""
    ONLY_MORPHOMETRY = "only the morphometry"
    """The heights have grade 2 or 3, and it says less: to be reviewed."""
    NEITHER = "neither"
    """Neither says grade 2 or 3."""


class SecondOpinion(Frozen):
    """What a network says that looks at the straightened image of a vertebra; it was trained on simulated fractures.

    Attributes:
        probability: That the grade is 2 or 3.
        grade: 0…3: the highest grade that is at least as likely as not.
    """

    probability: Annotated[float, Field(ge=0, le=1)]
    grade: Annotated[int, Field(ge=0, le=3)]


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
            by the algorithm-based qualitative method (docs/science.md §3.5); None where it was not seen.
        second_opinion: Of a network, beside the grade and without influence on it; None where it was not asked.
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
    second_opinion: SecondOpinion | None = None

    @property
    def agreement(self) -> Agreement | None:
        """Of both; None without a second opinion."""
        if self.second_opinion is None:
            return None
        own, second = self.grade or 0, self.second_opinion.grade
        if second >= 2:
            return Agreement.AGREEING if own >= 1 else Agreement.ONLY_SECOND
        return Agreement.ONLY_MORPHOMETRY if own >= 2 else Agreement.NEITHER


class DeformityIndex(Frozen):
    """Spinal Deformity Index: the sum of the Genant grades of T4–L4 (docs/science.md §3.3).

    Attributes:
        value: The sum, 0…39.
        levels: The levels that were graded, from head to feet.
        is_lower_bound: True where a level of T4 to L4 has no grade.
    """

    value: Annotated[int, Field(ge=0, le=39)]
    levels: tuple[Level, ...]
    is_lower_bound: bool = False


HEIGHTS = Slot("heights", Heights)
"""On a vertebra: the three heights of its body."""
DEFORMITY = Slot("deformity", Deformity)
"""On a vertebra: height loss and grade."""
DEFORMITY_INDEX = Slot("deformity_index", DeformityIndex)
"""On the spine."""
