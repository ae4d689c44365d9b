"""What is said of bone density, for people."""

from __future__ import annotations

from collections.abc import Iterator

from operators.biomarker import Sentence, Weight
from operators.density.results import (
    ATTENUATION,
    CALIBRATED,
    CALIBRATION,
    CATEGORY,
    COMPARATOR,
    CalibrationUse,
    ComparatorFigure,
    LevelMean,
)
from operators.reading.quantity import Withheld
from operators.reading.reading import SpineReading
from operators.terms.levels import level_names

SECTION = "Bone density"


def sentences(reading: SpineReading) -> Iterator[Sentence]:
    """The category or why there is none, means over levels, the calibration, the comparator."""
    if not reading.vertebrae:
        return
    yield from _category(reading)
    mean = reading.of(ATTENUATION)
    if isinstance(mean, LevelMean):
        yield _plain(f"Mean of {_levels(mean)}: {mean.value.value:.0f} HU. {mean.note or ''}".strip())
    elif isinstance(mean, Withheld):
        yield _plain(f"No mean over levels: {mean.reason}")
    yield from _calibrated(reading)
    figure = reading.of(COMPARATOR)
    if isinstance(figure, ComparatorFigure):
        limit = "is below" if figure.below_limit else "is not below"
        yield _plain(
            f"Figure of another method: {figure.attenuation.value:.0f} HU, {figure.areal_density.value:.3f} g/cm2, "
            f"which {limit} its limit ({figure.method}; {level_names(figure.levels)}). {figure.note}"
        )
    elif isinstance(figure, Withheld):
        yield _plain(f"No figure of another method: {figure.reason}")
    yield _plain("Trabecular attenuation on a scan not acquired for densitometry; not a DXA T-score.")


def _category(reading: SpineReading) -> Iterator[Sentence]:
    category = reading.of(CATEGORY)
    if category is None:
        yield _plain("Bone density was not measured.")
    elif isinstance(category, Withheld):
        yield _plain(f"No density category: {category.reason}")
    else:
        near = ", near the limit of the rule" if category.near_limit else ""
        text = (
            f"Trabecular attenuation of {category.level}: {category.value.value:.0f} HU – {category.category}{near} "
            f"(rule {category.rule})."
        )
        is_low = category.category == "osteoporosis likely"
        yield Sentence(text, Weight.REVIEW if is_low else Weight.PLAIN, SECTION)
        if category.note:
            yield _plain(category.note)


def _calibrated(reading: SpineReading) -> Iterator[Sentence]:
    mean, use = reading.of(CALIBRATED), reading.of(CALIBRATION)
    if isinstance(use, Withheld):
        yield _plain(f"No calibrated density: {use.reason}")
    elif isinstance(mean, LevelMean) and isinstance(use, CalibrationUse):
        doubt = "; experimental" if use.experimental else ""
        text = (
            f"Mean of {_levels(mean)}: {mean.value.value:.0f} mg/cm3 "
            f"({use.material.value}, {use.kind} calibration{doubt})."
        )
        yield _plain(f"{text} {use.note or ''}".strip())
    elif isinstance(mean, Withheld):
        yield _plain(f"No mean calibrated density: {mean.reason}")


def _levels(mean: LevelMean) -> str:
    """The levels of a mean, and those that were left out."""
    left_out = f" (left out: {level_names(mean.left_out)})" if mean.left_out else ""
    return f"{level_names(mean.levels)}{left_out}"


def _plain(text: str) -> Sentence:
    return Sentence(text, section=SECTION)
