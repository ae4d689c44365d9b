"""Heights of every vertebral body in its own frame, and the vertebral fractures that they show.

Six-point morphometry on the straightened body (science.md §3.2): anterior and posterior height at 12.5 % of
the body's depth from its walls, so that osteophytes and the uncinate rim do not count, the middle height as
the minimum over the central third, each the median over parasagittal planes within ±4 mm of the middle.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from models.anatomy import Level
from operators.case import Case
from operators.endplates import BodySurfaces, body_surfaces
from operators.fracture_grading import (
    INDETERMINATE,
    Expectation,
    Grading,
    HeightTriple,
    grade_heights,
    grade_of,
    probability_of_grade_2,
)
from operators.fracture_wording import fracture_sentences
from operators.height_expectation import GRADED, SPREAD, MeasuredBody, expectations
from operators.quality_gates import metal_within
from operators.reading import (
    Deformity,
    HeightLine,
    Heights,
    Measured,
    SpineReading,
    Vertebra,
    Withheld,
)
from operators.resampling import Array, Flags
from operators.vertebra_frame import Body, locate_bodies

INSET = 0.125
"""Distance of the anterior and posterior height line from the walls, as a share of the depth: the middle
of the 10–15 % of science.md §3.2."""
HALF_WIDTH_MM = 4.0
"""Parasagittal planes used lie within this distance of the middle (narrower than the ±5–8 mm
of science.md §3.2, so that the middle height is that of the deepest place)."""
LEAST_CONFIDENCE = 0.5
"""Below this a mask is as likely wrong as right and nothing measured on it is published."""
EDGE_MM = (0.08, 0.06)
"""Standard deviation with which one endplate is placed: the first, plus the second times the square of the
voxel spacing across it in mm. Found on phantoms (tests/benchmarks/heights_phantom.py)."""


@dataclass(frozen=True)
class BodyHeights:
    """Heights as the reading stores them, and as the grading needs them."""

    heights: Heights
    measured: MeasuredBody


def detect_fractures(case: Case) -> Case:
    """Measure the heights of every vertebra and grade T4–L4.

    Args:
        case: With a volume and a segmentation; without one nothing changes.

    Returns:
        The case with ``heights`` and ``deformity`` of every vertebra filled, withheld with a reason
        where they cannot be measured, and the report's sentences on fractures among the remarks.
        Never raises for a bad mask.
    """
    if case.segmentation is None:
        return case
    bodies = locate_bodies(case.volume, case.segmentation)
    found = {v.number: _body_heights(case, v, bodies.get(v.number)) for v in case.reading.vertebrae}
    measured = {
        v.level: result.measured for v in case.reading.vertebrae if isinstance(result := found[v.number], BodyHeights)
    }
    expected = expectations(measured, case.reading.source.sex)
    vertebrae = tuple(_with_results(v, found[v.number], expected) for v in case.reading.vertebrae)
    remarks = tuple(dict.fromkeys((*case.reading.remarks, *fracture_sentences(vertebrae))))
    changes = {"vertebrae": vertebrae, "remarks": remarks}
    reading: SpineReading = case.reading.model_copy(update=changes)
    return replace(case, reading=reading)


def measure_heights(surfaces: BodySurfaces) -> BodyHeights | Withheld:
    """Ha, Hm and Hp with their uncertainties from the surfaces of one body.

    Args:
        surfaces: Endplates and walls in the vertebra's own frame.

    Returns:
        The heights in mm, each with the half-width of its 95 % interval, or why there are none.
    """
    unseen = Withheld(
        code="edges-unseen",
        reason="The endplates of this vertebra stand out too little in the image to be measured.",
    )
    near = np.abs(surfaces.planes) <= HALF_WIDTH_MM
    front, back = surfaces.anterior_rim, surfaces.posterior_rim
    if back - front < 8.0:
        return unseen
    depth = back - front
    profile = (surfaces.superior - surfaces.inferior)[near]
    places = (front + INSET * depth, (front + back) / 2, back - INSET * depth)
    anterior = _at(profile, surfaces.columns, places[0], 1.5)
    posterior = _at(profile, surfaces.columns, places[2], 1.5)
    middle, places = _least(profile, surfaces.columns, front, depth, places)
    samples = (anterior, middle, posterior)
    if any(np.isfinite(sample).sum() < 2 for sample in samples):
        return unseen
    values = [float(np.nanmedian(sample)) for sample in samples]
    if min(values) < 1.0:
        return unseen
    edge = EDGE_MM[0] + EDGE_MM[1] * surfaces.sampling**2
    quantities = [
        Measured(value=round(value, 2), unit="mm", uncertainty=round(_half_width(sample, edge), 2))
        for value, sample in zip(values, samples, strict=True)
    ]
    lines = tuple(_line(surfaces, near, place) for place in places)
    heights = Heights(
        anterior=quantities[0],
        middle=quantities[1],
        posterior=quantities[2],
        lines=(lines[0], lines[1], lines[2]),
    )
    return BodyHeights(heights, MeasuredBody(HeightTriple(*values), places[2] - places[0]))


def _body_heights(case: Case, vertebra: Vertebra, body: Body | Withheld | None) -> BodyHeights | Withheld:
    gate = case.reading.withholding("heights")
    if gate is not None:
        return Withheld(code=gate.code, reason=gate.reason)
    if not vertebra.complete:
        return Withheld(code="incomplete", reason="The vertebra is cut off by the border of the scanned volume.")
    if vertebra.confidence < LEAST_CONFIDENCE:
        return Withheld(
            code="low-confidence",
            reason=f"The segmentation is only {100 * vertebra.confidence:.0f} % sure of this vertebra.",
        )
    if body is None:
        return Withheld(code="no-body", reason="No vertebral body was found for this vertebra.")
    if isinstance(body, Withheld):
        return body
    if metal_within(case.volume, body.mask.points) > 0.1:
        return Withheld(code="metal", reason="Metal in the vertebral body hides its endplates.")
    with warnings.catch_warnings():
        # Columns that miss the bone are NaN by design; their medians are NaN, not a problem.
        warnings.filterwarnings("ignore", "(All-NaN|Mean of empty|Degrees of freedom)", RuntimeWarning)
        surfaces = body_surfaces(case.volume, body, case.reading.source.slice_thickness)
        return measure_heights(surfaces)


def _with_results(vertebra: Vertebra, found: BodyHeights | Withheld, expected: Mapping[Level, Expectation]) -> Vertebra:
    if isinstance(found, Withheld):
        return vertebra.model_copy(update={"heights": found, "deformity": found})
    deformity: Deformity | Withheld
    if vertebra.level in GRADED:
        deformity = _deformity(found, expected[vertebra.level])
    else:
        deformity = Withheld(
            code="level-not-graded",
            reason="Vertebral fractures are graded from T4 to L4 only; the heights are given.",
        )
    return vertebra.model_copy(update={"heights": found.heights, "deformity": deformity})


def _deformity(found: BodyHeights, expected: Expectation) -> Deformity:
    grading = grade_heights(found.measured.heights, expected)
    measuring = _loss_deviation(found.heights, found.measured.heights)
    # Where the patient's neighbours agree they halve the spread between people.
    spread = SPREAD / (2 if expected.posterior is not None else 1)
    probability = probability_of_grade_2(grading.loss, float(np.hypot(measuring, spread)))
    low, high = INDETERMINATE
    return Deformity(
        height_loss=Measured(value=round(100 * grading.loss, 1), unit="%", uncertainty=round(196 * measuring, 1)),
        grade=grading.grade,
        shape=grading.shape,
        probability=round(probability, 3),
        indeterminate=low < probability < high,
        note=_note(grading, measuring, expected),
    )


def _note(grading: Grading, measuring: float, expected: Expectation) -> str | None:
    parts = []
    least, most = grade_of(grading.loss - 1.96 * measuring), grade_of(grading.loss + 1.96 * measuring)
    if least != most:
        parts.append(f"Within its uncertainty the grade is {least} to {most}.")
    if expected.posterior is None:
        parts.append("Too few neighbours to predict the height: compared with its own posterior height only.")
    return " ".join(parts) or None


def _loss_deviation(heights: Heights, values: HeightTriple) -> float:
    """Standard deviation of the height loss from the heights' own uncertainties."""
    shares = [
        (quantity.uncertainty or 0.0) / 1.96 / value
        for quantity, value in (
            (heights.anterior, values.anterior),
            (heights.middle, values.middle),
            (heights.posterior, values.posterior),
        )
        if isinstance(quantity, Measured)
    ]
    return float(np.hypot(max(shares[:2]), shares[2]))


