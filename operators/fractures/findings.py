"""What was found on the shape of the vertebral bodies, as coded questions and answers."""

from __future__ import annotations

from collections.abc import Iterator

from operators.biomarker import SPINE_SUMMARY, VERTEBRA, Count, Finding, Statement, Subject, Topic
from operators.fractures import terms
from operators.fractures.results import (
    DEFORMITY,
    DEFORMITY_INDEX,
    HEIGHTS,
    Deformity,
    DeformityIndex,
    Endplate,
    EndplateForm,
    Endplates,
    Heights,
)
from operators.fractures.sentences import deformity_phrase
from operators.fractures.verdict import (
    Fracture,
    deformity_of,
    evaluated,
    fracture_of,
    fracture_of_spine,
    grade_of,
    is_fractured,
)
from operators.reading.quantity import Measured, Withheld
from operators.reading.reading import SpineReading
from operators.reading.vertebra import Vertebra
from operators.terms import codes, frame
from operators.terms.levels import level_names

FRACTURE = Topic("vertebral fracture", codes.ABNORMAL_STRUCTURE, codes.COMPRESSION_FRACTURE, is_digest=True)
SHAPE = Topic("vertebral body shape", codes.ANATOMICAL_STRUCTURE, codes.VERTEBRAL_BODY)
ENDPLATES = Topic("endplates", codes.ANATOMICAL_STRUCTURE, codes.VERTEBRAL_BODY)

WORTH_TELLING = 0.05
"""Probability of a fracture below which the two yardsticks' own figures are noise (the project's own)."""

_HEIGHTS = Subject(terms.EXCLUDED_HEIGHTS, "Heights")
_GRADE = Subject(terms.EXCLUDED_GRADE, "Height loss and grade")
_SHAPE = Subject(terms.EXCLUDED_SHAPE, "Area loss or endplates")


def findings(reading: SpineReading) -> Iterator[Finding]:
    """The spine's count of fractures, every fracture, and every vertebra with its heights, shape and endplates."""
    yield _summary(reading)
    for vertebra in reading.vertebrae:
        deformity = deformity_of(vertebra)
        if deformity is not None and is_fractured(vertebra):
            yield _fracture(vertebra, deformity)
    for vertebra in reading.vertebrae:
        yield _vertebra(vertebra)
        deformity = deformity_of(vertebra)
        if deformity is not None:
            yield from _shape(vertebra, deformity)


def _summary(reading: SpineReading) -> Finding:
    known = evaluated(reading.vertebrae)
    fractures = sum(fracture_of(vertebra) is Fracture.PRESENT for vertebra in known)
    mild = sum(grade_of(vertebra) == 1 for vertebra in known)
    worst = max(filter(is_fractured, known), key=lambda vertebra: grade_of(vertebra) or 0, default=None)
    statements = [
        Statement(codes.COMPRESSION_FRACTURE, fracture_of_spine(reading).code),
        Statement(frame.EVALUATED_COUNT, Count(len(known), "{vertebrae}")),
        Statement(terms.FRACTURE_COUNT, Count(fractures, "{vertebrae}")),
        Statement(terms.MILD_COUNT, Count(mild, "{vertebrae}")),
    ]
    index = reading.of(DEFORMITY_INDEX)
    if isinstance(index, DeformityIndex):
        question = terms.INDEX_LOWER_BOUND if index.is_lower_bound else terms.DEFORMITY_INDEX
        graded = f"Levels graded: {level_names(index.levels)}."
        statements.append(Statement(question, Count(index.value, "{score}"), note=graded))
    elif isinstance(index, Withheld):
        statements.append(Statement(terms.DEFORMITY_INDEX, index, _GRADE))
    return Finding(SPINE_SUMMARY, tuple(statements), levels=() if worst is None else (worst.level,))


def _fracture(vertebra: Vertebra, deformity: Deformity) -> Finding:
    """A fracture by itself, for viewers that list groups: what its vertebra and its shape say again."""
    statements = [
        *_grade_statements(vertebra),
        *_grade_number(deformity),
        Statement(terms.HEIGHT_LOSS, deformity.height_loss, _GRADE),
        *_area_loss(deformity),
        *_probability(deformity),
    ]
    return Finding(
        FRACTURE,
        tuple(statements),
        vertebra,
        notes=(f"Vertebral fracture: {deformity_phrase(vertebra, deformity)}.", *_limits(deformity)),
    )


def _vertebra(vertebra: Vertebra) -> Finding:
    """The fracture, the grade and the three heights."""
    statements = [*_grade_statements(vertebra), *_height_statements(vertebra)]
    deformity = vertebra.of(DEFORMITY)
    if isinstance(deformity, Deformity):
        statements.append(Statement(terms.HEIGHT_LOSS, deformity.height_loss, _GRADE))
    elif isinstance(deformity, Withheld):
        statements.append(Statement(terms.GENANT, deformity, _GRADE))
    notes = _limits(deformity) if isinstance(deformity, Deformity) else ()
    return Finding(VERTEBRA, tuple(statements), vertebra, notes=tuple(notes))


