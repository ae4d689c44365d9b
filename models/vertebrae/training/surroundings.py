"""A body around vertebrae that were drawn alone, so that a synthetic CT of them looks like one of a person.

What is painted here is nobody's anatomy: a trunk or neck, ribs that leave the transverse processes, lungs, great
vessels, airway, muscle, and over C1 the base of a skull with its condyles and a jaw. It only has to stand where such
things stand, for the networks to learn vertebrae among neighbours; what it looks like is drawn anew for each volume.
All sizes are the project's own, read off the label maps of the training bodies by eye.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.label_ids import CORD_ID, HIGHEST_ID, RIB_IDS, S1_ID
from models.vertebrae.training.targets import Array, Floats
from models.vertebrae.training.verse import is_vertebra

REST, SKULL, BRAIN = 120, 91, 90
LUNGS, TRACHEA, OESOPHAGUS = (10, 12), 16, 15
AORTA, CAVA, CAROTIDS = 52, 63, (58, 57)
BACK_MUSCLES, PSOAS = (86, 87), (88, 89)
C1, C2, C3, C7, T1, T12, L1 = 50, 49, 48, 44, 43, 32, 31
HEAD_MM = 45.0
"""Height of what is painted over C1."""
SIDE_MM, FRONT_MM, BACK_MM = 150.0, 110.0, 85.0
"""How far the map reaches from the spine."""

_LEVELS = (50.0, 49.0, 46.0, 44.0, 42.0, 39.0, 31.0, 27.0)
_HALF_WIDTH = (78.0, 72.0, 62.0, 75.0, 135.0, 145.0, 140.0, 140.0)
_FRONT = (105.0, 100.0, 58.0, 60.0, 80.0, 95.0, 105.0, 105.0)
_BEHIND = (75.0, 65.0, 62.0, 68.0, 72.0, 72.0, 72.0, 80.0)
"""Half width, and distance of the front and the back of the skin from the middle of the bodies, by level id, mm."""
_RIB_STEPS = np.array([(4, -2, 6), (-4, 6, 16), (-7, 2, 18), (-9, -14, 15), (-10, -26, 6), (-11, -30, -3.0)])
"""A rib of the middle of the chest, step by step from the tip of its transverse process: up, back, aside, in mm."""
_RIB_SIZE = {1: 0.5, 2: 0.7, 3: 0.85}
"""The upper ribs are smaller."""
_RIB_LENGTH = {11: 3, 12: 2}
"""Steps of the floating ribs."""


@dataclass(frozen=True)
class _Course:
    """Where the spine runs: for every slice the middle of the bodies (voxels) and the level, a growing number."""

    rows: Floats
    columns: Floats
    levels: Floats


def with_surroundings(labels: Array, spacing: float, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Paint a body around vertebrae.

    Args:
        labels: ``(z, y, x)`` towards head, back and left: vertebrae and the cord, ids of TotalSegmentator v2, and
            nothing else.
        spacing: Voxel edge in mm.
        rng: Source of randomness for sizes.

    Returns:
        A larger map that ends at the outermost vertebrae, as nobody knows what lay beyond them; over C1 it goes on.
        All vertebrae and the cord are kept.
    """
    labels = _with_room(labels, spacing)
    course = _course(labels, spacing)
    grid = _Painter(labels, spacing, course, rng)
    grid.trunk()
    grid.muscles()
    grid.chest()
    grid.tubes()
    if np.any(labels == C1):
        grid.head()
    grid.ribs()
    return grid.painted


def _with_room(labels: Array, spacing: float) -> npt.NDArray[np.uint8]:
    """Cut the map at its outermost vertebrae and give it room on all sides for a body."""
    present = np.argwhere(is_vertebra(labels))
    low, high = present.min(axis=0), present.max(axis=0) + 1
    head = round(HEAD_MM / spacing) if np.any(labels == C1) else 0
    body = labels[low[0] : high[0]]
    middle = (low + high) // 2
    room = [round(mm / spacing) for mm in (FRONT_MM, BACK_MM, SIDE_MM)]
    wanted = (middle[1] - room[0], middle[1] + room[1]), (middle[2] - room[2], middle[2] + room[2])
    pads = [(0, head)]
    slices = [slice(None)]
    for axis, (start, stop) in enumerate(wanted, start=1):
        size = labels.shape[axis]
        first, last = min(int(start), int(low[axis])), max(int(stop), int(high[axis]))
        pads.append((max(0, -first), max(0, last - size)))
        slices.append(slice(max(0, first), min(size, last)))
    return np.pad(body[tuple(slices)], pads).astype(np.uint8)


