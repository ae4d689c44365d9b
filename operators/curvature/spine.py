"""The endplates of a whole spine by level, or why one cannot be used."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.anatomy import Level
from models.engine import Numbering, SpineSegmentation
from operators.body.frame import Body
from operators.body.instance_faults import instance_faults
from operators.body.locate import bodies_of, measurable_body, surfaces_of, unfit_outline
from operators.body.resampling import Array
from operators.curvature.endplates import BodyPlates, EndplatePlane, body_plates
from operators.curvature.geometry import patient_axes
from operators.curvature.results import Plate
from operators.curvature.sacrum import sacral_plate
from operators.fractures.results import DEFORMITY, Deformity
from operators.quality.gates import METAL_CM3, metal_within
from operators.reading.case import Case
from operators.reading.quantity import Withheld
from operators.reading.reading import SpineReading
from operators.reading.reasons import Reason
from operators.reading.source import SourceSeries
from operators.reading.vertebra import Vertebra

MEASURED = tuple(level for level in Level if Level.T1.rank <= level.rank <= Level.L6.rank)
"""Levels whose bodies are measured."""
THICKEST_MM = 3.0
"""Slices up to which an endplate's direction is seen (docs/curvature.md)."""
ROUNDING_MM = 0.05
NOTHING = Withheld(code=Reason.NO_SPINE, reason="No vertebra was found that could be measured.")


@dataclass(frozen=True)
class Measurable:
    """A vertebra whose endplates were looked at.

    Attributes:
        vertebra: As in the reading.
        body: Its mask and first frame.
        plates: Its endplates.
    """

    vertebra: Vertebra
    body: Body
    plates: BodyPlates


@dataclass(frozen=True)
class Spine:
    """Endplates and axes of a spine.

    Attributes:
        reading: What is known of the study.
        fault: Why no angle at all can be given, or None.
        found: Every vertebra by number, from head to feet.
        sacral: The superior endplate of S1.
        axes: Rows left, posterior, superior of the patient; None where no vertebra could be measured.
    """

    reading: SpineReading
    fault: Withheld | None
    found: Mapping[int, Measurable | Withheld]
    sacral: EndplatePlane | Withheld
    axes: Array | None

    def vertebra(self, level: Level) -> Vertebra | None:
        """The vertebra of that name, or None."""
        return next((v for v in self.reading.vertebrae if v.level is level), None)

    def plate(self, level: Level, which: Plate) -> EndplatePlane | Withheld:
        """The plane of an endplate; the reason names the vertebra."""
        vertebra = self.vertebra(level)
        if vertebra is None:
            return Withheld(code=Reason.NO_LEVEL, reason=f"{level} is not in view.")
        one = self.found[vertebra.number]
        own = one if isinstance(one, Withheld) else one.plates.plate(which)
        plane = self.sacral if level is Level.S1 else own
        return Withheld(code=plane.code, reason=f"{level}: {plane.reason}") if isinstance(plane, Withheld) else plane

    def fracture_note(self, level: Level) -> str | None:
        """The sentence that an end of an angle is fractured, or None."""
        vertebra = self.vertebra(level)
        if vertebra is None:
            return None
        deformity = vertebra.of(DEFORMITY)
        if not isinstance(deformity, Deformity) or not deformity.grade:
            return None
        return (
            f"{level}, an end of this angle, is fractured (grade {deformity.grade}): its endplate is part of the angle."
        )


def look_at(case: Case, masks_only: bool = False) -> Spine:
    """Locate the bodies of a case and fit their endplates. The case stays as it is.

    Args:
        case: With a volume, and a segmentation if there is one.
        masks_only: Fit endplates to the masks and not to the image: for a label map without one.
    """
    reading = case.reading
    fault = NOTHING if case.segmentation is None else scan_fault(reading)
    if fault is not None or case.segmentation is None:
        nothing = fault or NOTHING
        return Spine(reading, nothing, {v.number: nothing for v in reading.vertebrae}, nothing, None)
    with warnings.catch_warnings():
        # Columns that miss the bone are NaN by design; their medians are NaN, not a problem.
        warnings.filterwarnings("ignore", "(All-NaN|Mean of empty|Degrees of freedom)", RuntimeWarning)
        return _looked_at(case, case.segmentation, masks_only)


