"""How far an endplate is pressed in, and whether as a whole (biconcave) or at one spot (Schmorl's node).

A fracture presses in the plate within its ring (Jiang's algorithm-based qualitative method, docs/science.md §3.5);
a Schmorl node is a narrow dent in a plate that is otherwise in place (docs/science.md §3.6). So the plate is compared
with two things: the plane through its anterior and posterior part, and its own smooth curve. The plate's usual
concavity is that of the patient's other endplates: no verified norm was found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from operators.body.endplates import BodySurfaces, robust_fit
from operators.body.resampling import Array, Flags
from operators.fractures.heights import edge_deviation
from operators.fractures.results import Endplate, EndplateForm, Endplates
from operators.reading.quantity import Measured, Point, Withheld
from operators.reading.reasons import Reason

RING = (0.04, 0.18)
"""Part of the depth, from each wall, in which a plate stays in place when its middle gives way; the outermost
4 % belong to the rounding of the rim and to osteophytes."""
INNER = 0.15
"""Where the middle begins, as a share of the depth from each wall."""
LEAST_DENT_MM = 2.0
LEAST_SINK_MM = 1.5
"""Depth from which a dent, or a plate deeper than the patient's other ones, is called. Working values: on
random intact phantoms at up to 3 mm slices no plate reaches them (docs/fractures.md)."""
RESOLVED_SHARE = 0.5
"""Least depth of a dent as a share of the voxel across the plate: what is shallower no slice shows by itself."""
NARROW_SHARE = 0.35
"""Widest dent, at half its depth, as a share of the body's depth: the smooth hollow of a biconcave
fracture is wider."""


@dataclass(frozen=True)
class PlateShape:
    """What was measured of one plate, mm.

    Attributes:
        depth: Deepest place below the plane through the ring.
        dent: Deepest place below the plate's smooth curve.
        width: Extent of that dent at half its depth.
        extent: Front-back extent of the body.
        deviation: Standard deviation of ``depth``; that of ``dent`` is ``dent_deviation``.
        sampling: Distance of voxels across the plate.
        deepest, dented: Where they are, LPS.
    """

    depth: float
    dent: float
    width: float
    extent: float
    deviation: float
    dent_deviation: float
    sampling: float
    deepest: Point
    dented: Point

    @property
    def is_dented(self) -> bool:
        """True for a narrow dent that is deeper than noise makes one."""
        deep = self.dent >= max(LEAST_DENT_MM, 3 * self.dent_deviation, RESOLVED_SHARE * self.sampling)
        return deep and self.width <= NARROW_SHARE * self.extent


@dataclass(frozen=True)
class PlatePair:
    """Both plates of one body; None where too little of one was seen."""

    superior: PlateShape | None
    inferior: PlateShape | None

    @property
    def shapes(self) -> tuple[PlateShape, ...]:
        """Those that were seen."""
        return tuple(shape for shape in (self.superior, self.inferior) if shape is not None)


def plate_pair(surfaces: BodySurfaces) -> PlatePair:
    """Depressions of both endplates of one body.

    Args:
        surfaces: Endplates and walls in the vertebra's own frame; columns without evidence are NaN.
    """
    return PlatePair(_shape(surfaces, surfaces.superior, 1.0), _shape(surfaces, surfaces.inferior, -1.0))


def judged_endplates(pairs: Mapping[int, PlatePair]) -> dict[int, Endplates]:
    """Form of every plate, by number of the vertebra, against the patient's other plates."""
    return {
        number: Endplates(superior=_endplate(pair.superior, usual), inferior=_endplate(pair.inferior, usual))
        for number, pair in pairs.items()
        for usual in (_usual(pairs, number),)
    }


def is_depressed(endplates: Endplates) -> bool | None:
    """True where a plate is depressed as a whole; None where neither was seen."""
    seen = [plate for plate in (endplates.superior, endplates.inferior) if isinstance(plate, Endplate)]
    return any(plate.form is EndplateForm.CONCAVE for plate in seen) if seen else None


def _usual(pairs: Mapping[int, PlatePair], number: int) -> float | None:
    """Median depth of the patient's other plates as a share of the body's extent; None with fewer than four."""
    others = [shape.depth / shape.extent for key, pair in pairs.items() if key != number for shape in pair.shapes]
    return float(np.median(others)) if len(others) >= 4 else None


