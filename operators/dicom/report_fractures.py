"""Measurement groups of the report on the shape of the vertebral bodies: fractures, endplates, course."""

from __future__ import annotations

from collections.abc import Iterator

import highdicom as hd
from pydicom import Dataset

from operators.dicom.report_context import Group, ReportContext, Topic
from operators.dicom.report_items import append_items, code_item, count, measurement, reasons, text_item
from operators.fractures.verdict import deformity_of, fracture_of, fracture_phrase, grade_of
from operators.reading.reading import (
    Deformity,
    Endplate,
    EndplateForm,
    Endplates,
    HeightChange,
    Measured,
    Vertebra,
    Withheld,
)
from operators.terms import codes
from operators.terms import finding_codes as terms

_FRACTURE = Topic("vertebral fracture", codes.ABNORMAL_STRUCTURE, codes.COMPRESSION_FRACTURE)
_SHAPE = Topic("vertebral body shape", codes.ANATOMICAL_STRUCTURE, codes.VERTEBRAL_BODY)
_DENTS = Topic("endplate dents", codes.ANATOMICAL_STRUCTURE, codes.VERTEBRAL_BODY)
_OPINION = Topic("second opinion on fracture", codes.ANATOMICAL_STRUCTURE, codes.VERTEBRAL_BODY)
_CHANGE = Topic("change since the prior reading", codes.ANATOMICAL_STRUCTURE, codes.VERTEBRAL_BODY)


def fracture_group(context: ReportContext, vertebra: Vertebra) -> Group:
    """A fracture (TID 1410): grade, losses and shape, drawn on the key slice."""
    deformity = deformity_of(vertebra)
    if deformity is None or deformity.grade is None:
        msg = f"{vertebra.level} has no grade and therefore no fracture group"
        raise ValueError(msg)
    numbers = [count(codes.GENANT_NUMBER, deformity.grade, "{grade}")]
    rows = (
        (codes.HEIGHT_LOSS, deformity.height_loss),
        (terms.AREA_LOSS, deformity.area_loss),
        (terms.FRACTURE_PROBABILITY, _percent(deformity.probability)),
    )
    numbers += [measurement(name, value) for name, value in rows if isinstance(value, Measured)]
    group = context.group(vertebra, _FRACTURE, numbers, [context.regions.vertebra(vertebra, -1)])
    append_items(group, grade_items(vertebra))
    append_items(group, list(_course_items(vertebra)))
    append_items(group, [text_item(f"Vertebral fracture: {fracture_phrase(vertebra)}."), *deformity_notes(deformity)])
    return group


def shape_groups(context: ReportContext, vertebra: Vertebra) -> Iterator[Group]:
    """What else was found on a body: area, endplates, dents, the second opinion, change since an earlier reading."""
    deformity = vertebra.deformity
    if isinstance(deformity, Deformity):
        yield from _shape_group(context, vertebra, deformity)
        yield from _opinion_group(context, vertebra, deformity)
        if deformity.endplates is not None:
            yield from _dents_group(context, vertebra, deformity.endplates)
    if isinstance(vertebra.change, HeightChange):
        yield _change_group(context, vertebra, vertebra.change)


def grade_items(vertebra: Vertebra) -> list[hd.sr.CodeContentItem]:
    """Whether the vertebra is fractured, its grade, its shape, and what else the shape may come from."""
    items = [code_item(codes.COMPRESSION_FRACTURE, fracture_of(vertebra).code)]
    deformity, grade = deformity_of(vertebra), grade_of(vertebra)
    if deformity is not None and grade is not None:
        items.append(code_item(codes.GENANT, codes.GENANT_GRADES[grade]))
        if deformity.shape is not None and grade:
            items.append(code_item(codes.MORPHOLOGY, codes.SHAPES[deformity.shape]))
    if isinstance(vertebra.deformity, Deformity):
        items += [code_item(terms.MIMIC, terms.MIMICS[m.code], m.sentence) for m in vertebra.deformity.mimics]
    return items


def deformity_notes(deformity: Deformity) -> list[hd.sr.TextContentItem]:
    """What limits the grade, as sentences."""
    notes = [deformity.note] if deformity.note else []
    if deformity.grade_range is not None:
        low, high = deformity.grade_range
        notes.append(f"Within the 95 % interval of the height loss the grade is {low} to {high}.")
    if deformity.probability_band is not None:
        low_probability, high_probability = (f"{100 * value:.0f}" for value in deformity.probability_band)
        notes.append(
            f"Probability of grade 2 or 3 by the vertebra's own posterior height and by its neighbours, "
            f"each alone: {low_probability} to {high_probability} %."
        )
    return [text_item(note) for note in notes]


