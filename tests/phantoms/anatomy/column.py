"""Where every vertebra stands: the column is built upwards from the sacrum, disc by disc."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.anatomy import Level
from tests.phantoms.anatomy.body import Body
from tests.phantoms.anatomy.shapes import Frame, Vector, vector
from tests.phantoms.anatomy.typical import DISC_BELOW, LORDOSIS_SHARE


@dataclass(frozen=True)
class Curves:
    """Curvature of the standing of the column, degrees.

    Attributes:
        sacral_slope: Forward tilt of the sacral endplate.
        lordosis: Angle between the superior endplates of L1 and S1 of the unbroken column.
        kyphosis: Angle between the superior endplate of T1 and the inferior one of T12, unbroken.
        scoliosis: Cobb angle of a coronal curve, convex to the left when positive.
        apex: The vertebra farthest from the midline.
        span: Half the length of the curve in vertebrae; outside it the column stands straight.
        rotation: Axial rotation of the apex.
    """

    sacral_slope: float = 38.0
    lordosis: float = 52.0
    kyphosis: float = 40.0
    scoliosis: float = 0.0
    apex: Level = Level.L1
    span: float = 5.0
    rotation: float = 0.0


@dataclass(frozen=True)
class Placement:
    """One vertebra in its place.

    Attributes:
        level: Its name.
        body: Its body.
        frame: Its own frame; the origin lies midway between the middles of the flat endplates.
        disc: Height of the disc below it, mm; zero for the sacrum.
    """

    level: Level
    body: Body
    frame: Frame
    disc: float


def _axes(forward: float, sideways: float, turn: float) -> Vector:
    """Rows left, anterior, cranial of a vertebra tilted forward and to the left and turned to the left, rad."""
    left, anterior, cranial = vector(1, 0, 0), vector(0, -1, 0), vector(0, 0, 1)
    left, anterior = left * np.cos(turn) - anterior * np.sin(turn), anterior * np.cos(turn) + left * np.sin(turn)
    anterior, cranial = (
        anterior * np.cos(forward) - cranial * np.sin(forward),
        cranial * np.cos(forward) + anterior * np.sin(forward),
    )
    left, cranial = (
        left * np.cos(sideways) - cranial * np.sin(sideways),
        cranial * np.cos(sideways) + left * np.sin(sideways),
    )
    return np.stack([left, anterior, cranial])


def _coronal(level_index: float, apex_index: float, curves: Curves) -> tuple[float, float]:
    """Sideways tilt and axial turn (radians) of the vertebra at a place in the column."""
    x = (level_index - apex_index) / curves.span
    if abs(x) >= 1:
        return 0.0, 0.0
    # The steepest tilt of sin(pi x) is one on either side: the Cobb angle is twice the amplitude.
    tilt = np.radians(curves.scoliosis) / 2 * np.sin(np.pi * x)
    turn = np.radians(curves.rotation) * np.cos(np.pi * x / 2) ** 2
    return float(tilt), float(turn)


def _disc_angles(bodies: Mapping[Level, Body], curves: Curves) -> dict[Level, float]:
    """Lordotic angle of the disc below every level, radians, so that the curves come out."""
    lumbar = [x for x in bodies if x.region == "L"]
    thoracic = [x for x in bodies if x.region == "T"]
    lordosis = np.radians(curves.lordosis) - sum(bodies[x].wedge_angle for x in lumbar)
    kyphosis = np.radians(curves.kyphosis) + sum(bodies[x].wedge_angle for x in thoracic)
    angles: dict[Level, float] = {}
    shares = {x: LORDOSIS_SHARE.get(x, 0.0) for x in lumbar}
    total = sum(shares.values())
    inner = thoracic[:-1]
    for level in bodies:
        if level in shares:
            angles[level] = float(lordosis * shares[level] / total)
        elif level in inner:
            angles[level] = float(-kyphosis / len(inner))
        else:
            angles[level] = 0.0
    return angles


def stand(
    column: tuple[Level, ...], normal: Mapping[Level, Body], actual: Mapping[Level, Body], curves: Curves, size: float
) -> tuple[Placement, ...]:
    """Place the column, from head to feet.

    Args:
        column: Levels from head to feet; the last one is S1.
        normal: The bodies before any fracture: they fix the discs' angles.
        actual: The bodies as they are: a broken one bends the column above it.
        curves: The curvature aimed at.
        size: Scale of the patient.

    Returns:
        One placement per level. The middle of the sacral endplate is the origin of the patient frame.
    """
    angles = _disc_angles(normal, curves)
    index = {level: i for i, level in enumerate(column)}
    apex = index.get(curves.apex, len(column) // 2)
    sacrum = actual[Level.S1]
    forward = np.radians(curves.sacral_slope)
    axes = _axes(forward + sacrum.wedge_angle / 2, 0.0, 0.0)
    origin = -axes[2] * sacrum.line_height / 2
    placed = [Placement(Level.S1, sacrum, Frame(origin, axes), 0.0)]
    point = vector(0, 0, 0)
    last = 0.0
    for level in reversed(column[:-1]):
        body, gap = actual[level], DISC_BELOW[level] * size
        tilt, turn = _coronal(index[level], apex, curves)
        across = _axes(forward - angles[level] / 2, (tilt + last) / 2, turn)[2]
        point = point + across * gap
        forward -= angles[level] + body.wedge_angle / 2
        axes = _axes(forward, tilt, turn)
        centre = point + axes[2] * body.line_height / 2
        placed.append(Placement(level, body, Frame(centre, axes), gap))
        point = centre + axes[2] * body.line_height / 2
        forward -= body.wedge_angle / 2
        last = tilt
    return tuple(reversed(placed))
