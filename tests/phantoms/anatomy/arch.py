"""Posterior elements, ribs, and the sacrum behind and below its first body."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.phantoms.anatomy.column import Placement
from tests.phantoms.anatomy.shapes import Array, Blade, Ellipsoid, Solid, tube, vector
from tests.phantoms.anatomy.typical import ArchShape, arch_shape


def _mirrored(left: list[Blade]) -> list[Solid]:
    flip = vector(-1, 1, 1)
    return [*left, *(Blade(b.start * flip, b.end * flip, b.radius, b.half_height) for b in left)]


def posterior_elements(placement: Placement, size: float) -> list[Solid]:
    """Pedicles, laminae, facets, transverse and spinous process, in the vertebra's frame."""
    level, body = placement.level, placement.body
    a = arch_shape(level)
    tall, back = body.line_height, -body.shape.depth / 2
    if level.region == "L":
        left, spine = _lumbar(a, tall / size, back / size)
    else:
        left, spine = _thoracic(a, tall / size, back / size)
    solids = [*_mirrored(left), spine]
    if size == 1.0:
        return solids
    return [_scaled(b, size) for b in solids if isinstance(b, Blade)]


def _scaled(b: Blade, size: float) -> Solid:
    r, h = b.radius, b.half_height
    return Blade(b.start * size, b.end * size, (r[0] * size, r[1] * size), (h[0] * size, h[1] * size))


def _pedicle(a: ArchShape, tall: float, back: float) -> Blade:
    x = (a.canal_width + a.pedicle_width) / 2
    radius = a.pedicle_width / 2
    half = max(0.0, a.pedicle_height / 2 - radius)
    z = tall / 2 - a.pedicle_height / 2 - 1.5
    return Blade(
        vector(x, back + 4, z), vector(x, back - 0.45 * a.canal_depth, z), (radius, radius), (half, 0.8 * half)
    )


def _lumbar(a: ArchShape, tall: float, back: float) -> tuple[list[Blade], Blade]:
    pedicle = _pedicle(a, tall, back)
    x, z = float(pedicle.start[0]), float(pedicle.start[2])
    rear = back - a.canal_depth
    left = [
        pedicle,
        # superior articular process, open towards the vertebra above
        Blade(vector(x + 1, rear + 5, z), vector(x + 3.5, rear + 0.5, tall / 2 + 5), (5.0, 3.6)),
        # pars and inferior articular process
        Blade(vector(x, rear + 3.5, z - 2), vector(x - 3, rear - 2, -tall / 2 - 1), (4.4, 4.2), (2, 1)),
        Blade(vector(x - 3, rear - 2, -tall / 2 - 1), vector(x - 4.5, rear - 6.5, -tall / 2 - 9), (4.2, 3.2)),
        # lamina
        Blade(vector(x - 2, rear + 0.5, -1), vector(0, rear - 3.5, -tall * 0.22), (3.0, 3.0), (6.0, 6.5)),
        # transverse process
        Blade(
            vector(x + 1, back - 0.55 * a.canal_depth, z - 1),
            vector(a.transverse, back - 0.55 * a.canal_depth - a.transverse_back, z),
            (3.6, 2.4),
            (3.0, 2.0),
        ),
    ]
    spine = Blade(
        vector(0, rear - 5, -tall * 0.25),
        vector(0, rear - a.spinous, -tall * 0.25 - a.spinous_drop),
        (2.6, 3.3),
        (a.spinous_height * 0.34, a.spinous_height * 0.42),
    )
    return left, spine


def _thoracic(a: ArchShape, tall: float, back: float) -> tuple[list[Blade], Blade]:
    pedicle = _pedicle(a, tall, back)
    x, z = float(pedicle.start[0]), float(pedicle.start[2])
    rear = back - a.canal_depth
    left = [
        pedicle,
        Blade(vector(x, rear + 4, z), vector(x, rear + 1.5, tall / 2 + 4), (3.4, 2.4)),
        Blade(vector(x, rear + 2.5, z - 2), vector(x - 1.5, rear - 2.2, -tall / 2 - 3.5), (3.4, 2.4)),
        Blade(vector(x - 1, rear + 1.5, 0), vector(0, rear - 3, -2), (2.6, 2.6), (tall * 0.28, tall * 0.28)),
        Blade(
            vector(x + 1, rear + 4, z - 1),
            vector(a.transverse, rear + 6 - a.transverse_back, z),
            (4.2, 4.6),
            (1.5, 1.0),
        ),
    ]
    spine = Blade(
        vector(0, rear - 3, -3),
        vector(0, rear - a.spinous, -3 - a.spinous_drop),
        (2.6, 3.0),
        (a.spinous_height * 0.42, a.spinous_height * 0.25),
    )
    return left, spine


