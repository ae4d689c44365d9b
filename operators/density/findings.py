"""What was found of bone density, as coded questions and answers."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.sr.coding import Code

from models.anatomy import Level
from operators.biomarker import SPINE_SUMMARY, Finding, Statement, Subject, Topic
from operators.density import terms
from operators.density.masks import DENSITY_REGIONS, REGION
from operators.density.results import (
    ATTENUATION,
    CALIBRATED,
    CALIBRATION,
    CATEGORY,
    COMPARATOR,
    DENSITY,
    CalibrationUse,
    ComparatorFigure,
    Density,
    DensityCategory,
    LevelMean,
)
from operators.reading.quantity import Withheld
from operators.reading.reading import SpineReading
from operators.reading.vertebra import Vertebra
from operators.terms import codes
from operators.terms.levels import level_names

MEAN = Topic("bone density", codes.ANATOMICAL_STRUCTURE, codes.VERTEBRAL_BODY)
OTHER_METHOD = Topic("figure of another method", codes.ANATOMICAL_STRUCTURE, codes.SPINE)

NOT_DENSITOMETRY = "Measured on a scan not acquired for densitometry; not comparable with DXA."
"""docs/science.md §18.4."""

_DENSITY = Subject(terms.EXCLUDED_DENSITY, "Density")
_CATEGORY = Subject(terms.EXCLUDED_CATEGORY, "Density category")
_CALIBRATION = Subject(terms.EXCLUDED_CALIBRATION, "Density in mg/cm3")
_MEAN = Subject(terms.EXCLUDED_MEAN, "Mean over levels")
_COMPARATOR = Subject(terms.EXCLUDED_COMPARATOR, "Figure of another method")
_LOW_DENSITY = {
    "osteoporosis likely": codes.PRESENT,
    "indeterminate": codes.UNDETERMINED,
    "normal density likely": codes.ABSENT,
}


def findings(reading: SpineReading) -> Iterator[Finding]:
    """The category, means over levels, the comparator, and the region of every vertebra."""
    category = tuple(_category(reading))
    if category:
        yield Finding(SPINE_SUMMARY, category)
    yield from _means(reading)
    yield from _comparator(reading)
    for vertebra in reading.vertebrae:
        density = vertebra.of(DENSITY)
        if density is not None:
            yield _region(vertebra, density, reading)


def rule_sentence(category: DensityCategory) -> str:
    """The value that decided, and by which rule."""
    value = f"{category.value.value:.1f}".removesuffix(".0")
    limit = ", near a limit of the rule" if category.near_limit else ""
    return f"Mean trabecular attenuation {value} HU at {category.level} by rule {category.rule}{limit}."


def material_sentence(used: CalibrationUse) -> str:
    """What mg/cm3 are mg of, and how they came about: a number without it means nothing."""
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
    return f"{'; '.join(parts)}. {used.note or ''}".strip()


def _category(reading: SpineReading) -> Iterator[Statement]:
    category = reading.of(CATEGORY)
    if isinstance(category, Withheld):
        yield Statement(terms.LOW_ATTENUATION, category, _CATEGORY)
    elif category is not None:
        answer = _LOW_DENSITY[category.category]
        yield Statement(codes.LOW_BONE_DENSITY, answer, note=NOT_DENSITOMETRY)
        note = f"{rule_sentence(category)} {NOT_DENSITOMETRY} {category.note or ''}".strip()
        yield Statement(terms.LOW_ATTENUATION, answer, note=note)
    calibration = reading.of(CALIBRATION)
    if isinstance(calibration, Withheld):
        yield Statement(terms.MINERAL_DENSITY, calibration, _CALIBRATION)


def _means(reading: SpineReading) -> Iterator[Finding]:
    statements: list[Statement] = []
    notes: list[str] = []
    levels: tuple[Level, ...] = ()
    for question, mean, method in (
        (codes.MEAN_ATTENUATION, reading.of(ATTENUATION), None),
        (terms.MINERAL_DENSITY, reading.of(CALIBRATED), _calibration_method(reading)),
    ):
        if isinstance(mean, Withheld):
            statements.append(Statement(question, mean, _MEAN))
        elif mean is not None:
            statements.append(Statement(question, mean.value, _MEAN, codes.MEAN, method))
            notes.append(_mean_sentence(question, mean))
            levels = levels or mean.levels
    if isinstance(reading.of(CALIBRATED), LevelMean):
        statements += _material(reading)
    if statements:
        yield Finding(MEAN, tuple(statements), levels=levels, notes=tuple(notes))


def _mean_sentence(question: Code, mean: LevelMean) -> str:
    left_out = f"; left out: {level_names(mean.left_out)}" if mean.left_out else ""
    return f"{question.meaning}: mean over {level_names(mean.levels)}{left_out}. {mean.note or ''}".strip()


def _comparator(reading: SpineReading) -> Iterator[Finding]:
    figure = reading.of(COMPARATOR)
    if isinstance(figure, Withheld):
        yield Finding(OTHER_METHOD, (Statement(terms.RESCALED_ATTENUATION, figure, _COMPARATOR),))
    if isinstance(figure, ComparatorFigure):
        below = codes.PRESENT if figure.below_limit else codes.ABSENT
        note = f"{figure.method}; levels {level_names(figure.levels)}. {figure.note}"
        statements = (
            Statement(terms.RESCALED_ATTENUATION, figure.attenuation),
            Statement(terms.ESTIMATED_AREAL_DENSITY, figure.areal_density),
            Statement(terms.BELOW_OTHER_LIMIT, below, note=note),
        )
        yield Finding(OTHER_METHOD, statements, levels=figure.levels)


def _region(vertebra: Vertebra, density: Density | Withheld, reading: SpineReading) -> Finding:
    """What was measured in the trabecular middle of one body; the most telling numbers first, for small viewers."""
    if isinstance(density, Withheld):
        return Finding(REGION, (Statement(codes.MEAN_ATTENUATION, density, _DENSITY),), vertebra)
    statements = [Statement(codes.MEAN_ATTENUATION, density.mean, _DENSITY, codes.MEAN)]
    if density.calibrated is not None:
        method = _calibration_method(reading)
        statements.append(Statement(terms.MINERAL_DENSITY, density.calibrated, _CALIBRATION, codes.MEAN, method))
    statements += [
        Statement(codes.DEVIATION_OF_ATTENUATION, density.deviation, _DENSITY, codes.STANDARD_DEVIATION),
        Statement(codes.MEDIAN_ATTENUATION, density.median, _DENSITY, codes.MEDIAN),
        Statement(codes.VOLUME, density.volume, _DENSITY, method=codes.SUM_OF_VOXELS),
    ]
    if density.calibrated is not None and not isinstance(density.calibrated, Withheld):
        statements += _material(reading)
    category = reading.of(CATEGORY)
    if isinstance(category, DensityCategory) and category.level is vertebra.level:
        statements.append(
            Statement(terms.LOW_ATTENUATION, _LOW_DENSITY[category.category], note=rule_sentence(category))
        )
    return Finding(REGION, tuple(statements), vertebra, mask=DENSITY_REGIONS)


def _calibration_method(reading: SpineReading) -> Code | None:
    used = reading.of(CALIBRATION)
    return terms.CALIBRATIONS[used.kind] if isinstance(used, CalibrationUse) else None


def _material(reading: SpineReading) -> list[Statement]:
    used = reading.of(CALIBRATION)
    if not isinstance(used, CalibrationUse):
        return []
    return [Statement(terms.PHANTOM, terms.MATERIALS[used.material], note=material_sentence(used))]
