"""Measurement groups of the report on bone density: per vertebra, over several levels, and for comparison."""

from __future__ import annotations

from collections.abc import Iterator

import highdicom as hd
from pydicom import Dataset
from pydicom.sr.coding import Code

from models.anatomy import Level
from operators.dicom.density_regions import TRACKED
from operators.dicom.report_context import MOST_NUMBERS, Group, ReportContext, Topic
from operators.dicom.report_items import append_items, code_item, measurement, reasons, rounded, text_item
from operators.reading.reading import (
    CalibrationUse,
    ComparatorFigure,
    Density,
    DensityCategory,
    LevelMean,
    Measured,
    SpineReading,
    Vertebra,
    Withheld,
)
from operators.terms import codes
from operators.terms import finding_codes as terms

_REGION = Topic(TRACKED, codes.ANATOMICAL_STRUCTURE, codes.VERTEBRAL_BODY)
_REGION_FURTHER = Topic(f"{TRACKED}, further", codes.ANATOMICAL_STRUCTURE, codes.VERTEBRAL_BODY)
_LOW_DENSITY = {
    "osteoporosis likely": codes.PRESENT,
    "indeterminate": codes.UNDETERMINED,
    "normal density likely": codes.ABSENT,
}


def density_groups(context: ReportContext, vertebra: Vertebra, density: Density) -> Iterator[Group]:
    """What was measured in the trabecular middle of one vertebral body (TID 1411)."""
    reading = context.case.reading
    regions = context.regions.density(vertebra) or [context.regions.vertebra(vertebra)]
    numbers = _numbers(density, reading)
    for topic, some in ((_REGION, numbers[:MOST_NUMBERS]), (_REGION_FURTHER, numbers[MOST_NUMBERS:])):
        if not some:
            continue
        group = context.group(vertebra, topic, some, regions, context.density_segment(vertebra))
        if topic is _REGION:
            append_items(group, list(_remarks(density, reading, vertebra)))
        yield group


def _numbers(density: Density, reading: SpineReading) -> list[hd.sr.Measurement]:
    """The most telling first: viewers show no more than the first few."""
    rows = (
        (codes.MEAN_ATTENUATION, density.mean, codes.MEAN, None),
        (terms.MINERAL_DENSITY, density.calibrated, codes.MEAN, calibration_method(reading)),
        (codes.DEVIATION_OF_ATTENUATION, density.deviation, codes.STANDARD_DEVIATION, None),
        (codes.MEDIAN_ATTENUATION, density.median, codes.MEDIAN, None),
        (codes.VOLUME, density.volume, None, codes.SUM_OF_VOXELS),
    )
    return [
        measurement(name, value, derivation, method)
        for name, value, derivation, method in rows
        if isinstance(value, Measured)
    ]


def _remarks(density: Density, reading: SpineReading, vertebra: Vertebra) -> Iterator[Dataset]:
    values = (density.mean, density.deviation, density.median, density.volume)
    yield from reasons(codes.EXCLUDED_DENSITY, "Density", values)
    yield from reasons(terms.EXCLUDED_CALIBRATION, "Density in mg/cm3", [density.calibrated])
    if isinstance(density.calibrated, Measured):
        yield from _material(reading)
    category = reading.density_category
    if isinstance(category, DensityCategory) and category.level is vertebra.level:
        yield code_item(codes.LOW_ATTENUATION, _LOW_DENSITY[category.category], _rule(category))


def spine_density_groups(context: ReportContext) -> Iterator[Group]:
    """Means over several levels, and what another published method makes of the scan (TID 1501)."""
    reading = context.case.reading
    means = [value for value in (reading.attenuation, reading.calibrated) if isinstance(value, LevelMean)]
    if means:
        yield _mean_group(context, means[0].levels)
    if isinstance(reading.comparator, ComparatorFigure):
        yield _comparator_group(context, reading.comparator)


