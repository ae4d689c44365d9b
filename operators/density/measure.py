"""Trabecular attenuation of every vertebral body, T1–L5, what it is in mg/cm3, and the class it falls into.

Where is measured, see :mod:`operators.density.region`; what keeps a level out,
:mod:`operators.density.exclusions`. A T-score is never derived from HU (docs/science.md §2.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.anatomy import Level
from models.anatomy import Region as BodyRegion
from operators.body.frame import Body
from operators.body.label_boxes import label_boxes
from operators.body.locate import bodies_of, measurable_body, surfaces_of
from operators.density.calibrated import with_calibration
from operators.density.category import density_category
from operators.density.comp2comp import comparator_figure
from operators.density.exclusions import (
    beside_cement,
    block_means,
    foreign_material,
    fractured_vertebra,
    implausible_mask,
    schmorl_node,
    without_lesions,
)
from operators.density.masks import DENSITY_REGIONS
from operators.density.means import attenuation_mean
from operators.density.region import PROPORTIONS, Region, density_region
from operators.density.results import ATTENUATION, CATEGORY, COMPARATOR, DENSITY, HOUNSFIELD, Density
from operators.reading.case import Case
from operators.reading.quantity import Measured, Withheld
from operators.reading.reading import SpineReading
from operators.reading.reasons import Reason
from operators.reading.vertebra import Vertebra

MEASURED = tuple(level for level in Level if Level.T1.rank <= level.rank <= Level.L5.rank)
INDEPENDENT_MM = 6.0
"""Edge of the blocks whose means are taken as independent: beyond the reach of noise and of most texture."""


def measure_bone_density(case: Case) -> Case:
    """Measure the trabecular HU of every vertebra from T1 to L5.

    Args:
        case: After :func:`operators.fractures.detect.detect_fractures`, whose grades exclude levels.

    Returns:
        The case with the density of every vertebra, the map of the regions, and what the reading says of the
        whole spine's density. What cannot be measured is withheld with its reason; never raises for a bad mask.
    """
    if case.segmentation is None:
        return case
    judged = _judged(case, bodies_of(case))
    vertebrae = tuple(v.with_result(DENSITY, _density(judged[v.number])) for v in case.reading.vertebrae)
    reading: SpineReading = case.reading.model_copy(update={"vertebrae": vertebrae})
    options = case.job.options
    reading = reading.with_result(CATEGORY, density_category(reading, options))
    reading = reading.with_result(ATTENUATION, attenuation_mean(reading))
    reading = reading.with_result(COMPARATOR, comparator_figure(case) if options.comparator else None)
    reading = with_calibration(reading, case)
    marked = np.zeros(case.volume.spatial_shape, np.uint8)
    for number, region in judged.items():
        if isinstance(region, Region):
            marked[tuple(region.voxels.T)] = number
    return replace(case, reading=reading).with_mask(DENSITY_REGIONS, case.segmentation.labels.with_array(marked))


def _judged(case: Case, bodies: Mapping[int, Body | Withheld]) -> dict[int, Region | Withheld]:
    """The region of every vertebra, or why it has none, by number."""
    vertebrae = case.reading.vertebrae
    voxels = _body_voxels(case)
    found: dict[int, Region | Withheld] = {
        v.number: _region_of(case, v, bodies.get(v.number), int(voxels[v.number])) for v in vertebrae
    }
    for number, reason in beside_cement(vertebrae, found).items():
        if isinstance(found[number], Region):
            found[number] = reason
    return without_lesions(vertebrae, found)


def _body_voxels(case: Case) -> NDArray[np.int_]:
    """How many voxels of the maps belong to the body of each vertebra, by number."""
    if case.segmentation is None:
        return np.zeros(256, int)
    labels, regions = case.segmentation.labels.array, case.segmentation.regions.array
    box = label_boxes(regions).get(BodyRegion.BODY, (slice(0, 0),) * 3)
    return np.bincount(labels[box][regions[box] == BodyRegion.BODY], minlength=256)


def _region_of(case: Case, vertebra: Vertebra, body: Body | Withheld | None, voxels: int) -> Region | Withheld:
    gate = case.reading.withholding("density")
    if gate is not None:
        return Withheld(code=gate.code, reason=gate.reason)
    if vertebra.level not in MEASURED:
        return Withheld(code=Reason.LEVEL_NOT_MEASURED, reason="Bone density is measured from T1 to L5 only.")
    body = measurable_body(vertebra, body)
    if isinstance(body, Withheld):
        return body
    fractured = fractured_vertebra(vertebra)
    if fractured is not None:
        return fractured
    implausible = implausible_mask(vertebra, body, voxels)
    if implausible is not None:
        return implausible
    foreign = foreign_material(case.volume, body)
    if foreign is not None:
        return foreign
    region = density_region(case.volume, body, surfaces_of(case, body), PROPORTIONS[vertebra.level.region])
    return region if isinstance(region, Withheld) else schmorl_node(region, body) or region


def _density(region: Region | Withheld) -> Density | Withheld:
    if isinstance(region, Withheld):
        return region
    values = region.values
    return Density(
        mean=Measured(value=round(float(values.mean()), 1), unit=HOUNSFIELD, uncertainty=_half_width(region)),
        median=Measured(value=round(float(np.median(values)), 1), unit=HOUNSFIELD),
        deviation=Measured(value=round(float(values.std(ddof=1)), 1), unit=HOUNSFIELD),
        volume=Measured(value=round(region.volume, 2), unit="cm3"),
        voxels=len(values),
        outline=region.outline,
    )


def _half_width(region: Region) -> float:
    """Half-width of the 95 % interval of a region's mean as that of the body's spongiosa, HU.

    Neighbouring voxels share noise and texture, so that SD / √n says too little (docs/science.md §11.2: n_eff);
    here the spread of blocks that are nearly independent takes its place, weighted by their voxels.
    """
    means, count = block_means(region, INDEPENDENT_MM)
    total = count.sum()
    whole = float((count * means).sum() / total)
    filled = max(2, int(np.count_nonzero(count > 0.2 * count.max())))
    variance = float((count**2 * (means - whole) ** 2).sum() / total**2) * filled / (filled - 1)
    return round(1.96 * float(np.sqrt(variance)), 1)
