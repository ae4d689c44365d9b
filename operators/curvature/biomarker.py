"""The biomarker: curvature of the spine, and the sizes of its bodies and of the canal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pydicom.sr.coding import Code

from operators.biomarker import Biomarker, Finding, Overlay, Sentence, Statement, Stroke, Subject, Topic
from operators.curvature import terms
from operators.curvature.measure import measure
from operators.curvature.results import (
    CURVATURE,
    CoronalCurve,
    CurvatureReading,
    NoCurve,
    SagittalAngle,
    VertebraGeometry,
)
from operators.reading.case import Case
from operators.reading.quantity import Measured, Withheld
from operators.reading.reading import SpineReading
from operators.terms import codes
from operators.terms.term import terms_of

SECTION = "Curvature"
SPINE = Topic("spinal curvature", codes.ANATOMICAL_STRUCTURE, codes.SPINE)
BODY = Topic("body section", codes.ANATOMICAL_STRUCTURE, codes.VERTEBRAL_BODY)
CANAL = Topic("spinal canal", codes.ANATOMICAL_STRUCTURE, codes.VERTEBRAL_BODY)
_ANGLE = Subject(terms.EXCLUDED_CURVE, "Angle")
_SIZE = Subject(terms.EXCLUDED_SIZE, "Size")
_BODY = (terms.BODY_AREA, terms.BODY_WIDTH, terms.BODY_DEPTH)
_CANAL = (terms.CANAL_AREA, terms.CANAL_DIAMETER)


def _measure(case: Case) -> Case:
    if case.segmentation is None:
        return case
    return replace(case, reading=case.reading.with_result(CURVATURE, measure(case)))


def _angles(found: CurvatureReading) -> tuple[tuple[Code, SagittalAngle], ...]:
    lordosis = terms.LORDOSIS_TO_L5 if found.lordosis.fallback else terms.LORDOSIS
    return (
        (terms.KYPHOSIS, found.kyphosis),
        (terms.KYPHOSIS_FROM_T5, found.kyphosis_from_t5),
        (lordosis, found.lordosis),
        (terms.THORACOLUMBAR, found.thoracolumbar),
    )


def _findings(reading: SpineReading) -> Iterator[Finding]:
    found = reading.of(CURVATURE)
    if found is None:
        return
    if isinstance(found, Withheld):
        yield Finding(SPINE, (Statement(terms.KYPHOSIS, found, _ANGLE),))
        return
    statements = [Statement(question, one.angle, _ANGLE, note=one.note) for question, one in _angles(found)]
    yield Finding(SPINE, (*statements, *_coronal(found)), notes=(found.note,))
    for vertebra in reading.vertebrae:
        sizes = found.of(vertebra.number)
        if sizes is not None:
            yield Finding(BODY, tuple(_body(sizes)), vertebra)
            notes = () if isinstance(sizes.canal, Withheld) else (sizes.canal.note,)
            yield Finding(CANAL, tuple(_canal(sizes)), vertebra, notes=notes)


def _coronal(found: CurvatureReading) -> Iterator[Statement]:
    curve = found.coronal
    if isinstance(curve, Withheld):
        yield Statement(terms.COBB, curve, _ANGLE)
    elif isinstance(curve, NoCurve):
        yield Statement(terms.COBB_PRESENT, codes.ABSENT, note=curve.statement)
    else:
        yield Statement(terms.COBB_PRESENT, codes.PRESENT, note=curve.note)
        yield Statement(terms.COBB, curve.angle, _ANGLE)
        yield Statement(terms.COBB_UPPER, codes.LEVELS[curve.upper].name)
        yield Statement(terms.COBB_LOWER, codes.LEVELS[curve.lower].name)
        yield Statement(terms.COBB_APEX, codes.LEVELS[curve.apex].name)
        yield Statement(terms.COBB_SIDE, terms.SIDES[curve.convex])


def _body(sizes: VertebraGeometry) -> Iterator[Statement]:
    section = sizes.body
    if isinstance(section, Withheld):
        yield from (Statement(question, section, _SIZE) for question in _BODY)
    else:
        values = (section.area, section.width, section.depth)
        yield from (Statement(question, value, _SIZE) for question, value in zip(_BODY, values, strict=True))


def _canal(sizes: VertebraGeometry) -> Iterator[Statement]:
    section = sizes.canal
    if isinstance(section, Withheld):
        yield from (Statement(question, section, _SIZE) for question in _CANAL)
    else:
        values = (section.area, section.sagittal_diameter)
        yield from (Statement(question, value, _SIZE) for question, value in zip(_CANAL, values, strict=True))


def _sentences(reading: SpineReading) -> Iterator[Sentence]:
    found = reading.of(CURVATURE)
    if not isinstance(found, CurvatureReading) or not reading.vertebrae:
        return
    given = [(question, one.angle) for question, one in _angles(found) if isinstance(one.angle, Measured)]
    if given:
        said = "; ".join(f"{question.meaning} {_degrees(angle)}" for question, angle in given)
        yield Sentence(f"{said}.", section=SECTION)
    curve = found.coronal
    if isinstance(curve, NoCurve):
        yield Sentence(curve.statement, section=SECTION)
    elif isinstance(curve, CoronalCurve):
        text = f"Coronal curve {curve.upper} to {curve.lower}, convex to the {curve.convex}: {_degrees(curve.angle)}."
        yield Sentence(text, section=SECTION)
    missing: dict[str, list[str]] = {}
    for question, one in _angles(found):
        if isinstance(one.angle, Withheld):
            missing.setdefault(one.angle.reason, []).append(question.meaning)
    if isinstance(curve, Withheld):
        missing.setdefault(curve.reason, []).append(terms.COBB.meaning)
    for reason, names in missing.items():
        yield Sentence(f"{', '.join(names)} withheld: {reason}", section=SECTION)
    if given or not isinstance(curve, Withheld):
        yield Sentence(found.note, section=SECTION)


def _degrees(angle: Measured) -> str:
    error = "" if angle.uncertainty is None else f" ± {angle.uncertainty:.0f}°"
    return f"{angle.value:.0f}°{error}"


def _overlays(reading: SpineReading) -> Iterator[Overlay]:
    """The arms of the sagittal angles, the lower one with its angle; a coronal curve's lie across the picture."""
    found = reading.of(CURVATURE)
    if not isinstance(found, CurvatureReading):
        return
    drawn: set[tuple[str, str]] = set()
    for question, one in _angles(found):
        for place, line in enumerate(one.lines):
            is_last = place == len(one.lines) - 1
            label = ""
            if is_last and isinstance(one.angle, Measured):
                label = f"{question.meaning.split()[1]} {_degrees(one.angle)}"
            if label or (line.level, line.plate) not in drawn:
                yield Overlay(line.ends, Stroke.GUIDE, line.level, label)
            drawn.add((line.level, line.plate))


BODY_CURVATURE = Biomarker(
    name="curvature",
    title="Curvature of the spine",
    step="MeasureCurvature",
    measure=_measure,
    findings=_findings,
    sentences=_sentences,
    spine_slots=(CURVATURE,),
    terms=terms_of(terms),
    units=("deg", "cm2", "mm"),
    after=("fractures",),
    overlays=_overlays,
)
