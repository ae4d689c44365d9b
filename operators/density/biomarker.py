"""The biomarker: trabecular attenuation and bone mineral density."""

from __future__ import annotations

from collections.abc import Iterator

from models.anatomy import Level
from operators.biomarker import Biomarker, Column, Flag, Overlay, Stroke, Weight
from operators.density import terms
from operators.density.findings import findings
from operators.density.masks import REGIONS_OBJECT
from operators.density.means import mean_of
from operators.density.measure import measure_bone_density
from operators.density.results import (
    ATTENUATION,
    CALIBRATED,
    CALIBRATION,
    CATEGORY,
    COMPARATOR,
    DENSITY,
    Density,
    DensityCategory,
)
from operators.density.sentences import sentences
from operators.reading.quantity import Measured, Withheld
from operators.reading.reading import SpineReading
from operators.reading.vertebra import Vertebra
from operators.terms.term import terms_of


def _mean(vertebra: Vertebra) -> str | None:
    density = vertebra.of(DENSITY)
    return _number(density.mean) if isinstance(density, Density) else None


def _deviation(vertebra: Vertebra) -> str | None:
    density = vertebra.of(DENSITY)
    return _number(density.deviation) if isinstance(density, Density) else None


def _calibrated(vertebra: Vertebra) -> str | None:
    density = vertebra.of(DENSITY)
    return _number(density.calibrated) if isinstance(density, Density) and density.calibrated else None


def _number(quantity: Measured | Withheld) -> str | None:
    return f"{round(quantity.value) + 0.0:.0f}" if isinstance(quantity, Measured) else None


def _notes(vertebra: Vertebra) -> Iterator[str]:
    density = vertebra.of(DENSITY)
    parts = [density] if not isinstance(density, Density) else [density.mean, density.deviation]
    yield from (f"Density withheld: {part.reason}" for part in parts if isinstance(part, Withheld))
    if isinstance(density, Density) and isinstance(density.calibrated, Withheld):
        yield f"mg/cm3 withheld: {density.calibrated.reason}"


def _flag(reading: SpineReading, vertebra: Vertebra) -> Flag | None:
    """The vertebra whose attenuation decided, else the middle one of those that were measured."""
    category = reading.of(CATEGORY)
    known = [v for v in reading.vertebrae if mean_of(v) is not None]
    decided = [v for v in known if isinstance(category, DensityCategory) and v.level is category.level]
    if decided and decided[0].number == vertebra.number:
        return Flag(Weight.PLAIN, "its attenuation decides the category")
    if known and not decided and known[len(known) // 2].number == vertebra.number:
        return Flag(Weight.PLAIN, "attenuation measured")
    return None


def _views(reading: SpineReading) -> list[Vertebra]:
    """The measured vertebrae, from L2 outwards."""
    known = [v for v in reading.vertebrae if mean_of(v) is not None]
    return sorted(known, key=lambda vertebra: abs(vertebra.level.rank - Level.L2.rank))


def _overlays(reading: SpineReading) -> Iterator[Overlay]:
    for vertebra in reading.vertebrae:
        density = vertebra.of(DENSITY)
        if isinstance(density, Density) and density.outline:
            yield Overlay((*density.outline, density.outline[0]), Stroke.DASHED, vertebra.level)


def _lacking(reading: SpineReading) -> str | None:
    return None if any(mean_of(vertebra) for vertebra in reading.vertebrae) else "no density measured"


BONE_DENSITY = Biomarker(
    name="density",
    title="Bone density",
    step="MeasureBoneDensity",
    measure=measure_bone_density,
    findings=findings,
    sentences=sentences,
    vertebra_slots=(DENSITY,),
    spine_slots=(CATEGORY, ATTENUATION, CALIBRATION, CALIBRATED, COMPARATOR),
    terms=terms_of(terms),
    units=("[hnsf'U]", "mg/cm3", "cm3", "g/cm2"),
    after=("fractures",),
    columns=(
        Column("HU", "mean attenuation", "HU", _mean, 4.8, legend="mean of the trabecular middle of the body"),
        Column("SD", "standard deviation", "HU", _deviation, 4.2, legend="standard deviation there"),
        Column("mg/cm3", "mineral density", "mg/cm3", _calibrated, 7.0, is_optional=True),
    ),
    notes=_notes,
    flag=_flag,
    views=_views,
    overlays=_overlays,
    masks=(REGIONS_OBJECT,),
    lacking=_lacking,
)