RIB_REACH = {1: 150, 2: 155, 3: 158, 4: 160, 5: 162, 6: 162, 7: 162, 8: 152, 9: 142, 10: 130, 11: 95, 12: 68}
"""How far a rib runs around the chest, degrees from the back."""


Cage = Callable[[Array], tuple[Array, Array, Array]]
"""Half width, half depth and y of the middle of the chest wall at heights z, all in mm."""


def rib(placement: Placement, side: int, cage: Cage, size: float) -> list[Solid]:
    """One rib, in the upright frame of the patient (left, anterior, cranial).

    Args:
        placement: The thoracic vertebra that carries it.
        side: 1 for the left, -1 for the right.
        cage: The chest wall.
        size: Scale of the patient.
    """
    number = min(int(placement.level.value[1:]), 12)
    s, f, tall = placement.body.shape, placement.frame, placement.body.line_height
    a = arch_shape(placement.level)
    high = (0.40 if number < 11 else 0.15) * tall
    back = -s.depth / 2
    head = f.to_patient(vector(side * (s.width / 2 - 0.5), back + 4, high))
    neck = f.to_patient(
        vector(side * (a.transverse - 2) * size, back - (a.canal_depth - 12 + 0.7 * a.transverse_back) * size, high)
    )
    z = np.full(24, neck[2])
    reach = RIB_REACH[number]
    fall = (78.0 if number > 2 else 45.0) * size
    for _ in range(3):  # the chest is as wide as it is where the rib runs, and that depends on its fall
        half_width, half_depth, middle = cage(z)
        start = np.degrees(np.arctan2(abs(neck[0]) / half_width[0], (neck[1] - middle[0]) / half_depth[0]))
        theta = np.radians(np.linspace(start + 8, max(reach, start + 25), 24))
        sweep = (np.degrees(theta) - start) / 150
        z = neck[2] - fall * sweep * (1.3 - 0.4 * sweep)
    x, y = side * half_width * np.sin(theta), middle + half_depth * np.cos(theta)
    points = np.concatenate([[head], [neck], np.stack([x, y, z], axis=1)]) * vector(1, -1, 1)
    radius = np.concatenate([[3.4, 3.4], np.full(24, 3.4)]) * size
    half_height = np.concatenate([[1.5, 1.5], np.linspace(1.8, 2.8, 24)]) * size
    return tube(points, radius, half_height)


def sacrum(placement: Placement, size: float) -> list[Solid]:
    """The sacrum without its first body: S2 to S5, the alae and the median crest, in the frame of S1."""
    s, tall = placement.body.shape, placement.body.line_height
    # The bodies follow each other down and then forwards: the pelvic surface is hollow.
    bend = np.radians(np.array([0.0, -4.0, 10.0, 30.0, 52.0]))
    step = np.array([0.0, 25.0, 22.0, 19.0, 16.0]) * size
    centres = np.cumsum(np.stack([np.zeros(5), np.sin(bend) * step, -np.cos(bend) * step], axis=1), axis=0)
    centres[1:, 1] -= 2.0 * size
    width = np.array([s.width, 44.0 * size, 36 * size, 28 * size, 21 * size]) / 2
    depth = np.array([s.depth, 27.0 * size, 20 * size, 15 * size, 11 * size]) / 2
    solids: list[Solid] = [Ellipsoid(centres[i], (width[i], depth[i], (19.0 - 1.6 * i) * size)) for i in range(1, 5)]
    lateral: list[Blade] = [
        # ala of S1, then of S2 and S3: towards the sacroiliac joint
        Blade(vector(s.width / 2 - 8, -3, tall * 0.18), vector(53 * size, -12 * size, -4 * size), (11.5, 12.5), (2, 6)),
        Blade(centres[1] + vector(10, 0, 3), centres[1] + vector(44 * size, -8 * size, 2 * size), (10.5, 8.5), (4, 8)),
        Blade(centres[2] + vector(8, 0, 4), centres[2] + vector(32 * size, -5 * size, 2 * size), (9, 6.5), (4, 6)),
        Blade(centres[3] + vector(4, 0, 4), centres[3] + vector(22 * size, -1, 2), (7, 5.5), (2, 2)),
        # superior articular process of S1 and the roof of the sacral canal
        Blade(vector(18 * size, -s.depth / 2 - 8, 2), vector(21 * size, -s.depth / 2 - 13, tall / 2 + 8), (6.0, 4.2)),
        Blade(vector(18 * size, -s.depth / 2 - 9, 0), vector(0, -s.depth / 2 - 19 * size, -8), (3.2, 3.2), (4, 6)),
    ]
    crest = Blade(
        vector(0, -s.depth / 2 - 20 * size, -8), centres[3] + vector(0, -13 * size, 0), (3.2, 2.6), (2.0, 1.0)
    )
    return [*solids, *_mirrored(lateral), crest]
