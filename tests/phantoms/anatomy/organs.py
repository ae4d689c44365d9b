"""Muscles, vessels, organs, pelvis and table: solids placed from the column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.phantoms.anatomy.shapes import Array, Blade, Ellipsoid, Solid, tube, vector
from tests.phantoms.anatomy.torso import AIR, Torso
from tests.phantoms.render import Material, Part


@dataclass(frozen=True)
class Organs:
    """What lies in the trunk and under it.

    Attributes:
        torso: The trunk.
        aorta_hu: CT number in the aorta; about 45 without and 120 to 350 with contrast medium.
        table: True to draw the table.
        seed: Of the bowel.
    """

    torso: Torso
    aorta_hu: float = 45.0
    table: bool = True
    seed: int = 0

    @property
    def size(self) -> float:
        """Scale of the patient."""
        return self.torso.size

    @property
    def enhancement(self) -> float:
        """How much the organs brighten, HU."""
        return 0.35 * max(0.0, self.aorta_hu - 45.0)

    def parts(self) -> list[Part]:
        """Everything, back to front."""
        return [*self._couch(), *self._bowel(), *self._upper(), *self._muscles(), *self._vessels(), *self._pelvis()]

    def _along(self, low: float, high: float, count: int = 24) -> tuple[Array, Array, Array, Array]:
        z = np.linspace(low, high, count) * self.size
        x, y, half = self.torso.spine_at(z)
        return x, y, half, z

    def _muscles(self) -> list[Part]:
        s, parts = self.size, []
        for side in (1, -1):
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
        vein = Material(40.0 + 1.1 * self.enhancement)
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
        cx, cy, _ = self.torso.spine_at(np.array(z * s))
        angle = np.radians(turn)
        axes = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        a, b, c = semi
        return Ellipsoid(vector(float(cx) + x * s, front * s - float(cy), z * s), (a * s, b * s, c * s), axes)

    def _upper(self) -> list[Part]:
        more = self.enhancement
        kidneys = [self._ellipsoid(56, 2, 128, (26, 25, 54), -12), self._ellipsoid(-56, 2, 116, (26, 25, 54), 12)]
        sinus = [self._ellipsoid(48, 6, 126, (9, 9, 22), -12), self._ellipsoid(-48, 6, 114, (9, 9, 22), 12)]
        return [
            Part([self._ellipsoid(24, 78, 300, (56, 48, 50), 25)], Material(45.0 + 2.2 * more)),
            Part([self._ellipsoid(104, 18, 190, (25, 42, 48), -10)], Material(50.0 + more)),
            Part([self._ellipsoid(60, 72, 195, (38, 32, 42), 20)], Material(25.0, 45.0, 3.0)),
            Part([self._ellipsoid(64, 86, 202, (24, 15, 26), 20)], Material(-950.0)),
            Part([self._ellipsoid(2, 40, 150, (48, 13, 15), 12)], Material(42.0 + more)),
            Part(kidneys, Material(32.0 + 2 * more)),
            Part(sinus, Material(-40.0)),
            Part([self._ellipsoid(0, 40, -125, (42, 36, 34))], Material(7.0)),
        ]

    def _bowel(self) -> list[Part]:
        rng = np.random.default_rng([self.seed, 77])
        parts, s = [], self.size
        for _ in range(34):
            x, z = rng.uniform(-85, 85), rng.uniform(-70, 120)
            semi = rng.uniform(11, 19, 3)
            size = (float(semi[0]), float(semi[1]), float(semi[2]))
            # Between the column and the abdominal wall.
            height = np.array(z * s)
            _, y, half = self.torso.spine_at(height)
            _, depth, middle = self.torso.wall(height, 15 * s)
            room = float(y - half - (middle - depth)) / s
            ahead = float(half / s + rng.uniform(26.0, max(27.0, room - size[1] - 4)))
            parts.append(Part([self._ellipsoid(x, ahead, z, size)], Material(rng.uniform(18, 40), 48.0, 2.0)))
            if rng.random() < 0.4:
                gas = (0.6 * size[0], 0.4 * size[1], 0.6 * size[2])
                parts.append(Part([self._ellipsoid(x, ahead + 0.4 * size[1], z, gas)], Material(-900.0)))
        for side in (1, -1):
            parts.append(Part([self._ellipsoid(side * 108, 52, 40, (19, 21, 75))], Material(35.0, 45.0, 2.0)))
            parts.append(Part([self._ellipsoid(side * 108, 60, 55, (11, 10, 38))], Material(-850.0)))
        return parts

    def _pelvis(self) -> list[Part]:
        """The iliac bones beside the sacrum."""
        s, parts = self.size, []
        origin = self.torso.column[-1].frame.origin
        for side in (1, -1):
            across, up = np.radians(52), np.radians(24)
            # Along the wing (backwards to forwards and outwards), through it, and up along it.
            along = vector(side * np.sin(across), np.cos(across), 0)
            high = vector(side * np.cos(across) * np.sin(up), -np.sin(across) * np.sin(up), np.cos(up))
            through = np.cross(along, high)
            axes = np.stack([along, through, high])
            centre = vector(side * 87 * s, -origin[1] - 4 * s, -26 * s)
            wing = Ellipsoid(centre, (64 * s, 7.0 * s, 66 * s), axes)
            rear = Blade(
                vector(side * 52 * s, -origin[1] - 47 * s, -14 * s),
                vector(side * 60 * s, -origin[1] - 34 * s, -60 * s),
                (9.5 * s, 8.0 * s),
            )
            parts.append(Part([wing, rear], Material(110.0, 650.0, 1.8, 30.0), blend=10 * s))
        return parts

    def _couch(self) -> list[Part]:
        """The table under the back: a thin curved shell filled with foam."""
        if not self.table:
            return []
        s = self.size
        top = float(self.torso.back(np.linspace(-40, 420, 24) * s).max()) + 4 * s
        across = np.linspace(-215.0, 215.0, 23)
        # Shallow like a trough: the edges stand 28 mm higher than the middle.
        down = top + 16 - 28 * (across / 215) ** 2
        path = np.stack([across, -down, np.zeros_like(across)], axis=1)
        return [Part(tube(path, np.full(23, 12.0), np.full(23, 3000.0)), Material(-930.0, -60.0, 2.0))]
