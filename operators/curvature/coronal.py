"""The Cobb angle of the largest coronal curve."""

from __future__ import annotations

import numpy as np

from models.anatomy import Level
from operators.body.resampling import Array
from operators.curvature.endplates import EndplatePlane
from operators.curvature.geometry import Bend, largest_bend, left_tilt
from operators.curvature.results import DEGREE, Coronal, CoronalCurve, NoCurve, Plate
from operators.curvature.sagittal import Z_95, notes, plate_line
from operators.curvature.spine import Measurable, Spine
from operators.reading.quantity import Measured, Withheld
from operators.reading.reasons import Reason

SEARCHED = (Level.T4, Level.L5)
"""Above T4 the masks are least certain, and a search over pairs finds their errors (docs/curvature.md)."""
LEAST_DEG = 10.0
"""Cobb angle from which a curve is called one."""
LEAST_LEVELS = 5
"""Measured vertebrae in a row below which there is no telling whether a spine curves. The project's own."""


def coronal_curve(spine: Spine) -> Coronal:
    """The largest coronal curve from T4 to L5, that there is none of 10 degrees, or why that cannot be said."""
    if spine.fault is not None:
        return spine.fault
    row = _longest_row(spine)
    if len(row) < LEAST_LEVELS or spine.axes is None:
        reason = (
            f"A coronal curve needs the endplates of {LEAST_LEVELS} vertebrae in a row between "
            f"{SEARCHED[0]} and {SEARCHED[1]}; {len(row)} could be measured."
        )
        return Withheld(code=Reason.COVERAGE, reason=reason)
    levels = [one.vertebra.level for one in row]
    upper = [_plane(one, Plate.SUPERIOR) for one in row]
    lower = [_plane(one, Plate.INFERIOR) for one in row]
    axes = spine.axes
    bend = largest_bend(
        [left_tilt(plane.normal, axes) for plane in upper],
        [left_tilt(plane.normal, axes) for plane in lower],
        np.stack([one.plates.frame.origin for one in row]) @ axes[[0, 2]].T,
    )
    if bend is None or abs(bend.angle) < LEAST_DEG:
        between = [v.level for v in spine.reading.vertebrae if levels[0].rank < v.level.rank < levels[-1].rank]
        unseen = ", ".join(level.value for level in between if level not in levels)
        without = f" ({unseen} not measured)" if unseen else ""
        statement = f"No coronal curve of {LEAST_DEG:g} degrees or more from {levels[0]} to {levels[-1]}{without}."
        return NoCurve(first=levels[0], last=levels[-1], statement=statement)
    return _curve(spine, levels, bend, upper[bend.upper], lower[bend.lower], axes)


def _curve(
    spine: Spine, levels: list[Level], bend: Bend, upper: EndplatePlane, lower: EndplatePlane, axes: Array
) -> CoronalCurve:
    first, last = levels[bend.upper], levels[bend.lower]
    error = Z_95 * float(np.hypot(upper.coronal_error, lower.coronal_error))
    return CoronalCurve(
        upper=first,
        lower=last,
        apex=levels[bend.apex],
        convex="left" if bend.angle > 0 else "right",
        angle=Measured(value=abs(bend.angle), unit=DEGREE, uncertainty=error),
        lines=(
            plate_line(first, Plate.SUPERIOR, upper, axes[0]),
            plate_line(last, Plate.INFERIOR, lower, axes[0]),
        ),
        note=" ".join(notes(spine, first, last)) or None,
    )


def _longest_row(spine: Spine) -> list[Measurable]:
    """The longest row from T4 to L5 with both endplates measured, from head to feet; single ones may be missing."""
    best: list[Measurable] = []
    row: list[Measurable] = []
    missing = 0
    for vertebra in spine.reading.vertebrae:
        if not SEARCHED[0].rank <= vertebra.level.rank <= SEARCHED[1].rank:
            continue
        one = spine.found[vertebra.number]
        if isinstance(one, Measurable) and all(isinstance(one.plates.plate(p), EndplatePlane) for p in Plate):
            row = [*row, one] if missing < 2 else [one]
            missing = 0
        else:
            missing += 1
        best = max(best, row, key=len)
    return best


def _plane(one: Measurable, which: Plate) -> EndplatePlane:
    plane = one.plates.plate(which)
    assert isinstance(plane, EndplatePlane)
    return plane
