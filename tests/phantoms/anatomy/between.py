"""What lies between the bones of the column: discs and the vertebral canal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.phantoms.anatomy.column import Placement
from tests.phantoms.anatomy.shapes import Array, Frame, Vector, vector

TUCK = np.float32(0.7)
"""How far a disc reaches under the endplates that are painted over it, so that no seam shows, mm."""


@dataclass(frozen=True)
class Disc:
    """The space between two bodies, inside the outline of both.

    Attributes:
        upper, lower: The vertebrae.
        frame: The frame in which the disc is evaluated.
    """

    upper: Placement
    lower: Placement
    frame: Frame

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        a, b = self.upper.body.shape, self.lower.body.shape
        tall = self.upper.disc / 2 + 9.0 + (a.posterior + b.posterior) * 0.1
        reach = vector(max(a.width, b.width) / 2 + 2, max(a.depth, b.depth) / 2 + 3, tall)
        return -reach, reach

    def _seen_from(self, frame: Frame, u: Array, v: Array, w: Array) -> tuple[Array, Array, Array]:
        turn = (frame.axes @ self.frame.axes.T).astype(np.float32)
        shift = (frame.axes @ (self.frame.origin - frame.origin)).astype(np.float32)
        x, y, z = (turn[n, 0] * u + turn[n, 1] * v + turn[n, 2] * w + shift[n] for n in range(3))
        return x, y, z

    def distance(self, u: Array, v: Array, w: Array) -> Array:
        above = self._seen_from(self.upper.frame, u, v, w)
        below = self._seen_from(self.lower.frame, u, v, w)
        _, floor = self.upper.body.endplates(above[0], above[1])
        ceiling, _ = self.lower.body.endplates(below[0], below[1])
        plates = np.maximum(above[2] - floor, ceiling - below[2]) - TUCK
        half_width = (self.upper.body.shape.width + self.lower.body.shape.width) / 4
        half_depth = (self.upper.body.shape.depth + self.lower.body.shape.depth) / 4 + 0.5
        q = np.sqrt((u / np.float32(half_width)) ** 2 + (v / np.float32(half_depth)) ** 2)
        rim = (q - 1) * np.float32(half_depth)
        outside: Array = np.maximum(plates, rim)
        return outside


@dataclass(frozen=True)
class Canal:
    """An elliptic cylinder along the cranio-caudal axis of one vertebra.

    Attributes:
        centre: Its v coordinate.
        half_width, half_depth: Of the ellipse, mm.
        reach: Half length, mm.
    """

    centre: float
    half_width: float
    half_depth: float
    reach: float

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        low = vector(-self.half_width, self.centre - self.half_depth, -self.reach)
        return low, vector(self.half_width, self.centre + self.half_depth, self.reach)

    def distance(self, u: Array, v: Array, w: Array) -> Array:
        y = (v - np.float32(self.centre)) / np.float32(self.half_depth)
        q = np.sqrt((u / np.float32(self.half_width)) ** 2 + y * y)
        round_part = (q - 1) * np.float32(self.half_depth)
        outside: Array = np.maximum(round_part, np.abs(w) - np.float32(self.reach))
        return outside