def _endplate(shape: PlateShape | None, usual: float | None) -> Endplate | Withheld:
    if shape is None:
        return Withheld(code=Reason.EDGES_UNSEEN, reason="Too little of this endplate stands out in the image.")
    form, place = EndplateForm.EVEN, shape.deepest
    if shape.is_dented:
        form, place = EndplateForm.FOCAL, shape.dented
    elif usual is not None:
        sunk = shape.depth - usual * shape.extent
        form = EndplateForm.CONCAVE if sunk >= max(LEAST_SINK_MM, 2 * shape.deviation) else EndplateForm.EVEN
    return Endplate(
        depth=_measured(shape.depth, shape.deviation),
        focal_depth=_measured(shape.dent, shape.dent_deviation),
        focal_width=Measured(value=round(shape.width, 1), unit="mm") if form is EndplateForm.FOCAL else None,
        form=form,
        deepest=place,
    )


def _measured(value: float, deviation: float) -> Measured:
    return Measured(value=round(value, 2), unit="mm", uncertainty=round(1.96 * deviation, 2))


def _shape(surfaces: BodySurfaces, plate: Array, outward: float) -> PlateShape | None:
    front, back = surfaces.anterior_rim, surfaces.posterior_rim
    extent = back - front
    if extent < 8.0:
        return None
    lateral, place = np.meshgrid(surfaces.planes, surfaces.columns, indexing="ij")
    share = (place - front) / extent
    ring = ((share > RING[0]) & (share < RING[1])) | ((share > 1 - RING[1]) & (share < 1 - RING[0]))
    middle = (share > INNER) & (share < 1 - INNER)
    seen = np.isfinite(plate)
    if (seen & ring).sum() < 8 or (seen & middle).mean() < 0.6 * middle.mean():
        return None
    terms = np.stack([np.ones_like(lateral), lateral, place], axis=-1)
    height = outward * plate
    sunk = terms @ robust_fit(terms[seen & ring], height[seen & ring]) - height
    calm = _calmed(sunk, seen)
    rest = calm - _smooth(lateral, place - (front + back) / 2, extent, calm, seen & (share > 0) & (share < 1))
    deep, dent = _greatest(calm, middle & seen), _greatest(rest, middle & seen)
    width = _width(rest, dent, surfaces)
    edge = edge_deviation(surfaces)

    def point(where: tuple[int, int]) -> Point:
        return surfaces.frame.point(surfaces.planes[where[0]], surfaces.columns[where[1]], float(plate[where]))

    return PlateShape(
        depth=float(max(calm[deep], 0.0)),
        dent=float(max(rest[dent], 0.0)),
        width=width,
        extent=float(extent),
        deviation=float(np.hypot(edge, surfaces.scatter / 2)),
        # A plate is shifted as a whole more easily than at one spot.
        dent_deviation=float(np.hypot(edge / 2, surfaces.scatter / 2)),
        sampling=surfaces.sampling,
        deepest=point(deep),
        dented=point(dent),
    )


def _calmed(sunk: Array, seen: Flags) -> Array:
    """Median over three planes and three columns; what is unseen takes its nearest neighbour's value."""
    nearest = ndimage.distance_transform_edt(~seen, return_distances=False, return_indices=True)
    return np.asarray(ndimage.median_filter(sunk[tuple(nearest)], 3, mode="nearest"))


def _smooth(lateral: Array, place: Array, extent: float, sunk: Array, use: Flags) -> Array:
    """The plate's smooth curve: of fourth degree front to back, of second degree across."""
    v, u = 2 * place / extent, 2 * lateral / extent
    terms = np.stack([np.ones_like(u), u, u**2, v, v**2, v**3, v**4, u * v], axis=-1)
    return np.asarray(terms @ robust_fit(terms[use], sunk[use]))


def _greatest(values: Array, use: Flags) -> tuple[int, int]:
    plane, column = np.unravel_index(int(np.where(use, values, -np.inf).argmax()), values.shape)
    return int(plane), int(column)


def _width(rest: Array, dent: tuple[int, int], surfaces: BodySurfaces) -> float:
    """Extent of the dent at half its depth, front to back or across, whichever is larger, mm."""
    parts, _ = ndimage.label(rest >= max(rest[dent], 0.1) / 2)
    own = parts == parts[dent]
    columns = surfaces.columns[own.any(axis=0)]
    planes = surfaces.planes[own.any(axis=1)]
    return float(max(_span(columns, 1.0), _span(planes, float(np.diff(surfaces.planes[:2])[0]))))


def _span(places: Array | Sequence[float], step: float) -> float:
    return float(np.ptp(places)) + step if len(places) else 0.0