def _course(labels: Array, spacing: float) -> _Course:
    """The middle of the bodies: a little in front of the cord."""
    slices = np.arange(labels.shape[0])
    known, places = [], []
    for index in slices.tolist():
        rows, columns = np.nonzero(labels[index] == CORD_ID)
        if rows.size:
            known.append(index)
            places.append((rows.mean(), columns.mean()))
    found = np.asarray(places)
    rows, columns = (ndimage.gaussian_filter1d(np.interp(slices, known, found[:, k]), 4.0) for k in (0, 1))
    ids = [i for i in range(S1_ID + 1, HIGHEST_ID + 1) if np.any(labels == i)]
    heights = [float(np.mean(np.nonzero((labels == i).any(axis=(1, 2)))[0])) for i in ids]
    order = np.argsort(heights)
    levels = np.interp(slices, np.array(heights)[order], np.array(ids, float)[order])
    front = np.interp(levels, (27.0, 43.0, 50.0), (24.0, 17.0, 12.0))
    return _Course(rows - front / spacing, columns, levels)


class _Painter:
    """Paints into free voxels only, so that vertebrae and cord stay."""

    def __init__(
        self, labels: npt.NDArray[np.uint8], spacing: float, course: _Course, rng: np.random.Generator
    ) -> None:
        self.painted = labels.copy()
        self._spacing, self._course, self._rng = spacing, course, rng
        self._bone = is_vertebra(labels)
        self._fixed = labels > 0
        shape = labels.shape
        self._back = (np.arange(shape[1])[None, :, None] - course.rows[:, None, None]) * spacing
        self._left = (np.arange(shape[2])[None, None, :] - course.columns[:, None, None]) * spacing
        self._levels = course.levels[:, None, None]

    def _paint(self, where: Array, label: int) -> None:
        self.painted[np.broadcast_to(where, self.painted.shape) & ~self._fixed & (self.painted > 0)] = label

    def _size(self, usual: float, spread: float = 0.12) -> float:
        return usual * float(self._rng.uniform(1 - spread, 1 + spread))

    def trunk(self) -> None:
        """Skin around everything: an ellipse whose size goes with the level."""
        levels, order = self._course.levels, np.argsort(_LEVELS)
        knots = np.array(_LEVELS)[order]
        wide, front, behind = (
            np.interp(levels, knots, np.array(values)[order])[:, None, None] * self._size(1.0)
            for values in (_HALF_WIDTH, _FRONT, _BEHIND)
        )
        middle = 0.5 * (behind - front)
        inside = ((self._back - middle) / (0.5 * (behind + front))) ** 2 + (self._left / wide) ** 2 <= 1.0
        near = ndimage.distance_transform_edt(~self._bone, sampling=self._spacing) < 12.0
        self.painted[(inside | near) & ~self._fixed] = REST

    def muscles(self) -> None:
        """Erector muscles behind, psoas beside the lumbar bodies."""
        reach = ndimage.distance_transform_edt(~self._bone, sampling=self._spacing) < self._size(22.0)
        behind = (self._back > 8.0) & (self._back < 60.0)
        for side, label in zip((1, -1), BACK_MUSCLES, strict=True):
            self._paint(reach & behind & (self._left * side > 3.0) & (self._left * side < 48.0), label)
        wide = self._size(14.0, 0.3)
        for side, label in zip((1, -1), PSOAS, strict=True):
            aside = (self._left * side - 36.0) / wide
            round_ = aside**2 + ((self._back - 4.0) / 20.0) ** 2 < 1.0
            self._paint(round_ & (self._levels < L1 + 0.5), label)

    def chest(self) -> None:
        """Lungs beside the thoracic bodies, with a dome at the level of T1."""
        dome = np.clip((T1 + 0.7 - self._levels) / 2.0, 0.0, 1.0) ** 0.5
        above = self._levels > T12 - 0.5
        wall = ndimage.distance_transform_edt(self.painted > 0, sampling=self._spacing) < self._size(16.0, 0.3)
        wide, deep = 62.0 * dome * self._size(1.0), 62.0 * dome * self._size(1.0)
        for side, label in zip((1, -1), LUNGS, strict=True):
            aside = (self._left * side - 24.0 - wide) / np.maximum(wide, 1.0)
            ahead = (self._back + 20.0) / np.maximum(deep, 1.0)
            self._paint((aside**2 + ahead**2 < 1.0) & above & (dome > 0.05) & ~wall, label)

    def tubes(self) -> None:
        """Airway, gullet and great vessels in front of the spine."""
        neck, thorax = self._levels > T1 - 3.5, self._levels <= T1 - 3.0
        ahead = np.interp(self._course.levels, (39.0, 44.0, 49.0), (48.0, 34.0, 20.0))[:, None, None]
        self._tube(-ahead, 0.0, self._size(8.0, 0.3), neck, TRACHEA)
        self._tube(-ahead + 14.0, 2.0, self._size(4.5, 0.3), self._levels > T12, OESOPHAGUS)
        for side, label in zip((1, -1), CAROTIDS, strict=True):
            self._tube(-ahead + 6.0, side * 26.0, self._size(4.0, 0.3), self._levels > T1 - 2.5, label)
        lumbar = np.clip((36.0 - self._levels) / 6.0, 0.0, 1.0)
        self._tube(-29.0 - 7.0 * lumbar, 17.0 - 10.0 * lumbar, self._size(11.0, 0.2), thorax, AORTA)
        self._tube(-34.0, -20.0, self._size(10.0, 0.2), self._levels < 36.0, CAVA)

    def _tube(self, back: float | Floats, left: float | Floats, radius: float, where: Array, label: int) -> None:
        inside = (self._back - back) ** 2 + (self._left - left) ** 2 < radius**2
        self._paint(inside & where, label)

    def head(self) -> None:
        """Brain case with condyles over C1, and a jaw before C2 and C3."""
        atlas = np.argwhere(self.painted == C1).mean(axis=0)
        z = (np.arange(self.painted.shape[0])[:, None, None] - atlas[0]) * self._spacing
        y = (np.arange(self.painted.shape[1])[None, :, None] - atlas[1]) * self._spacing
        x = (np.arange(self.painted.shape[2])[None, None, :] - atlas[2]) * self._spacing
        high, deep, wide = self._size(68.0), self._size(86.0), self._size(70.0)
        centre = high + self._size(9.0)
        depth = np.sqrt(((z - centre) / high) ** 2 + ((y + 6.0) / deep) ** 2 + (x / wide) ** 2)
        shell = self._size(7.0, 0.3) / high
        self.painted[(depth < 1.0) & ~self._fixed] = SKULL
        self.painted[(depth < 1.0 - shell) & ~self._fixed] = BRAIN
        hole = np.hypot(y - 8.0, x) < 15.0
        self._paint((depth < 1.05) & (depth >= 1.0 - shell) & hole, BRAIN)
        gap = ndimage.distance_transform_edt(self.painted != C1, sampling=self._spacing)
        condyles = (gap > 1.8) & (gap < 10.0) & (z > 3.0) & (np.abs(x) > 8.0) & (np.abs(x) < 24.0)
        self._paint(condyles & (y > -12.0) & (y < 10.0), SKULL)
        tilt = 0.35 * (y + 30.0)
        ring = np.hypot((y + self._size(36.0)) / self._size(56.0), x / self._size(44.0))
        jaw = (ring > 0.85) & (ring < 1.03) & (y < -12.0) & (z < -14.0 + tilt) & (z > -44.0 + tilt)
        rami = (np.abs(np.abs(x) - 44.0) < 5.0) & (y > -40.0) & (y < -12.0) & (z > -30.0) & (z < 12.0)
        self._paint(jaw | rami, SKULL)

    def ribs(self) -> None:
        """A rib on either side of every thoracic vertebra, from the tip of its transverse process."""
        for number in range(1, 13):
            own = np.argwhere(self.painted == T1 + 1 - number)
            if not len(own):
                continue
            middle = self._course.columns[own[:, 0]]
            for side, first in ((1, RIB_IDS[0]), (-1, RIB_IDS[0] + 12)):
                tip = own[np.argmax((own[:, 2] - middle) * side)].astype(float)
                steps = _RIB_STEPS[: _RIB_LENGTH.get(number, len(_RIB_STEPS))] * _RIB_SIZE.get(number, 1.0)
                steps = steps * self._rng.uniform(0.85, 1.15, (len(steps), 3)) * (1.0, 1.0, side) / self._spacing
                # The tubercle lies before the tip of the process.
                start = tip + np.array([0.0, -4.0, 1.0 * side]) / self._spacing
                self._rod(np.vstack([start, start + np.cumsum(steps, axis=0)]), first + number - 1)

    def _rod(self, knots: Floats, label: int) -> None:
        """A band 6 mm thick and 11 mm high along straight pieces."""
        for first, last in pairwise(knots):
            low = np.maximum(np.floor(np.minimum(first, last) - 6), 0).astype(int)
            high = np.minimum(np.ceil(np.maximum(first, last) + 7), self.painted.shape).astype(int)
            if np.any(high <= low):
                continue
            axes = [np.arange(a, b, dtype=float) for a, b in zip(low, high, strict=True)]
            grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
            along = last - first
            share = np.clip(((grid - first) @ along) / max(float(along @ along), 1e-9), 0.0, 1.0)
            away = (grid - first - share[..., None] * along) * self._spacing
            inside = np.hypot(np.linalg.norm(away[..., 1:], axis=-1) / 3.2, away[..., 0] / 5.5) <= 1.0
            box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            free = ~self._fixed[box] & ~np.isin(self.painted[box], (SKULL, BRAIN))
            self.painted[box][inside & free] = label
