"""Angles between endplates in the patient's sagittal plane: kyphosis, lordosis, the thoracolumbar angle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.anatomy import Level
from models.engine import Numbering
from operators.body.resampling import Array
from operators.curvature.endplates import EndplatePlane
from operators.curvature.geometry import forward_tilt
from operators.curvature.results import DEGREE, Plate, PlateLine, SagittalAngle
from operators.curvature.spine import Spine
from operators.reading.quantity import Measured, Withheld
from operators.reading.reasons import Reason

Z_95 = 1.96
BEYOND_MM = 8.0
"""How far a drawn arm reaches beyond the body at either end."""


@dataclass(frozen=True)
class Arms:
    """Between which endplates an angle lies.

    Attributes:
        upper, upper_plate, lower, lower_plate: The endplates.
        sign: 1 where bending forward counts as positive, -1 where bending backward does.
    """

    upper: Level
    upper_plate: Plate
    lower: Level
    lower_plate: Plate
    sign: float


KYPHOSIS = Arms(Level.T4, Plate.SUPERIOR, Level.T12, Plate.INFERIOR, 1.0)
KYPHOSIS_FROM_T5 = Arms(Level.T5, Plate.SUPERIOR, Level.T12, Plate.INFERIOR, 1.0)
THORACOLUMBAR = Arms(Level.T10, Plate.SUPERIOR, Level.L2, Plate.INFERIOR, 1.0)
LORDOSIS = Arms(Level.L1, Plate.SUPERIOR, Level.S1, Plate.SUPERIOR, -1.0)
LORDOSIS_TO_L5 = Arms(Level.L1, Plate.SUPERIOR, Level.L5, Plate.INFERIOR, -1.0)


def sagittal_angle(spine: Spine, arms: Arms) -> SagittalAngle:
    """One angle, or the reason why it is not given.

    Args:
        spine: With its endplates.
        arms: Between which of them.
    """
    named = {name: getattr(arms, name) for name in ("upper", "upper_plate", "lower", "lower_plate")}
    upper, lower = spine.plate(arms.upper, arms.upper_plate), spine.plate(arms.lower, arms.lower_plate)
    doubt = spine.fault or _end_in_doubt(spine, arms)
    for fault in (doubt, upper, lower):
        if isinstance(fault, Withheld):
            return SagittalAngle(**named, angle=fault)
    assert isinstance(upper, EndplatePlane)
    assert isinstance(lower, EndplatePlane)
    assert spine.axes is not None
    value = arms.sign * (forward_tilt(upper.normal, spine.axes) - forward_tilt(lower.normal, spine.axes))
    error = Z_95 * float(np.hypot(upper.sagittal_error, lower.sagittal_error))
    backward = spine.axes[1]
    return SagittalAngle(
        **named,
        angle=Measured(value=value, unit=DEGREE, uncertainty=error),
        lines=(
            plate_line(arms.upper, arms.upper_plate, upper, backward),
            plate_line(arms.lower, arms.lower_plate, lower, backward),
        ),
        note=" ".join(notes(spine, arms.upper, arms.lower)) or None,
    )


def lordosis(spine: Spine) -> SagittalAngle:
    """L1 to S1; to the inferior endplate of L5 where S1 cannot be used, which the note says."""
    usual = sagittal_angle(spine, LORDOSIS)
    if isinstance(usual.angle, Measured) or not isinstance(spine.plate(Level.S1, Plate.SUPERIOR), Withheld):
        return usual
    other = sagittal_angle(spine, LORDOSIS_TO_L5)
    if isinstance(other.angle, Withheld):
        return other.model_copy(update={"fallback": True})
    said = f"{usual.angle.reason} Measured to the inferior endplate of L5 instead, without the lumbosacral disc."
    note = f"{said} {other.note}" if other.note else said
    return other.model_copy(update={"fallback": True, "note": note})


def plate_line(level: Level, which: Plate, plane: EndplatePlane, direction: Array) -> PlateLine:
    """The arm along an endplate in a direction, a little longer than the body."""
    across = np.abs(plane.frame.axes[:2] @ direction)
    half = plane.frame.size[int(across.argmax())] / 2 + BEYOND_MM
    first, second = ((float(x), float(y), float(z)) for x, y, z in plane.ends(direction, half))
    return PlateLine(level=level, plate=which, ends=(first, second))


def notes(spine: Spine, upper: Level, lower: Level) -> list[str]:
    """What limits an angle between two levels, as sentences."""
    said = [note for level in (upper, lower) if (note := spine.fracture_note(level)) is not None]
    extra = [
        v.level
        for v in spine.reading.vertebrae
        if v.level in (Level.T13, Level.L6) and upper.rank < v.level.rank < lower.rank
    ]
    if extra:
        said.append(f"The spine has {' and '.join(extra)}, which the angle takes in.")
    if spine.reading.numbering is Numbering.RELATIVE:
        said.append("Nothing in view fixes the numbering; the levels rest on the shape of the vertebrae.")
    return said


def _end_in_doubt(spine: Spine, arms: Arms) -> Withheld | None:
    """Why the name of an end is in doubt though the spine's numbering is not."""
    for level in (arms.upper, arms.lower):
        vertebra = spine.vertebra(level)
        if vertebra is not None and vertebra.alternative is not None:
            reason = f"{level} may be {vertebra.alternative}: an angle needs ends whose names are sure."
            return Withheld(code=Reason.NUMBERING, reason=reason)
    return None
