"""What a reading says of the shape of the spine: angles between endplates, and cross-sections of its bodies."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from models.anatomy import Level
from operators.reading.quantity import Frozen, Measured, Point, Quantity, Withheld
from operators.reading.slots import Slot

DEGREE, MILLIMETRE, SQUARE_CENTIMETRE = "deg", "mm", "cm2"
"""UCUM codes."""


class Plate(StrEnum):
    """One of the two endplates of a vertebral body."""

    SUPERIOR = "superior"
    INFERIOR = "inferior"


class Posture(StrEnum):
    """How the patient lay in the scanner; an angle of the spine depends on it."""

    SUPINE = "supine"
    PRONE = "prone"
    ON_THE_SIDE = "on the side"
    LYING = "lying"
    """The images do not say how."""


class PlateLine(Frozen):
    """An arm of an angle: the line along an endplate, to be drawn on the picture.

    Attributes:
        level, plate: Which endplate.
        ends: On the fitted plane: the front and the back end for an angle in the sagittal plane, the right
            and the left end for one in the coronal plane.
    """

    level: Level
    plate: Plate
    ends: tuple[Point, Point]


class SagittalAngle(Frozen):
    """An angle between two endplates in the patient's sagittal plane.

    Attributes:
        upper, upper_plate: The endplate from which the angle is taken.
        lower, lower_plate: The endplate to which it is taken.
        angle: Degrees, or why it is not given. Positive in the direction that the angle is named after: kyphosis
            bends forward, lordosis backward; the thoracolumbar angle is positive in kyphosis.
        fallback: True where another lower end stands in for the usual one.
        lines: The two arms; empty where the angle is withheld.
        note: What limits the angle, as sentences.
    """

    upper: Level
    upper_plate: Plate
    lower: Level
    lower_plate: Plate
    angle: Quantity
    fallback: bool = False
    lines: tuple[PlateLine, ...] = ()
    note: str | None = None


class CoronalCurve(Frozen):
    """The largest coronal curve, where it has 10 degrees or more.

    Attributes:
        upper, lower: The end vertebrae; the angle lies between the upper one's superior and the lower one's
            inferior endplate.
        apex: The vertebra between them that lies farthest to the convex side of the patient's long axis.
        convex: The side towards which the curve bulges.
        angle: Cobb angle, degrees.
        lines: The two arms.
        note: What limits the angle, as sentences.
    """

    kind: Literal["curve"] = "curve"
    upper: Level
    lower: Level
    apex: Level
    convex: Literal["left", "right"]
    angle: Measured
    lines: tuple[PlateLine, ...]
    note: str | None = None


class NoCurve(Frozen):
    """The finding that no coronal curve reaches 10 degrees.

    Attributes:
        first, last: The levels between which curves were looked for.
        statement: The finding as a sentence.
    """

    kind: Literal["none"] = "none"
    first: Level
    last: Level
    statement: str


Coronal = Annotated[CoronalCurve | NoCurve | Withheld, Field(discriminator="kind")]


class BodySection(Frozen):
    """The cross-section of a vertebral body midway between its endplates, at right angles to their bisector.

    Attributes:
        area: cm2.
        width: Left-right extent, mm.
        depth: Front-back extent, mm.
    """

    area: Measured
    width: Measured
    depth: Measured


class CanalSection(Frozen):
    """The spinal canal in the plane of the body's cross-section.

    Attributes:
        area: cm2.
        sagittal_diameter: Front-back extent in the middle of the canal, mm.
        note: What limits the numbers, as a sentence.
    """

    area: Measured
    sagittal_diameter: Measured
    note: str


class VertebraGeometry(Frozen):
    """Sizes of one vertebra.

    Attributes:
        number: Value in the instance map.
        level: Its name.
        body, canal: Its cross-sections, or why there are none.
    """

    number: int
    level: Level
    body: BodySection | Withheld
    canal: CanalSection | Withheld


class CurvatureReading(Frozen):
    """The shape of the spine.

    Attributes:
        vertebrae: From head to feet, every vertebra of the reading.
        kyphosis: Superior endplate of T4 to inferior endplate of T12.
        kyphosis_from_t5: Superior endplate of T5 to inferior endplate of T12: T4 is often hidden or not in view.
        lordosis: Superior endplate of L1 to superior endplate of S1; inferior endplate of L5 as the fallback.
        thoracolumbar: Superior endplate of T10 to inferior endplate of L2.
        coronal: The largest coronal curve between T4 and L5.
        posture: How the patient lay.
        note: The sentence that says so, and what it means for the angles.
    """

    vertebrae: tuple[VertebraGeometry, ...]
    kyphosis: SagittalAngle
    kyphosis_from_t5: SagittalAngle
    lordosis: SagittalAngle
    thoracolumbar: SagittalAngle
    coronal: Coronal
    posture: Posture
    note: str

    def of(self, number: int) -> VertebraGeometry | None:
        """Sizes of the vertebra with this value in the instance map, or None."""
        return next((v for v in self.vertebrae if v.number == number), None)


CURVATURE = Slot("curvature", CurvatureReading)
"""On the spine: its angles, and the sizes of every vertebra."""
