"""The vertebral body: a solid between two analytic endplates, whose heights are therefore known.

In the frame of the vertebra (u left, v anterior, w cranial) the height at ``v`` in the mid-sagittal
plane is ``line(v) - concavity * bump(0, v)``: ``line`` passes through Ha and Hp at one eighth of the
depth from the edges, and ``bump`` is one in the middle and zero, with zero slope, at those two places.
Half of the line and ``SUPERIOR_SHARE`` of the concavity belong to the superior endplate, the rest to
the inferior one. The cranio-caudal axis is the bisector of the two endplates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.phantoms.anatomy.shapes import Array, Vector, smooth_max, vector
from tests.phantoms.anatomy.typical import BodyShape

STATION = 0.375
"""Where Ha and Hp are defined: fraction of the depth before and behind the middle (12.5 % from the edge)."""

SUPERIOR_SHARE = 0.45
"""Share of the endplates' concavity that the superior endplate has in an unbroken vertebra."""


@dataclass(frozen=True)
class Body:
    """One vertebral body.

    Attributes:
        shape: Its size; ``shape.middle`` is the height at ``v = 0``.
        superior_share: Share of the concavity that belongs to the superior endplate.
        waist: How far the anterior and lateral wall draw in at mid-height, mm.
        hollow: How far the posterior wall curves forward in the midline, mm.
        squareness: Exponent of the outline; 2 is an ellipse.
        rim: Rounding of the edge between endplate and wall, mm.
    """

    shape: BodyShape
    superior_share: float = SUPERIOR_SHARE
    waist: float = 2.2
    hollow: float = 2.5
    squareness: float = 2.4
    rim: float = 1.6

    @property
    def slope(self) -> float:
        """Increase of the straight part of the height per mm towards the front."""
        return (self.shape.anterior - self.shape.posterior) / (2 * STATION * self.shape.depth)

    @property
    def line_height(self) -> float:
        """Height in the middle if the endplates were flat, mm."""
        return (self.shape.anterior + self.shape.posterior) / 2

    @property
    def wedge_angle(self) -> float:
        """Angle between the flat endplates, radians; positive when the front is higher."""
        return 2 * float(np.arctan(self.slope / 2))

    @property
    def concavity(self) -> float:
        """Depth of both endplates' concavities together, mm."""
        return self.line_height - self.shape.middle

    def bump(self, u: Array, v: Array) -> Array:
        """Depth of the concavity relative to its deepest point, 0…1."""
        radius = STATION * self.shape.depth
        r2 = (u / np.float32(0.38 * self.shape.width)) ** 2 + (v / np.float32(radius)) ** 2
        depth: Array = np.maximum(1 - r2, 0) ** 2
        return depth

    def endplates(self, u: Array, v: Array) -> tuple[Array, Array]:
        """The w coordinates of the superior and inferior endplate at ``(u, v)``."""
        half = np.float32(self.line_height / 2) + v * np.float32(self.slope / 2)
        dent = self.bump(u, v) * np.float32(self.concavity)
        share = np.float32(self.superior_share)
        return half - share * dent, -half + (1 - share) * dent

    def plates_at(self, u: float, v: float) -> tuple[float, float]:
        """The w coordinates of the superior and inferior endplate at one place, mm."""
        top, bottom = self.endplates(np.array([u]), np.array([v]))
        return float(top[0]), float(bottom[0])

    def height(self, v: float | Vector) -> Vector:
        """Height in the mid-sagittal plane at ``v`` mm before the middle, mm. The truth of the phantom."""
        place = np.asarray(v, dtype=np.float64)
        bump = np.maximum(1 - (place / (STATION * self.shape.depth)) ** 2, 0) ** 2
        height: Vector = self.line_height + self.slope * place - self.concavity * bump
        return height

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        s = self.shape
        tall = max(s.anterior, s.posterior, s.middle) / 2 + abs(self.slope) * 0.1 * s.depth + 1
        reach = vector(s.width / 2 + 1, s.depth / 2 + self.hollow + 1, tall)
        return -reach, reach

    def wall_distance(self, u: Array, v: Array, w: Array) -> Array:
        """Signed distance to the outer wall, without the endplates."""
        s = self.shape
        half_depth = (s.depth + self.hollow) / 2
        y = v + np.float32(self.hollow / 2)
        n = self.squareness
        q = (np.abs(u / np.float32(s.width / 2)) ** n + np.abs(y / np.float32(half_depth)) ** n) ** (1 / n)
        q = np.maximum(q, np.float32(1e-3))
        rho = np.sqrt(u * u + y * y)
        high = np.clip(2 * w / np.float32(self.line_height), -1, 1)
        waist = np.float32(self.waist) * (1 - high * high) * (0.55 + 0.45 * y / np.maximum(rho, 1e-3))
        outer = rho * (1 - 1 / q) + waist
        # The hollow of the posterior wall is a circle taken out of the outline.
        circle = 0.30 * s.width
        centre = -s.depth / 2 - circle
        hollow = np.float32(circle) - np.sqrt(u * u + (v - np.float32(centre)) ** 2)
        return smooth_max(outer, hollow, 1.5)

    def distance(self, u: Array, v: Array, w: Array) -> Array:
        top, bottom = self.endplates(u, v)
        plates = np.maximum(w - top, bottom - w) * np.float32(np.cos(self.wedge_angle / 2))
        return smooth_max(plates, self.wall_distance(u, v, w), self.rim)

    def centroid(self, step: float = 0.7) -> Vector:
        """Centre of gravity in the vertebra's frame, by summation over cells of ``step`` mm."""
        low, high = self.bounds
        grids = [np.arange(a, b, step, dtype=np.float32) for a, b in zip(low, high, strict=True)]
        u, v, w = np.meshgrid(*grids, indexing="ij", sparse=True)
        inside = self.distance(u, v, w) < 0
        count = inside.sum()
        return np.array([(np.broadcast_to(c, inside.shape)[inside]).sum(dtype=np.float64) / count for c in (u, v, w)])
