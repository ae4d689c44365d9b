"""Planes, angles and curves as numbers: nothing here knows an image or a file.

Directions are unit vectors in LPS patient coordinates; lengths in mm, angles in degrees unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from operators.body.resampling import Array

HUBER_MM = 1.0
"""Residual from which a point of an endplate counts less and less (docs/curvature.md)."""
NEUTRAL_DEG = 1.5
"""Coronal tilt up to which a vertebra leans to neither side. The project's own: the error of one endplate."""
LEAST_BULGE = 0.5
"""Share of the height of an arc of the curve's angle by which the centres must bulge. The project's own."""


@dataclass(frozen=True)
class PlaneFit:
    """The plane ``w = rise_u · u + rise_v · v + offset`` through points of a surface.

    Attributes:
        rise_u, rise_v: Slopes.
        offset: mm.
        residual: Root mean square distance of all points from the plane, mm.
    """

    rise_u: float
    rise_v: float
    offset: float
    residual: float

    @property
    def normal(self) -> Array:
        """Unit normal in the coordinates ``(u, v, w)``, with a positive ``w``."""
        raw = np.array([-self.rise_u, -self.rise_v, 1.0])
        return np.asarray(raw / np.linalg.norm(raw))


def robust_plane(u: Array, v: Array, w: Array) -> PlaneFit:
    """Fit a plane by Huber's loss with a corner at ``HUBER_MM``, by reweighted least squares.

    Args:
        u: First coordinate of at least three points that are not on one line, shape ``(n,)``, mm.
        v: Second coordinate.
        w: Height above the plane of the first two.
    """
    design = np.stack([u, v, np.ones_like(u)], axis=1)
    weight = np.ones_like(w)
    fit = np.zeros(3)
    for _ in range(30):
        root = np.sqrt(weight)
        before, fit = fit, np.linalg.lstsq(design * root[:, None], w * root, rcond=None)[0]
        away = np.abs(w - design @ fit)
        weight = np.minimum(1.0, HUBER_MM / np.maximum(away, 1e-9))
        if np.abs(fit - before).max() < 1e-6:
            break
    tilted = np.sqrt(1.0 + fit[0] ** 2 + fit[1] ** 2)
    residual = float(np.sqrt(np.mean((w - design @ fit) ** 2)) / tilted)
    return PlaneFit(float(fit[0]), float(fit[1]), float(fit[2]), residual)


def patient_axes(lefts: Array, centres: Array) -> Array:
    """The patient's own left, posterior and superior axis: the table's say nothing of one who lies turned.

    Args:
        lefts: Left axes of the vertebrae, shape ``(n, 3)``.
        centres: Their centres from head to feet, shape ``(n, 3)``; with one only, up is that of the table.

    Returns:
        Rows left, posterior, superior. Left is the geometric median of the vertebrae's, so that the turned ones
        at the apex of a scoliosis pull little; superior is the long axis of the centres, perpendicular to it.
    """
    left = lefts.mean(axis=0)
    for _ in range(50):
        apart = np.maximum(np.linalg.norm(lefts - left, axis=1), 1e-4)
        left = (lefts / apart[:, None]).sum(axis=0) / (1.0 / apart).sum()
    left = left / np.linalg.norm(left)
    up = np.array([0.0, 0.0, 1.0])
    if len(centres) > 1:
        up = np.linalg.svd(centres - centres.mean(axis=0))[2][0]
        up = up * np.sign(up @ (centres[0] - centres[-1]))
    up = up - (up @ left) * left
    up = up / np.linalg.norm(up)
    return np.stack([left, np.cross(up, left), up])


def forward_tilt(normal: Array, axes: Array) -> float:
    """Tilt of an endplate in the sagittal plane: positive where its cranial normal leans forward.

    Args:
        normal: Cranial normal of the endplate.
        axes: Rows left, posterior, superior of the patient.
    """
    return float(np.degrees(np.arctan2(-normal @ axes[1], normal @ axes[2])))


def left_tilt(normal: Array, axes: Array) -> float:
    """Tilt of an endplate in the coronal plane: positive where its cranial normal leans to the left.

    Args:
        normal: Cranial normal of the endplate.
        axes: Rows left, posterior, superior of the patient.
    """
    return float(np.degrees(np.arctan2(normal @ axes[0], normal @ axes[2])))


@dataclass(frozen=True)
class Bend:
    """A coronal curve about one apex; places are indices from head to feet.

    Attributes:
        upper, lower: End vertebrae.
        apex: The vertebra between them that lies farthest to the convex side.
        angle: Degrees; positive where the curve is convex to the left.
    """

    upper: int
    lower: int
    apex: int
    angle: float


def largest_bend(superior: Sequence[float], inferior: Sequence[float], centres: Array) -> Bend | None:
    """The largest coronal curve, between the most tilted vertebrae above and below one apex.

    A maximum over all pairs of endplates would pick their noise, so that the vertebrae are first divided into
    stretches that lean to one side. A curve joins two neighbouring stretches, has a vertebra or more between its
    ends, and the centres between them bulge to the side that the endplates say, as an arc of that angle does: one
    over a chord ``c`` rises by ``c · angle / 8``.

    Args:
        superior: Coronal tilt of the superior endplate of every vertebra from head to feet, see :func:`left_tilt`.
        inferior: Of the inferior one.
        centres: Coordinates along the patient's left and superior axis, shape ``(n, 2)``.
    """
    bends = []
    tilts = (np.array(superior) + np.array(inferior)) / 2
    for above, below in pairwise(_stretches(tilts)):
        if np.sign(tilts[above[0]]) == np.sign(tilts[below[0]]):
            continue
        upper = max(above, key=lambda place: abs(superior[place]))
        lower = max(below, key=lambda place: abs(inferior[place]))
        angle = inferior[lower] - superior[upper]
        if lower - upper < 2:
            continue
        bulge = float((_offsets(centres, upper, lower) * np.sign(angle)).max())
        apex = upper + 1 + int((centres[upper + 1 : lower, 0] * np.sign(angle)).argmax())
        arc = float(np.linalg.norm(centres[upper] - centres[lower])) * np.radians(abs(angle)) / 8
        if bulge > LEAST_BULGE * arc:
            bends.append(Bend(upper, lower, apex, angle))
    return max(bends, key=lambda bend: abs(bend.angle), default=None)


def _stretches(tilts: Array) -> list[list[int]]:
    """Places from head to feet in groups that lean to the same side; upright vertebrae are left out.

    One upright vertebra between two that lean to the same side is an error of its mask; two end a curve.
    """
    groups: list[list[int]] = []
    for place, tilt in enumerate(tilts):
        if abs(tilt) < NEUTRAL_DEG:
            continue
        last = groups[-1][-1] if groups else None
        if last is None or place - last > 2 or np.sign(tilt) != np.sign(tilts[last]):
            groups.append([])
        groups[-1].append(place)
    return groups


def _offsets(centres: Array, upper: int, lower: int) -> Array:
    """How far to the left of the line between two centres those between them lie, mm."""
    first, last = centres[upper], centres[lower]
    way = (first - last) / np.linalg.norm(first - last)
    apart = centres[upper + 1 : lower] - last
    return np.asarray(apart[:, 0] * way[1] - apart[:, 1] * way[0])