def _grade_statements(vertebra: Vertebra) -> Iterator[Statement]:
    """Whether the vertebra is fractured, its grade, its shape, and what else the shape may come from."""
    yield Statement(codes.COMPRESSION_FRACTURE, fracture_of(vertebra).code)
    deformity = deformity_of(vertebra)
    if deformity is None:
        return
    if deformity.grade is not None:
        near = "Near the limit of the grade: to be looked at." if deformity.indeterminate else None
        yield Statement(terms.GENANT, terms.GENANT_GRADES[deformity.grade], note=near)
    if deformity.shape is not None:
        yield Statement(terms.MORPHOLOGY, terms.SHAPES[deformity.shape])
    for mimic in deformity.mimics:
        yield Statement(terms.MIMIC, terms.MIMICS[mimic.code], note=mimic.sentence)


def _height_statements(vertebra: Vertebra) -> Iterator[Statement]:
    heights = vertebra.of(HEIGHTS)
    if heights is None:
        return
    three = (heights,) * 3 if isinstance(heights, Withheld) else _three(heights)
    questions = (terms.HEIGHT_ANTERIOR, terms.HEIGHT_MIDDLE, terms.HEIGHT_POSTERIOR)
    for question, height in zip(questions, three, strict=True):
        yield Statement(question, height, _HEIGHTS)


def _three(heights: Heights) -> tuple[Measured | Withheld, Measured | Withheld, Measured | Withheld]:
    return heights.anterior, heights.middle, heights.posterior


def _limits(deformity: Deformity) -> Iterator[str]:
    """What limits the grade, as sentences."""
    if deformity.note:
        yield deformity.note
    if deformity.grade_range is not None:
        low, high = deformity.grade_range
        yield f"Within the 95 % interval of the height loss the grade is {low} to {high}."
    if deformity.probability_band is not None and deformity.probability_band[1] >= WORTH_TELLING:
        low_probability, high_probability = (f"{100 * value:.0f}" for value in deformity.probability_band)
        yield (
            f"Probability of grade 2 or 3 by the vertebra's own posterior height and by its neighbours, "
            f"each alone: {low_probability} to {high_probability} %."
        )


def _shape(vertebra: Vertebra, deformity: Deformity) -> Iterator[Finding]:
    statements = [
        *_grade_number(deformity),
        *_area_loss(deformity),
        *_probability(deformity),
        *_second_opinion(deformity),
    ]
    if statements:
        yield Finding(SHAPE, tuple(statements), vertebra)
    plates = [] if deformity.endplates is None else list(_plates(deformity.endplates))
    if deformity.is_endplate_depressed is not None:
        answer = codes.PRESENT if deformity.is_endplate_depressed else codes.ABSENT
        plates.append(Statement(terms.ENDPLATE_DEPRESSED, answer))
    if plates:
        yield Finding(ENDPLATES, tuple(plates), vertebra)


def _grade_number(deformity: Deformity) -> Iterator[Statement]:
    """The grade once more as a number: some viewers drop coded answers."""
    if deformity.grade:
        yield Statement(terms.GENANT_NUMBER, Count(deformity.grade, "{grade}"))


def _area_loss(deformity: Deformity) -> Iterator[Statement]:
    if deformity.area_loss is not None:
        yield Statement(terms.AREA_LOSS, deformity.area_loss, _SHAPE)


def _probability(deformity: Deformity) -> Iterator[Statement]:
    if deformity.probability is not None:
        yield Statement(terms.FRACTURE_PROBABILITY, Measured(value=100 * deformity.probability, unit="%"))


def _second_opinion(deformity: Deformity) -> Iterator[Statement]:
    if deformity.second_opinion is not None:
        answer = Measured(value=100 * deformity.second_opinion.probability, unit="%")
        note = f"Highest grade that is at least as likely as not: {deformity.second_opinion.grade}."
        yield Statement(terms.SECOND_OPINION, answer, note=note)


def _plates(plates: Endplates) -> Iterator[Statement]:
    """Depth and form of both plates first, then the dents of those that have one."""
    both = (
        (plates.superior, terms.SUPERIOR_DEPTH, terms.SUPERIOR_FORM),
        (plates.inferior, terms.INFERIOR_DEPTH, terms.INFERIOR_FORM),
    )
    for plate, depth, form in both:
        if isinstance(plate, Withheld):
            yield Statement(depth, plate, _SHAPE)
            continue
        yield Statement(depth, plate.depth, _SHAPE)
        yield Statement(form, terms.ENDPLATE_FORMS[plate.form])
    dents = (
        (plates.superior, terms.SUPERIOR_FOCAL_DEPTH, terms.SUPERIOR_FOCAL_WIDTH),
        (plates.inferior, terms.INFERIOR_FOCAL_DEPTH, terms.INFERIOR_FOCAL_WIDTH),
    )
    for plate, depth, width in dents:
        if isinstance(plate, Endplate) and plate.form is EndplateForm.FOCAL:
            yield Statement(depth, plate.focal_depth, _SHAPE)
            if plate.focal_width is not None:
                yield Statement(width, plate.focal_width, _SHAPE)