def _shape_group(context: ReportContext, vertebra: Vertebra, deformity: Deformity) -> Iterator[Group]:
    plates = deformity.endplates
    superior, inferior = (None, None) if plates is None else (_seen(plates.superior), _seen(plates.inferior))
    values = (
        (terms.AREA_LOSS, deformity.area_loss),
        (terms.FRACTURE_PROBABILITY, _percent(deformity.probability)),
        (terms.SUPERIOR_DEPTH, superior and superior.depth),
        (terms.INFERIOR_DEPTH, inferior and inferior.depth),
    )
    withheld = [value for _, value in values]
    if plates is not None:
        withheld += [plate for plate in (plates.superior, plates.inferior) if isinstance(plate, Withheld)]
    items: list[Dataset] = [
        code_item(question, terms.ENDPLATE_FORMS[plate.form])
        for question, plate in ((terms.SUPERIOR_FORM, superior), (terms.INFERIOR_FORM, inferior))
        if plate is not None
    ]
    if deformity.is_endplate_depressed is not None:
        answer = codes.PRESENT if deformity.is_endplate_depressed else codes.ABSENT
        items.append(code_item(terms.ENDPLATE_DEPRESSED, answer))
    items += reasons(terms.EXCLUDED_SHAPE, "Area loss or endplates", withheld)
    numbers = [measurement(name, value) for name, value in values if isinstance(value, Measured)]
    if not numbers and not items:
        return
    group = context.group(vertebra, _SHAPE, numbers, [context.regions.vertebra(vertebra, 1)])
    append_items(group, items)
    yield group


def _dents_group(context: ReportContext, vertebra: Vertebra, plates: Endplates) -> Iterator[Group]:
    rows = []
    for plate, depth, width in (
        (_seen(plates.superior), terms.SUPERIOR_FOCAL_DEPTH, terms.SUPERIOR_FOCAL_WIDTH),
        (_seen(plates.inferior), terms.INFERIOR_FOCAL_DEPTH, terms.INFERIOR_FOCAL_WIDTH),
    ):
        if plate is not None and plate.form is EndplateForm.FOCAL:
            rows += [(depth, plate.focal_depth), (width, plate.focal_width)]
    numbers = [measurement(name, value) for name, value in rows if isinstance(value, Measured)]
    if numbers:
        yield context.group(vertebra, _DENTS, numbers, [context.regions.vertebra(vertebra, 2)])


def _opinion_group(context: ReportContext, vertebra: Vertebra, deformity: Deformity) -> Iterator[Group]:
    """The network's probability, where it or the heights see a grade: of sound vertebrae there is nothing to tell."""
    opinion = deformity.second_opinion
    if opinion is None or not (opinion.grade or deformity.grade):
        return
    value = measurement(terms.SECOND_OPINION, Measured(value=100 * opinion.probability, unit="%"))
    yield context.group(vertebra, _OPINION, [value], [context.regions.vertebra(vertebra, 3)])


def _change_group(context: ReportContext, vertebra: Vertebra, change: HeightChange) -> Group:
    rows = (
        (terms.ANTERIOR_CHANGE, change.anterior),
        (terms.MIDDLE_CHANGE, change.middle),
        (terms.POSTERIOR_CHANGE, change.posterior),
    )
    numbers = [measurement(name, value) for name, value in rows if isinstance(value, Measured)]
    if change.prior_grade is not None:
        numbers.append(count(terms.PRIOR_GRADE, change.prior_grade, "{grade}"))
    group = context.group(vertebra, _CHANGE, numbers, [context.regions.vertebra(vertebra, -2)])
    append_items(group, list(_course_items(vertebra)))
    append_items(group, reasons(terms.EXCLUDED_CHANGE, "Change", [value for _, value in rows]))
    return group


def _course_items(vertebra: Vertebra) -> Iterator[hd.sr.CodeContentItem]:
    if isinstance(vertebra.change, HeightChange):
        yield code_item(terms.COURSE, terms.COURSES[vertebra.change.course], vertebra.change.reason)


def _seen(plate: Endplate | Withheld) -> Endplate | None:
    return None if isinstance(plate, Withheld) else plate


def _percent(probability: float | None) -> Measured | None:
    return None if probability is None else Measured(value=100 * probability, unit="%")