def _at(profile: Array, columns: Array, place: float, reach: float) -> Array:
    """Height per plane around a front-back position."""
    use = np.abs(columns - place) <= reach
    return np.asarray(np.nanmedian(profile[:, use], axis=1))


def _least(
    profile: Array, columns: Array, front: float, depth: float, places: tuple[float, float, float]
) -> tuple[Array, tuple[float, float, float]]:
    """Least height per plane in the central third, and the lines' places with the middle one moved there."""
    third = (columns >= front + depth / 3) & (columns <= front + 2 * depth / 3)
    inner = profile[:, third]
    if not np.isfinite(inner).any():
        return np.full(len(profile), np.nan), places
    typical = np.nanmedian(inner, axis=0)
    if not np.isfinite(typical).any():
        return np.full(len(profile), np.nan), places
    where = float(columns[third][int(np.nanargmin(typical))])
    return _at(profile, columns, where, 1.0), (places[0], where, places[2])


def _half_width(sample: Array, edge: float) -> float:
    """95 % half-width: placing of two endplates, and the spread between planes."""
    seen = sample[np.isfinite(sample)]
    between = float(seen.std(ddof=1) / np.sqrt(len(seen))) if len(seen) > 1 else 0.0
    return 1.96 * float(np.sqrt(2 * edge**2 + between**2))


def _line(surfaces: BodySurfaces, near: Flags, place: float) -> HeightLine:
    use = np.abs(surfaces.columns - place) <= 1.5
    top = float(np.nanmedian(surfaces.superior[near][:, use]))
    bottom = float(np.nanmedian(surfaces.inferior[near][:, use]))
    return HeightLine(superior=surfaces.frame.point(0.0, place, top), inferior=surfaces.frame.point(0.0, place, bottom))
