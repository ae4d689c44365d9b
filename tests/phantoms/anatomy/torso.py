"""The body around the spine: skin, fat, muscles of the trunk, lungs, mediastinum and liver.

All of it is given as in-plane curves whose parameters change with height, so that a whole slab of
slices is a handful of array operations. What is a solid of its own is in :mod:`organs`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from models.anatomy import Level
from tests.phantoms.anatomy.column import Placement
from tests.phantoms.anatomy.shapes import Array, vector

AIR, LUNG, FAT, MUSCLE = -1000.0, -850.0, -100.0, 55.0

_ERECTOR_WIDTH = [-60, 40, 110, 180, 260, 430], [14, 26, 30, 29, 25, 22]
_ERECTOR_DEPTH = [-60, 40, 110, 180, 260, 430], [15, 24, 25, 23, 19, 16]

PROFILE = {
    # height above the sacral endplate: half width and half depth of the skin, mm
    -260: (172, 100), -160: (178, 112), -60: (174, 114), 20: (164, 112), 90: (153, 112), 170: (157, 116),
    260: (165, 120), 340: (164, 116), 400: (152, 104), 450: (130, 86), 500: (86, 70), 560: (64, 62),
}  # fmt: skip


@dataclass(frozen=True)
class Torso:
    """The body around a column.

    Attributes:
        column: The vertebrae in their places.
        size: Scale of the patient.
        fat: Thickness of the subcutaneous fat at the flanks, mm.
        liver_hu: CT number of the liver.
    """

    column: tuple[Placement, ...]
    size: float = 1.0
    fat: float = 20.0
    liver_hu: float = 58.0

    def spine_at(self, z: Array) -> tuple[Array, Array, Array]:
        """x and y of the middle of the column, and half its depth, at heights z."""
        heights = np.array([p.frame.origin[2] for p in self.column])[::-1]
        points = np.stack([[*p.frame.origin[:2], p.body.shape.depth / 2] for p in self.column])[::-1]
        below = vector(points[0, 0], points[0, 1] + 45 * self.size, 12)
        heights = np.concatenate([[heights[0] - 70 * self.size], heights])
        points = np.concatenate([below[None], points])
        inside = np.clip(z, heights[0], heights[-1])
        values = PchipInterpolator(heights, points)(inside)
        return values[..., 0], values[..., 1], values[..., 2]

    def _profile(self, z: Array) -> tuple[Array, Array]:
        heights = np.array(sorted(PROFILE), dtype=float) * self.size
        sizes = np.array([PROFILE[k] for k in sorted(PROFILE)], dtype=float) * self.size
        values = PchipInterpolator(heights, sizes)(np.clip(z, heights[0], heights[-1]))
        return values[..., 0], values[..., 1]

    def back(self, z: Array) -> Array:
        """y of the skin of the back: partly flat on the table, partly following the spine."""
        heights = np.linspace(0, 420 * self.size, 43)
        _, y, half = self.spine_at(heights)
        reach = y + half + 66 * self.size
        _, y, half = self.spine_at(np.clip(z, 0, 420 * self.size))
        back: Array = 0.6 * (y + half + 66 * self.size) + 0.4 * reach.max()
        return back

    def skin(self, z: Array) -> tuple[Array, Array, Array]:
        """Half width, half depth and y of the middle of the skin at heights z, mm."""
        half_width, half_depth = self._profile(z)
        return half_width, half_depth, self.back(z) - half_depth

    def wall(self, z: Array, inset: float) -> tuple[Array, Array, Array]:
        """The same for a wall inside the chest and abdomen; 0 is the outer surface of the muscles."""
        half_width, half_depth, _ = self.skin(z)
        _, y, half = self.spine_at(z)
        rear = y + half + 38 * self.size - inset
        front = self.back(z) - 2 * half_depth + 0.9 * self.fat + inset
        return half_width - self.fat - inset, (rear - front) / 2, (rear + front) / 2

    def cage(self, z: Array) -> tuple[Array, Array, Array]:
        """The ellipse in which the ribs run."""
        return self.wall(z, 8.0 * self.size)

    def background(self, x: Array, y: Array, z: Array, pixel: float) -> Array:
        """CT numbers of the trunk at patient coordinates, HU.

        Args:
            x, y, z: Patient coordinates, LPS, mm, float32; they broadcast against each other.
            pixel: Width over which an edge is mixed, mm.
        """
        levels = np.arange(-300.0, 620.0, 2.0) * self.size
        s = np.float32(self.size)

        def along(values: Array) -> Array:
            return np.interp(z, levels, values).astype(np.float32)

        def ellipse(walls: tuple[Array, Array, Array]) -> Array:
            a, b, c = (along(v) for v in walls)
            q = np.abs(x / a) ** 3 + np.abs((y - c) / b) ** 3
            # First-order distance: value over slope, with the slope of a circle of the mean radius.
            distance: Array = (np.cbrt(q) - 1) * ((a * b) / np.sqrt((a * a + b * b) / 2))
            return distance

        def fill(hu: Array, distance: Array, value: float) -> None:
            cover = distance * np.float32(-1 / pixel)
            cover += np.float32(0.5)
            np.clip(cover, 0, 1, out=cover)
            cover *= np.float32(value) - hu
            hu += cover

        skin = ellipse(self.skin(levels))
        hu = np.full(skin.shape, AIR, np.float32)
        fill(hu, skin, 20.0)
        fill(hu, skin + np.float32(1.8), FAT)
        outer, inner = ellipse(self.wall(levels, 0)), ellipse(self.wall(levels, 15 * self.size))
        fill(hu, outer, MUSCLE)
        fill(hu, inner, FAT)
        xc, yc, half = (along(v) for v in self.spine_at(levels))
        x, behind = x - xc, y - yc
        # The erector muscles: an ellipse on either side of the spinous processes.
        wide, deep = (
            along(np.interp(levels / s, *_ERECTOR_WIDTH)) * s,
            along(np.interp(levels / s, *_ERECTOR_DEPTH)) * s,
        )
        lateral, aside = (np.abs(x) - wide - 3 * s) / wide, (behind - half - 26 * s) / deep
        erector = (np.sqrt(lateral**2 + aside**2) - 1) * np.minimum(wide, deep)
        fill(hu, np.maximum(erector, skin + 6 * s), MUSCLE - 3)
        self._chest(hu, (x, behind, z), half, inner, fill)
        return hu

    def _chest(
        self, hu: Array, place: tuple[Array, Array, Array], half: Array, inner: Array, fill: Callable[..., None]
    ) -> None:
        """Lungs above the diaphragm beside the mediastinum, and the liver under it; in place.

        Args:
            hu: CT numbers.
            place: x and y from the middle of the column, and z.
            half: Half depth of the vertebral bodies.
            inner: Signed distance to the inner surface of the chest and abdominal wall.
            fill: Mixes a CT number in where a distance is negative.
        """
        x, behind, z = place
        s = np.float32(self.size)
        height = {p.level: np.float32(p.frame.origin[2]) for p in self.column}
        left = x > 0
        dome = 1 - ((np.abs(x) - 74 * s) / (92 * s)) ** 2 - ((behind + 66 * s) / (112 * s)) ** 2
        # The dome stands in front; the recess behind it reaches down to T12.
        rise = np.where(left, np.float32(62), np.float32(78)) * s * np.sqrt(np.clip(dome, 0, 1))
        floor = height[Level.T12] - 6 * s + rise + np.float32(0.12) * np.clip(-behind, 0, 200)
        apex = np.clip((height[Level.T1] + 16 * s - z) / (70 * s), 0, 1)
        heart = np.clip((height[Level.T5] - z) / (70 * s), 0, 1)
        # Beside the vertebrae the lungs come close to them; in front lie the great vessels and the heart.
        front = np.clip((-behind - 6 * s) / (25 * s), 0, 1)
        wide = (25 * s + front * (12 * s + heart * np.where(left, np.float32(30), np.float32(8)) * s)) * np.ones_like(z)
        wide = wide + 60 * s * (1 - np.sqrt(apex))
        lung = np.maximum(inner + 3 * s, wide - np.abs(x))
        lung = np.maximum(lung, floor - z)
        lung = np.maximum(lung, behind - half - 22 * s)
        chest = np.maximum(np.maximum(inner + 3 * s, floor - z), z - height[Level.T1] - 10 * s)
        fill(hu, np.maximum(chest, behind + 8 * s), 35.0)
        fill(hu, lung, LUNG)
        below = np.maximum(z - floor + 3 * s, inner + 3 * s)
        liver = np.sqrt(
            ((x + 70 * s) / (112 * s)) ** 2
            + ((behind + 52 * s) / (92 * s)) ** 2
            + ((z - height[Level.T12] - 10 * s) / (92 * s)) ** 2
        )
        liver = np.maximum((liver - 1) * 90 * s, below)
        fill(hu, np.maximum(liver, 16 * s - np.hypot(x + 8 * s, behind + 18 * s)), self.liver_hu)