def _looked_at(case: Case, segmentation: SpineSegmentation, masks_only: bool) -> Spine:
    reading = case.reading
    bodies = bodies_of(case)
    whole = {v.number: b for v in reading.vertebrae if v.complete and isinstance(b := bodies.get(v.number), Body)}
    faults = instance_faults(whole, [v.number for v in reading.vertebrae])
    found = {
        v.number: faults.get(v.number) or _measurable(case, v, bodies.get(v.number), masks_only)
        for v in reading.vertebrae
    }
    seen = [one for one in found.values() if isinstance(one, Measurable)]
    axes = None
    if seen:
        frames = [one.plates.frame for one in seen]
        axes = patient_axes(np.stack([f.axes[0] for f in frames]), np.stack([f.origin for f in frames]))
    fault = names_fault(reading) or (None if seen else NOTHING)
    return Spine(reading, fault, found, _sacral(case, found), axes)


def scan_fault(reading: SpineReading) -> Withheld | None:
    """Why nothing can be measured on this scan, or None."""
    gate = reading.withholding("heights")
    if gate is not None:
        return Withheld(code=gate.code, reason=gate.reason)
    thickness = slice_mm(reading.source)
    if thickness > THICKEST_MM + ROUNDING_MM:
        reason = f"Slices of {thickness:.2g} mm show no direction of an endplate; {THICKEST_MM:g} mm is the limit."
        return Withheld(code=Reason.SLICE_THICKNESS, reason=reason)
    return None


def slice_mm(source: SourceSeries) -> float:
    """Thickness or spacing of the slices, the larger, mm."""
    return max(source.slice_thickness or 0.0, source.slice_spacing)


def names_fault(reading: SpineReading) -> Withheld | None:
    """Why an angle between named vertebrae cannot be given, or None."""
    if reading.numbering in (Numbering.ANCHORED, Numbering.RELATIVE):
        return None
    reason = "The names of the vertebrae are in doubt, and with them which of them an angle is measured between."
    return Withheld(code=Reason.NUMBERING, reason=reason)


def _measurable(
    case: Case, vertebra: Vertebra, body: Body | Withheld | None, masks_only: bool
) -> Measurable | Withheld:
    if vertebra.level not in MEASURED:
        return Withheld(
            code=Reason.LEVEL_NOT_MEASURED, reason="Bodies are measured from the first thoracic to the last lumbar."
        )
    body = measurable_body(vertebra, body)
    if isinstance(body, Withheld):
        return body
    if metal_within(case.volume, body.mask.points) > METAL_CM3:
        return Withheld(code=Reason.METAL, reason="Metal in the vertebral body hides its endplates.")
    surfaces = None if masks_only else surfaces_of(case, body)
    return Measurable(vertebra, body, body_plates(body, surfaces))


def _sacral(case: Case, found: Mapping[int, Measurable | Withheld]) -> EndplatePlane | Withheld:
    """The superior endplate of S1, found below the last lumbar vertebra."""
    order = case.reading.vertebrae
    place = next((i for i, v in enumerate(order) if v.level is Level.S1), None)
    if place is None or case.segmentation is None:
        return Withheld(code=Reason.NO_LEVEL, reason="S1 is not in view.")
    unfit = unfit_outline(order[place])
    if unfit is not None:
        return unfit
    above = found[order[place - 1].number] if place else None
    if not isinstance(above, Measurable) or isinstance(above.plates.inferior, Withheld):
        return Withheld(
            code=Reason.NO_BODY, reason="The body above S1, by which its endplate is found, was not measured."
        )
    return sacral_plate(case.segmentation, order[place].number, above.plates.inferior)
