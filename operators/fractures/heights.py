"""The three heights of one vertebral body, and the area between its endplates, from its surfaces.

Six-point morphometry on the straightened body (docs/science.md §3.2): anterior and posterior height at 12.5 % of
the body's depth from its walls, so that osteophytes and the uncinate rim do not count, the middle height as
the minimum over the central third, each the median over parasagittal planes near the middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from operators.body.endplates import BodySurfaces
from operators.body.resampling import Array, Flags
from operators.fractures.expectation import MeasuredBody
from operators.fractures.grading import HeightTriple
from operators.fractures.results import HeightLine, Heights
from operators.reading.quantity import Measured, Withheld
from operators.reading.reasons import Reason

INSET = 0.125
"""Distance of the anterior and posterior height line from the walls, as a share of the depth: the middle
of the 10–15 % of docs/science.md §3.2."""
HALF_WIDTH_MM = 4.0
"""Parasagittal planes used for Ha and Hp lie within this distance of the middle."""
MIDDLE_HALF_WIDTH_MM = 2.0
"""The same for Hm: endplates are deepest in the midline, and planes further out make a hollow look shallower."""
LINE_REACH_MM, RIM_REACH_MM = 1.5, 3.0
"""How far from a height line columns count for it, and how far where fewer than two planes show the plate there."""
EDGE_MM = (0.08, 0.07, 0.06)
"""Standard deviation with which one endplate is placed: the first, plus the second times the voxel spacing across
it in mm to the power of 1.5; where it is one peak with the next vertebra's, and the mask decides, plus the third
times the square of the spacing. Found on phantoms (evidence/fractures/heights.py)."""

EDGES_UNSEEN = Reason.EDGES_UNSEEN


@dataclass(frozen=True)
class BodyHeights:
    """Heights as the reading stores them, and as the grading needs them."""

    heights: Heights
    measured: MeasuredBody


def edge_deviation(surfaces: BodySurfaces) -> float:
    """Standard deviation with which one endplate of these surfaces is placed, mm."""
    least, seen, merged = EDGE_MM
    image, mask = seen * float(surfaces.sampling**1.5), merged * surfaces.sampling**2
    return least + surfaces.resolved * image + (1 - surfaces.resolved) * max(image, mask)


def measure_heights(surfaces: BodySurfaces) -> BodyHeights | Withheld:
    """Ha, Hm and Hp with their uncertainties from the surfaces of one body.

    Args:
        surfaces: Endplates and walls in the vertebra's own frame.

    Returns:
        The heights in mm, each with the half-width of its 95 % interval, or why there are none.
    """
    unseen = Withheld(
        code=EDGES_UNSEEN,
        reason="The endplates of this vertebra stand out too little in the image to be measured.",
    )
    near = np.abs(surfaces.planes) <= HALF_WIDTH_MM
    inner = np.abs(surfaces.planes) <= MIDDLE_HALF_WIDTH_MM
    front, back = surfaces.anterior_rim, surfaces.posterior_rim
    if back - front < 8.0:
        return unseen
    depth = back - front
    height = surfaces.superior - surfaces.inferior
    places = (front + INSET * depth, (front + back) / 2, back - INSET * depth)
    anterior = _near(height[near], surfaces.columns, places[0])
    posterior = _near(height[near], surfaces.columns, places[2])
    middle, places = _least(height[inner], surfaces.columns, front, depth, places)
    samples = (anterior, middle, posterior)
    if any(np.isfinite(sample).sum() < 2 for sample in samples):
        return unseen
    values = [float(np.nanmedian(sample)) for sample in samples]
    if min(values) < 1.0:
        return unseen
    edge = edge_deviation(surfaces)
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
    between = (surfaces.columns >= places[0]) & (surfaces.columns <= places[2])
    mean = float(np.nanmean(np.nanmedian(height[near][:, between], axis=0)))
    return BodyHeights(heights, MeasuredBody(HeightTriple(*values), places[2] - places[0], mean))


def _at(profile: Array, columns: Array, place: float, reach: float) -> Array:
    """Height per plane around a front-back position."""
    use = np.abs(columns - place) <= reach
    return np.asarray(np.nanmedian(profile[:, use], axis=1))


def _near(profile: Array, columns: Array, place: float) -> Array:
    """The same close to a height line, or a little farther where a curled rim hides the plate at it."""
    for reach in (LINE_REACH_MM, RIM_REACH_MM):
        sample = _at(profile, columns, place, reach)
        if np.isfinite(sample).sum() >= 2:
            return sample
    return np.full(len(profile), np.nan)


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
    plates = (surfaces.superior[near], surfaces.inferior[near])
    for reach in (LINE_REACH_MM, RIM_REACH_MM):
        use = np.abs(surfaces.columns - place) <= reach
        top, bottom = (float(np.nanmedian(plate[:, use])) for plate in plates)
        if np.isfinite(top + bottom):
            break
    return HeightLine(superior=surfaces.frame.point(0.0, place, top), inferior=surfaces.frame.point(0.0, place, bottom))
