"""What surrounds the spine: skin, fat, muscle, chest wall, lungs, organs, vessels, pelvis and the table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from models.anatomy import Level
from tests.phantoms.column import Placement
from tests.phantoms.render import Material, Part
from tests.phantoms.shapes import Array, Blade, Ellipsoid, Solid, Vector, tube, vector

AIR, LUNG, FAT, MUSCLE, ORGAN, WATER = -1000.0, -850.0, -100.0, 55.0, 58.0, 15.0

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
        aorta_hu: CT number in the aorta; about 45 without and 120 to 350 with contrast medium.
        kidney_hu: CT number of the kidneys.
        table: True to draw the table.
        seed: Of the bowel.
    """

    column: tuple[Placement, ...]
    size: float = 1.0
    fat: float = 20.0
    aorta_hu: float = 45.0
    kidney_hu: float = 32.0
    table: bool = True
    seed: int = 0

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
        """y of the skin of the back: half flat on the table, half following the spine."""
        heights = np.linspace(0, 420 * self.size, 43)
        _, y, half = self.spine_at(heights)
        reach = y + half + 66 * self.size
        _, y, half = self.spine_at(np.clip(z, 0, 420 * self.size))
        back: Array = 0.3 * (y + half + 66 * self.size) + 0.7 * reach.max()
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
        """CT numbers of everything but bones and organs at patient coordinates, HU.

        Args:
            x, y, z: Patient coordinates, LPS, mm; ``z`` broadcasts as one value per slice where the
                patient lies straight.
            pixel: Width over which an edge is mixed, mm.
        """
        levels = np.arange(-300.0, 620.0, 2.0) * self.size

        def along(values: Array) -> Array:
            return np.interp(z, levels, values).astype(np.float32)

        def ellipse(walls: tuple[Array, Array, Array]) -> Array:
            a, b, c = (along(v) for v in walls)
            q = np.abs(x / a) ** 3 + np.abs((y - c) / b) ** 3
            # First-order distance: value over slope, with the slope of a circle of the mean radius.
            return (np.cbrt(q) - 1) * (a * b) / np.sqrt((a * a + b * b) / 2)

        def cover(distance: Array) -> Array:
            return np.clip(0.5 - distance / np.float32(pixel), 0, 1)

        skin = ellipse(self.skin(levels))
        hu = np.full(skin.shape, AIR, np.float32)
        hu += cover(skin) * np.float32(20 - AIR)
        hu += cover(skin + 1.8) * np.float32(FAT - 20)
        outer, inner = ellipse(self.wall(levels, 0)), ellipse(self.wall(levels, 15 * self.size))
        hu += cover(outer) * (np.float32(MUSCLE) - hu)
        hu += cover(inner) * (np.float32(FAT) - hu)
        xc, yc, half = (along(v) for v in self.spine_at(levels))
        near = np.hypot(x - xc, (y - yc) * 0.9) - (half + 14 * self.size)
        gutter = np.maximum(np.abs(x - xc) - 42 * self.size, yc + half + 8 * self.size - y)
        gutter = np.maximum(gutter, outer + 3)
        hu += cover(np.maximum(gutter, 0 * near)) * (np.float32(MUSCLE) - hu)
        self._chest(hu, x - xc, y, y - yc, z, inner, cover)
        return hu

    def _chest(self, hu: Array, x: Array, y: Array, behind: Array, z: Array, inner: Array, cover: object) -> None:
        """Lungs above the diaphragm, beside the mediastinum; in place."""
        assert callable(cover)
        s = self.size
        levels = {p.level: p.frame.origin for p in self.column}
        floor, top = levels[Level.T12][2] - 4 * s, levels[Level.T1][2] + 18 * s
        side = np.where(x > 0, 82, -82) * s
        dome = 1 - ((x - side) / (100 * s)) ** 2 - ((behind + 72 * s) / (105 * s)) ** 2
        # The dome stands in front; the recess behind it reaches down to T12.
        floor = floor + np.where(x > 0, 66, 80) * s * np.sqrt(np.clip(dome, 0, 1)) + 0.10 * np.clip(-behind, 0, 200)
        high = levels[Level.T1][2] - z
        apex = np.clip(high / (90 * s), 0, 1)
        middle = (27 + 10 * np.clip((z * 0 + levels[Level.T5][2] - z) / (90 * s), 0, 1)) * s
        # The mediastinum is narrow beside the vertebrae and at the apices wide.
        middle = middle + 30 * s * (1 - apex) + np.where(behind > -8 * s, -6 * s, 4 * s)
        flank = np.maximum(inner + 3 * s, middle - np.abs(x))
        flank = np.maximum(flank, np.maximum(floor - z, z - top))
        flank = np.maximum(flank, behind - 38 * s)
        hu += cover(flank) * (np.float32(LUNG) - hu)

    def organs(self) -> list[Part]:
        """Muscles beside the spine, vessels, abdominal organs, heart, trachea; back to front."""
        return [*self._bowel(), *self._solid_organs(), *self._muscles(), *self._vessels()]

    def _along(self, low: float, high: float, count: int = 24) -> tuple[Vector, Vector, Vector, Vector]:
        z = np.linspace(low, high, count) * self.size
        x, y, half = self.spine_at(z)
        return x, y, half, z

    def _muscles(self) -> list[Part]:
        s, parts = self.size, []
        for side in (1, -1):
            x, y, half, z = self._along(-60, 430)
            thick = np.interp(z / s, [-60, 40, 150, 250, 430], [13, 21, 20, 15, 12]) * s
            path = np.stack([x + side * (thick + 5 * s), -(y + half + 22 * s + 0.75 * thick), z], axis=1)
            parts.append(Part(tube(path, thick), Material(52.0)))
            x, y, half, z = self._along(-70, 165)
            thick = np.interp(z / s, [-70, 0, 60, 165], [20, 22, 18, 7]) * s
            aside = np.interp(z / s, [-70, 0, 60, 165], [66, 48, 38, 26]) * s
            path = np.stack([x + side * aside, -(y - np.interp(z / s, [-70, 0], [52, 0]) * s), z], axis=1)
            parts.append(Part(tube(path, thick), Material(58.0)))
            x, y, half, z = self._along(20, 160)
            path = np.stack([x + side * 66 * s, -(y + half + 8 * s), z], axis=1)
            parts.append(Part(tube(path, np.full(24, 9.0 * s)), Material(54.0)))
        return parts

    def _vessels(self) -> list[Part]:
        s = self.size
        x, y, half, z = self._along(55, 380)
        radius = np.interp(z / s, [55, 200, 380], [8.0, 11.0, 12.5]) * s
        aside = np.interp(z / s, [55, 150, 300, 380], [5, 8, 18, 14]) * s
        front = np.interp(z / s, [55, 200, 300, 380], [1.0, 1.0, 0.55, 0.5])
        aorta = np.stack([x + aside, -(y - front * (half + radius + 2 * s)), z], axis=1)
        wall = Material(self.aorta_hu, 50.0, 1.2)
        x, y, half, z = self._along(45, 262)
        cava = np.stack([x - 17 * s, -(y - half - np.interp(z / s, [45, 180, 262], [8, 12, 40]) * s), z], axis=1)
        vein = Material(40.0 + 0.4 * max(0.0, self.aorta_hu - 45.0))
        x, y, half, z = self._along(345, 520)
        trachea = np.stack([x, -(y - half - 22 * s), z], axis=1)
        return [
            Part(tube(cava, np.full(24, 10.0 * s)), vein),
            Part(tube(aorta, radius), wall),
            Part(tube(trachea, np.full(24, 8.5 * s)), Material(AIR, 40.0, 1.5)),
        ]

    def _ellipsoid(self, x: float, front: float, z: float, semi: tuple[float, float, float], turn: float = 0) -> Solid:
        """An ellipsoid placed from the column: x to the left, ``front`` before it, z above the sacrum."""
        s = self.size
        cx, cy, _ = self.spine_at(np.array(z * s))
        angle = np.radians(turn)
        axes = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        a, b, c = semi
        return Ellipsoid(vector(cx + x * s, -(cy - front * s), z * s), (a * s, b * s, c * s), axes)

    def _solid_organs(self) -> list[Part]:
        contrast = 0.35 * max(0.0, self.aorta_hu - 45.0)
        liver = [self._ellipsoid(-78, 55, 205, (70, 78, 68)), self._ellipsoid(-20, 92, 218, (75, 45, 40), 18)]
        kidneys = [self._ellipsoid(56, 2, 128, (27, 25, 54), -12), self._ellipsoid(-56, 2, 116, (27, 25, 54), 12)]
        pelvis = [self._ellipsoid(48, 6, 126, (9, 9, 22), -12), self._ellipsoid(-48, 6, 114, (9, 9, 22), 12)]
        return [
            Part([self._ellipsoid(18, 78, 305, (58, 50, 56), 25)], Material(45.0 + contrast)),
            Part(liver, Material(ORGAN + contrast), blend=15 * self.size),
            Part([self._ellipsoid(105, 20, 200, (27, 42, 50), -10)], Material(50.0 + contrast)),
            Part([self._ellipsoid(60, 90, 205, (38, 34, 45), 20)], Material(25.0)),
            Part([self._ellipsoid(64, 106, 214, (24, 15, 26), 20)], Material(-950.0)),
            Part([self._ellipsoid(2, 40, 150, (48, 14, 16), 12)], Material(42.0 + contrast)),
            Part(kidneys, Material(self.kidney_hu + 2 * contrast)),
            Part(pelvis, Material(-40.0)),
            Part([self._ellipsoid(0, 30, -125, (42, 36, 34))], Material(WATER - 8)),
        ]

    def _bowel(self) -> list[Part]:
        rng = np.random.default_rng([self.seed, 77])
        parts = []
        for _ in range(26):
            x, front, z = rng.uniform(-85, 85), rng.uniform(60, 125), rng.uniform(-60, 130)
            semi = rng.uniform(13, 24, 3)
            size = (float(semi[0]), float(semi[1]), float(semi[2]))
            parts.append(Part([self._ellipsoid(x, front, z, size)], Material(rng.uniform(18, 45))))
            if rng.random() < 0.45:
                gas = (0.55 * size[0], 0.4 * size[1], 0.55 * size[2])
                parts.append(Part([self._ellipsoid(x, front + 0.4 * size[1], z, gas)], Material(-900.0)))
        for side in (1, -1):
            parts.append(Part([self._ellipsoid(side * 108, 52, 40, (19, 21, 75))], Material(35.0, 45.0, 2.0)))
            parts.append(Part([self._ellipsoid(side * 108, 60, 55, (11, 10, 38))], Material(-850.0)))
        return parts

    def pelvis(self) -> list[Part]:
        """The iliac bones beside the sacrum."""
        s, parts = self.size, []
        origin = self.column[-1].frame.origin
        for side in (1, -1):
            across, up = np.radians(52), np.radians(24)
            # Along the wing (backwards to forwards and outwards), through it, and up along it.
            along = vector(side * np.sin(across), np.cos(across), 0)
            high = vector(side * np.cos(across) * np.sin(up), -np.sin(across) * np.sin(up), np.cos(up))
            through = np.cross(along, high)
            axes = np.stack([along, through, high])
            centre = vector(side * 87 * s, -origin[1] - 4 * s, -26 * s)
            wing = Ellipsoid(centre, (64 * s, 8.5 * s, 66 * s), axes)
            rear = Blade(
                vector(side * 52 * s, -origin[1] - 47 * s, -14 * s),
                vector(side * 60 * s, -origin[1] - 34 * s, -60 * s),
                (9.5 * s, 8.0 * s),
            )
            parts.append(Part([wing, rear], Material(110.0, 650.0, 1.8, 30.0), blend=10 * s))
        return parts

    def couch(self) -> list[Part]:
        """The table under the back: a thin shell with foam inside."""
        if not self.table:
            return []
        y = float(self.back(np.linspace(0, 420, 20) * self.size).max()) + 18 * self.size
        solids: list[Solid] = [
            Blade(vector(x, -y - 6, 0), vector(x + 40, -y - 6, 0), (9.0, 9.0), (2000.0, 2000.0))
            for x in np.arange(-200, 200, 40.0)
        ]
        return [Part(solids, Material(-900.0, -250.0, 2.0))]