def density_summary(reading: SpineReading) -> Iterator[Dataset]:
    """What is said of the density of the whole spine: its class, the calibration, and why something is missing."""
    category = reading.density_category
    if isinstance(category, Withheld):
        yield from reasons(codes.EXCLUDED_CATEGORY, "Density category", [category])
    if isinstance(category, DensityCategory):
        answer = _LOW_DENSITY[category.category]
        note = "Measured on a scan not acquired for densitometry; not comparable with DXA."
        yield code_item(codes.LOW_BONE_DENSITY, answer)
        yield code_item(codes.LOW_ATTENUATION, answer, f"{_rule(category)} {note} {category.note or ''}".strip())
    yield from reasons(terms.EXCLUDED_CALIBRATION, "Density in mg/cm3", [reading.calibration])
    yield from reasons(terms.EXCLUDED_MEAN, "Mean over levels", [reading.attenuation, reading.calibrated])
    yield from reasons(terms.EXCLUDED_COMPARATOR, "Figure of another method", [reading.comparator])


def calibration_method(reading: SpineReading) -> Code | None:
    """How CT numbers became mg/cm3."""
    used = reading.calibration
    return terms.CALIBRATIONS[used.kind] if isinstance(used, CalibrationUse) else None


def _mean_group(context: ReportContext, levels: tuple[Level, ...]) -> Group:
    reading = context.case.reading
    numbers: list[hd.sr.Measurement] = []
    items: list[Dataset] = []
    for name, mean, method in (
        (codes.MEAN_ATTENUATION, reading.attenuation, None),
        (terms.MINERAL_DENSITY, reading.calibrated, calibration_method(reading)),
    ):
        if isinstance(mean, LevelMean):
            numbers.append(measurement(name, mean.value, codes.MEAN, method))
            items.append(text_item(_mean_sentence(name, mean)))
    if isinstance(reading.calibrated, LevelMean):
        items += _material(reading)
    group = context.spine_group("bone density", codes.VERTEBRAL_BODY, numbers, levels, away=3)
    append_items(group, items)
    return group


def _mean_sentence(name: Code, mean: LevelMean) -> str:
    left_out = f"; left out: {_names(mean.left_out)}" if mean.left_out else ""
    return f"{name.meaning}: mean over {_names(mean.levels)}{left_out}. {mean.note or ''}".strip()


def _comparator_group(context: ReportContext, figure: ComparatorFigure) -> Group:
    numbers = [
        measurement(terms.RESCALED_ATTENUATION, figure.attenuation),
        measurement(terms.ESTIMATED_AREAL_DENSITY, figure.areal_density),
    ]
    group = context.spine_group("figure of another method", codes.SPINE, numbers, figure.levels, away=-4)
    below = codes.PRESENT if figure.below_limit else codes.ABSENT
    text = f"{figure.method}; levels {_names(figure.levels)}. {figure.note}"
    append_items(group, [code_item(terms.BELOW_OTHER_LIMIT, below, text)])
    return group


def _material(reading: SpineReading) -> list[hd.sr.CodeContentItem]:
    used = reading.calibration
    if not isinstance(used, CalibrationUse):
        return []
    parts = [f"mg/cm3 of {used.material}"]
    if used.slope is not None and used.intercept is not None:
        parts.append(f"density = {used.slope:.4g} x HU {used.intercept:+.4g}")
    if used.r_squared is not None:
        parts.append(f"R2 {used.r_squared:.4f}")
    if used.effective_energy is not None:
        parts.append(f"effective energy {used.effective_energy:g} keV")
    parts += [f"{name} {value}" for name, value in (("phantom", used.phantom), ("entry", used.entry)) if value]
    if used.experimental:
        parts.append("experimental")
    sentence = f"{'; '.join(parts)}. {used.note or ''}".strip()
    return [code_item(terms.PHANTOM, terms.MATERIALS[used.material], sentence)]


def _rule(category: DensityCategory) -> str:
    value = f"{rounded(category.value.value, category.value.unit):g} HU at {category.level}"
    limit = ", near a limit of the rule" if category.near_limit else ""
    return f"Mean trabecular attenuation {value} by rule {category.rule}{limit}."


def _names(levels: tuple[Level, ...]) -> str:
    return ", ".join(map(str, levels))
