"""The measurement groups of one vertebra in the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import highdicom as hd
from pydicom import Dataset

from models.engine import Numbering
from operators.dicom.report_context import Group, ReportContext, Topic
from operators.dicom.report_density import density_groups
from operators.dicom.report_fractures import deformity_notes, grade_items, shape_groups
from operators.dicom.report_items import append_items, code_item, measurement, reasons, text_item
from operators.fractures.verdict import deformity_of, density_measured
from operators.reading.reading import Deformity, Density, Heights, Measured, Vertebra
from operators.terms import codes
from operators.terms import finding_codes as terms


def vertebra_groups(context: ReportContext, vertebra: Vertebra) -> Iterator[Group]:
    """All groups of one vertebra but its fracture: itself, its shape, its density where there is a value."""
    yield _vertebra_group(context, vertebra)
    yield from shape_groups(context, vertebra)
    density = density_measured(vertebra)
    if density is not None:
        yield from density_groups(context, vertebra, density)


def _vertebra_group(context: ReportContext, vertebra: Vertebra) -> Group:
    topic = Topic("vertebra", codes.ANATOMICAL_STRUCTURE, codes.LEVELS[vertebra.level].structure)
    group = context.group(
        vertebra,
        topic,
        _height_numbers(vertebra),
        [context.regions.vertebra(vertebra)],
        context.vertebra_segment(vertebra),
    )
    append_items(group, _level_items(context, vertebra))
    append_items(group, grade_items(vertebra))
    append_items(group, _withheld_items(vertebra))
    deformity = deformity_of(vertebra)
    append_items(group, [] if deformity is None else deformity_notes(deformity))
    return group


def _height_numbers(vertebra: Vertebra) -> list[hd.sr.Measurement]:
    heights = vertebra.heights
    rows = []
    if isinstance(heights, Heights):
        rows = [
            (codes.HEIGHT_ANTERIOR, heights.anterior),
            (codes.HEIGHT_MIDDLE, heights.middle),
            (codes.HEIGHT_POSTERIOR, heights.posterior),
        ]
    if isinstance(vertebra.deformity, Deformity):
        rows.append((codes.HEIGHT_LOSS, vertebra.deformity.height_loss))
    return [measurement(name, value) for name, value in rows if isinstance(value, Measured)]


def _withheld_items(vertebra: Vertebra) -> list[hd.sr.CodeContentItem]:
    heights, deformity, density = vertebra.heights, vertebra.deformity, vertebra.density
    height_values: Sequence[object] = [heights]
    if isinstance(heights, Heights):
        height_values = [heights.anterior, heights.middle, heights.posterior]
    loss = deformity.height_loss if isinstance(deformity, Deformity) else deformity
    items = reasons(codes.EXCLUDED_HEIGHTS, "Heights", height_values)
    items += reasons(codes.EXCLUDED_GRADE, "Height loss and grade", [loss])
    if density_measured(vertebra) is None:
        items += reasons(codes.EXCLUDED_DENSITY, "Density", [density.mean if isinstance(density, Density) else density])
    items += reasons(terms.EXCLUDED_CHANGE, "Change", [vertebra.change])
    return items


def _level_items(context: ReportContext, vertebra: Vertebra) -> list[Dataset]:
    """What has to be known of the name: how sure it is, what else it may be, whether all of it is seen."""
    doubt = f"Level {vertebra.level}, confidence {vertebra.confidence:.2f}"
    items: list[Dataset] = []
    if vertebra.alternative is not None:
        name = codes.LEVELS[vertebra.alternative].name
        doubt = f"Level {vertebra.level} or {vertebra.alternative}, confidence {vertebra.confidence:.2f}"
        items.append(code_item(codes.ALTERNATIVE_LEVEL, name))
    if context.case.reading.numbering is Numbering.AMBIGUOUS:
        doubt += "; the numbering of this spine is ambiguous, the level is a hypothesis"
    if not vertebra.complete:
        items.append(code_item(codes.EXCLUDED, codes.EXCLUSIONS["incomplete"]))
        doubt += "; cut by the border of the images"
    return [*items, text_item(f"{doubt}.")]
