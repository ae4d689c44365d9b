"""The biomarker: heights of the vertebral bodies and the fractures that they show."""

from __future__ import annotations

from collections.abc import Iterator

from operators.biomarker import Biomarker, Column, Flag, Overlay, Stroke, Weight
from operators.fractures import terms
from operators.fractures.detect import detect_fractures
from operators.fractures.findings import findings
from operators.fractures.results import DEFORMITY, DEFORMITY_INDEX, HEIGHTS, Agreement, Deformity, EndplateForm, Heights
from operators.fractures.sentences import sentences
from operators.fractures.verdict import SEVERITY, deformity_of, evaluated, grade_of, is_fractured, may_have_collapsed
from operators.reading.quantity import Measured, Withheld
from operators.reading.reading import SpineReading
from operators.reading.reasons import Reason
from operators.reading.vertebra import Vertebra
from operators.terms.term import terms_of

_LOSS_LEGEND = "loss of height against that expected from the vertebra itself, its neighbours and norms"
_SILENT = frozenset({Reason.LEVEL_NOT_GRADED})
"""Reasons that hold for whole parts of the spine and that the legend gives."""


def _anterior(vertebra: Vertebra) -> str | None:
    heights = vertebra.of(HEIGHTS)
    return _number(heights.anterior, 1) if isinstance(heights, Heights) else None


def _middle(vertebra: Vertebra) -> str | None:
    heights = vertebra.of(HEIGHTS)
    return _number(heights.middle, 1) if isinstance(heights, Heights) else None


def _posterior(vertebra: Vertebra) -> str | None:
    heights = vertebra.of(HEIGHTS)
    return _number(heights.posterior, 1) if isinstance(heights, Heights) else None


def _loss(vertebra: Vertebra) -> str | None:
    deformity = deformity_of(vertebra)
    return None if deformity is None else _number(deformity.height_loss, 0)


def _number(quantity: Measured | Withheld, digits: int) -> str | None:
    # A loss of -0.3 % rounds to "-0", which reads as a typing error.
    return f"{round(quantity.value, digits) + 0.0:.{digits}f}" if isinstance(quantity, Measured) else None


def _grade(vertebra: Vertebra) -> str | None:
    deformity = deformity_of(vertebra)
    if deformity is None or deformity.grade is None:
        return None
    if not deformity.grade:
        return "0"
    shape = f", {deformity.shape.value}" if deformity.shape else ""
    return f"{deformity.grade} {SEVERITY[deformity.grade]}{shape}"


def _flag(_: SpineReading, vertebra: Vertebra) -> Flag | None:
    if may_have_collapsed(vertebra):
        return Flag(Weight.REVIEW, "possible collapse")
    deformity, grade = deformity_of(vertebra), grade_of(vertebra) or 0
    if deformity is None:
        return None
    label = f"grade {grade}" if grade else ""
    if is_fractured(vertebra):
        return Flag(Weight.FINDING, f"vertebral fracture, Genant {grade}", label, f"fracture, Genant {grade}")
    full_label = f"Genant {grade}" if grade else ""
    if grade:
        return Flag(Weight.REVIEW, "mild height loss", label, full_label)
    if deformity.indeterminate:
        return Flag(Weight.REVIEW, "between the grades")
    if deformity.agreement is Agreement.ONLY_SECOND:
        return Flag(Weight.REVIEW, "possible fracture by the second opinion")
    return None


def _notes(vertebra: Vertebra) -> Iterator[str]:
    heights, deformity = vertebra.of(HEIGHTS), vertebra.of(DEFORMITY)
    if isinstance(deformity, Deformity):
        if deformity.indeterminate:
            yield "Borderline between the grades: to be looked at."
        if deformity.agreement is Agreement.ONLY_SECOND:
            yield "The learned second opinion alone sees a moderate or severe fracture: to be looked at."
        if deformity.grade_range is not None and (deformity.grade or deformity.indeterminate):
            low, high = deformity.grade_range
            yield f"Within its uncertainty the grade is {low} to {high}."
        if deformity.note and (deformity.grade or deformity.indeterminate):
            yield deformity.note
        yield from _plates(deformity)
    three = (heights.anterior, heights.middle, heights.posterior) if isinstance(heights, Heights) else (heights,)
    withheld = [value for value in three if isinstance(value, Withheld)]
    for value in withheld:
        yield f"Heights withheld: {value.reason}"
    loss = deformity.height_loss if isinstance(deformity, Deformity) else deformity
    if isinstance(loss, Withheld) and loss not in withheld and loss.code not in _SILENT:
        yield f"Grade withheld: {loss.reason}"


def _plates(deformity: Deformity) -> Iterator[str]:
    """What is unusual about the endplates; that one is even goes without saying."""
    if deformity.endplates is None:
        return
    for name, plate in (("Superior", deformity.endplates.superior), ("Inferior", deformity.endplates.inferior)):
        if isinstance(plate, Withheld) or plate.form is EndplateForm.EVEN:
            continue
        if plate.form is EndplateForm.CONCAVE:
            yield f"{name} endplate depressed as a whole."
        elif isinstance(plate.focal_depth, Measured):
            yield f"{name} endplate with a narrow dent of {plate.focal_depth.value:.1f} mm."
    if deformity.is_endplate_depressed:
        yield "An endplate is depressed, as a fracture requires."


def _overlays(reading: SpineReading) -> Iterator[Overlay]:
    for vertebra in reading.vertebrae:
        heights = vertebra.of(HEIGHTS)
        for line in (heights.lines or ()) if isinstance(heights, Heights) else ():
            yield Overlay((line.superior, line.inferior), Stroke.CALIPER, vertebra.level)


def _weights() -> str:
    # Imported when asked for: torch takes seconds to import, and encoders and terminal do without it.
    from operators.fractures.second_opinion import second_opinion_digest

    return second_opinion_digest()


def _lacking(reading: SpineReading) -> str | None:
    return None if evaluated(reading.vertebrae) else "no vertebra graded"


FRACTURES = Biomarker(
    name="fractures",
    title="Vertebral fractures",
    step="DetectFractures",
    measure=detect_fractures,
    findings=findings,
    sentences=sentences,
    vertebra_slots=(HEIGHTS, DEFORMITY),
    spine_slots=(DEFORMITY_INDEX,),
    terms=terms_of(terms),
    units=("mm", "%", "{grade}", "{score}", "{vertebrae}"),
    columns=(
        Column("Ha", "anterior height", "mm", _anterior, 5.6),
        Column("Hm", "middle height", "mm", _middle, 5.6),
        Column("Hp mm", "posterior height", "mm", _posterior, 6.6),
        Column("Loss %", "height loss", "%", _loss, 6.8, is_telling=True, legend=_LOSS_LEGEND),
        Column("Grade", "Genant grade", "", _grade, 0, is_text=True, is_telling=True, legend="Genant, T4 to L4 only"),
    ),
    notes=_notes,
    flag=_flag,
    overlays=_overlays,
    weights=_weights,
    lacking=_lacking,
)
