"""Simulated vertebrae to train the second opinion on, as straightened crops.

    python -m evidence.fractures.crops POOL --minutes 20

Broken, dented (Schmorl's nodes) and intact vertebrae in the real anatomies of the simulated fractures, with other
seeds, a continuum of losses, slices of 1–5 mm, and bodies stretched along their axes. Every spine gives its middle
vertebra and the sound ones beside it. The scan is narrower than the benchmark's: nothing beside the body is looked
at, so that it takes a third of the time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from evidence.evidence import KEPT
from evidence.fractures import rescan
from evidence.fractures.anatomies import LABEL_MAPS, WITH_CT, Anatomy, Stand, load
from evidence.fractures.cases import NATIVE, sound, view
from evidence.fractures.collapse import Bent, Collapse, hinge_between, rotation, true_heights
from evidence.fractures.simulated import DATA
from models.anatomy import Level, Region
from operators.body.frame import BodyFrame, frame_from, spine_tangent
from operators.fractures.results import Shape
from operators.fractures.second_opinion import Crop, straightened_crop

Array = NDArray[np.floating[Any]]

BESIDE_MM, BEFORE_MM, BEHIND_MM = 22.0, 34.0, 40.0
"""What is scanned around the bodies' centres: a little more than the crops show."""
SPINES_PER_SHARD = 20


@dataclass(frozen=True)
class Node:
    """A Schmorl node: a narrow dent of one endplate. It loses no height of the plate (docs/science.md §3.6).

    Attributes:
        stand: The vertebra.
        place: Left and posterior of the stand's axis, mm.
        radius: Of the dent, mm.
        depth: Of the dent, mm; positive in the superior endplate, negative in the inferior one.
        sclerosis: HU that its rim gains.
    """

    stand: Stand
    place: tuple[float, float]
    radius: float
    depth: float
    sclerosis: float

    def applied(self, points: Array) -> Array:
        """Points of the real spine that points of the dented one show."""
        local = self.stand.local(points)
        sign = np.sign(self.depth)
        w = sign * (local[..., 2] - self._plate(local))
        down = abs(self.depth) * self._bump(local)
        # Bone under the dent is squeezed over 8 mm, the disc above it is drawn in.
        below = np.clip((w + down + 8.0) / 8.0, 0, 1)
        above = np.clip(1 - (w + down) / (4.0 + down), 0, 1)
        local[..., 2] += sign * down * np.minimum(below, above)
        return self.stand.world(local)

    def impacted(self, points: Array) -> NDArray[np.bool_]:
        """Where the rim of the dent is dense."""
        local = self.stand.local(points)
        w = np.sign(self.depth) * (local[..., 2] - self._plate(local)) + abs(self.depth) * self._bump(local)
        near = self._distance(local) < self.radius + 2.5
        return np.asarray(near & (w > -3.5) & (w < 0.5))

    def _plate(self, local: Array) -> Array:
        at, rise = self.stand.top if self.depth > 0 else self.stand.bottom
        return np.asarray(at + rise * local[..., 1])

    def _distance(self, local: Array) -> Array:
        return np.hypot(local[..., 0] - self.place[0], local[..., 1] - self.place[1])

    def _bump(self, local: Array) -> Array:
        return np.clip(1 - (self._distance(local) / self.radius) ** 2, 0, 1)


@dataclass(frozen=True)
class Sample:
    """One simulated spine to train on.

    Attributes:
        level: The vertebra in the middle.
        kind: ``fracture``, ``node`` or ``intact``.
        loss: Its true loss of height; 0 for a node.
        slices: mm.
        crops: By level.
    """

    level: Level
    kind: str
    loss: float
    slices: float
    crops: Mapping[Level, Crop]


def sample(anatomy: Anatomy, intact: Mapping[Level, tuple[float, float, float]], seed: int) -> Sample | None:
    """A spine of the given seed; None where its true loss is not seen.

    Args:
        anatomy: The body.
        intact: Its sound levels, with their true heights.
        seed: Decides everything.
    """
    rng = np.random.default_rng([seed, 77])
    level = list(intact)[int(rng.integers(len(intact)))]
    stand = anatomy.stands[level]
    kind = str(rng.choice(["fracture", "node", "intact"], p=[0.72, 0.18, 0.10]))
    change = _fracture(anatomy, stand, rng) if kind == "fracture" else _node(anatomy, stand, rng)
    bent = _bent(anatomy, level, rng, None if kind == "intact" else change)
    loss = 0.0
    if kind == "fracture":
        after = true_heights(anatomy, stand, bent.broken_only)
        if after is None:
            return None
        loss = max(1 - a / b for a, b in zip(after, intact[level], strict=True))
    pixel, spacing = NATIVE.get(anatomy.name, (0.8, 1.0))
    how = rescan.Scan(
        pixel=pixel,
        spacing=max(spacing, float(rng.choice([1.0, 2.0, 3.0, 5.0], p=[0.3, 0.15, 0.15, 0.4]))),
        blur=float(rng.uniform(0.6, 1.3)) if anatomy.drawn else 0.0,
        noise=float(rng.uniform(5, 32)) if anatomy.drawn else 0.0,
        seed=int(rng.integers(0, 2**31)),
    )
    shown = view(anatomy, level)
    volume, labels, regions = _narrow_scan(anatomy, bent, shown, how)
    wanted = [x for x in shown if x in intact]
    frames = _frames(anatomy, bent, shown, labels, regions, rng)
    crops = {x: straightened_crop(volume, labels, regions, frames[x]) for x in wanted if x in frames}
    return Sample(level, kind, loss, how.spacing, crops) if level in crops else None


def _fracture(anatomy: Anatomy, stand: Stand, rng: np.random.Generator) -> Collapse:
    shapes = [Shape.WEDGE, Shape.BICONCAVE] if len(anatomy.stands) < 3 else list(Shape)
    return Collapse(
        stand=stand,
        shape=shapes[int(rng.integers(len(shapes)))],
        amount=float(rng.uniform(0.06, 0.58)),
        superior_share=float(rng.choice([0.0, 0.35, 0.5, 0.65, 1.0])),
        retropulsion=float(rng.uniform(1.0, 4.5)) if rng.random() < 0.3 else 0.0,
        sclerosis=float(rng.uniform(50, 200)) if anatomy.drawn and rng.random() < 0.5 else 0.0,
        disc=4.0 if stand.level.region == "T" else 8.0,
    )


def _node(anatomy: Anatomy, stand: Stand, rng: np.random.Generator) -> Node:
    span = stand.back - stand.front
    return Node(
        stand=stand,
        place=(float(rng.uniform(-7, 7)), stand.front + span * float(rng.uniform(0.3, 0.75))),
        radius=span * float(rng.uniform(0.09, 0.175)),
        depth=float(rng.uniform(2.5, 6.0)) * float(rng.choice([-1.0, 1.0])),
        sclerosis=float(rng.uniform(80, 300)) if anatomy.drawn and rng.random() < 0.7 else 0.0,
    )


def _bent(anatomy: Anatomy, level: Level, rng: np.random.Generator, change: Any) -> Bent:
    axes = anatomy.stands[level].axes
    # Higher or deeper bodies than the seven: stretched along the vertebra's own axes.
    stretch = axes.T @ np.diag(rng.uniform(0.90, 1.12, 3)) @ axes
    pose = rotation((float(rng.uniform(-14, 14)), float(rng.uniform(-9, 9)), float(rng.uniform(-9, 9))))
    forward, sideways = rng.uniform(-4, 4), rng.uniform(-5, 5) * (rng.random() < 0.5)
    shown = view(anatomy, level)
    hinges = []
    for lower, upper in zip(shown[::-1], shown[-2::-1], strict=False):
        bend = np.array([forward, sideways, 0.0]) + rng.normal(0, 1, 3)
        turn = (float(bend[0]), float(bend[1]), float(bend[2]))
        hinges.append(hinge_between(anatomy.stands[upper], anatomy.stands[lower], turn))
    return Bent(pose @ stretch, anatomy.stands[level].origin, tuple(hinges), change)


def _narrow_scan(
    anatomy: Anatomy, bent: Bent, levels: Sequence[Level], how: rescan.Scan
) -> tuple[hd.Volume, hd.Volume, hd.Volume]:
    """As :func:`rescan.scanned`, without what lies beside the bodies: HU, instances, regions."""
    stands = [anatomy.stands[level] for level in levels]
    ends = bent.placed(np.array([s.origin + at * s.axes[2] for s in stands for at in (s.top[0], s.bottom[0])]))
    low = ends.min(axis=0) - np.array([BESIDE_MM, BEFORE_MM, rescan.BEYOND_MM])
    high = ends.max(axis=0) + np.array([BESIDE_MM, BEHIND_MM, rescan.BEYOND_MM])
    parts = max(1, int(np.ceil(how.spacing / 1.0)))
    count = int(np.ceil((high[2] - low[2]) / how.spacing))
    rows, columns = (int(np.ceil((high[axis] - low[axis]) / how.pixel)) for axis in (1, 0))
    fine = how.spacing / parts
    z = high[2] - (np.arange(count * parts) + 0.5) * fine
    y, x = low[1] + np.arange(rows) * how.pixel, low[0] + np.arange(columns) * how.pixel
    points = rescan._lattice(z, y, x)
    source = bent.applied(points)
    hu, depth = anatomy.hu_at(source), anatomy.depth_at(source)
    if anatomy.drawn:
        step = (fine, how.pixel, how.pixel)
        hu = rescan._with_bone(anatomy, bent, points, source, depth, hu, step, how.seed)
    hu = rescan._seen(hu.reshape(count, parts, rows, columns).mean(axis=1), how)
    middle = slice(parts // 2, None, parts)
    labels, regions = rescan._masks(anatomy, source[middle], depth[middle])
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (0, 0, -how.spacing), (0, how.pixel, 0), (how.pixel, 0, 0)
    affine[:3, 3] = (x[0], y[0], high[2] - how.spacing / 2)
    volume = hd.Volume(hu, affine, coordinate_system="PATIENT")
    return volume, volume.with_array(labels), volume.with_array(regions)


def _frames(
    anatomy: Anatomy,
    bent: Bent,
    shown: Sequence[Level],
    labels: hd.Volume,
    regions: hd.Volume,
    rng: np.random.Generator,
) -> dict[Level, BodyFrame]:
    """Frames as ``locate_bodies`` finds them, but for the symmetry, for which the anatomy's own axes stand."""
    numbers = labels.array * (regions.array == Region.BODY)
    points: dict[Level, Array] = {}
    for level in shown:
        found = np.argwhere(numbers == rescan.anatomy_number(level))
        if len(found) > 20:
            points[level] = found @ labels.affine[:3, :3].T + labels.affine[:3, 3]
    order = [level for level in shown if level in points]
    centres = [np.median(points[level], axis=0) for level in order]
    frames = {}
    for place, level in enumerate(order):
        stand = anatomy.stands[level]
        ends = bent.placed(np.stack([stand.origin - 6 * stand.axes[1], stand.origin + 6 * stand.axes[1]]))
        turn = rotation((0.0, 0.0, float(rng.normal(0, 3))))
        posterior = turn @ (ends[1] - ends[0])
        superior = spine_tangent(centres, place)
        number = rescan.anatomy_number(level)
        frame = frame_from(number, centres[place], superior, posterior, points[level])
        low, high = np.percentile(frame.to_local(points[level]), [3, 97], axis=0)
        middle = (low + high) / 2 + rng.normal(0, [0.7, 0.0, 0.0])
        frames[level] = frame_from(number, frame.to_patient(middle), superior, posterior, points[level])
    return frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("pool", type=Path)
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--seed", type=int, default=1_000_000)
    given = parser.parse_args()
    given.pool.mkdir(parents=True, exist_ok=True)
    anatomies = {name: load(name, DATA, KEPT / "atlases", 0) for name in (*LABEL_MAPS, *WITH_CT)}
    intact = {name: sound(anatomy) for name, anatomy in anatomies.items()}
    # As often as it has sound levels, so that every vertebra is seen alike; the short ones a little more.
    share = np.array([len(levels) + 1.0 for levels in intact.values()])
    until, seed = time.monotonic() + 60 * given.minutes, given.seed
    while time.monotonic() < until:
        made = []
        for _ in range(SPINES_PER_SHARD):
            seed += 1
            name = str(np.random.default_rng(seed).choice(list(intact), p=share / share.sum()))
            one = sample(anatomies[name], intact[name], seed)
            made += [] if one is None else _rows(name, one, seed)
        part = given.pool / f"{seed}.part.npz"
        np.savez(part, **{key: np.array([row[key] for row in made]) for key in made[0]})
        part.rename(given.pool / f"{seed}.npz")


def _rows(name: str, one: Sample, seed: int) -> list[dict[str, Any]]:
    rows = []
    for level, crop in one.crops.items():
        own = level is one.level
        kind, loss = (one.kind, one.loss) if own else ("neighbour", 0.0)
        facts = {"name": name, "seed": seed, "level": level.value, "kind": kind, "loss": loss, "slices": one.slices}
        rows.append({**crop, **facts})
    return rows


if __name__ == "__main__":
    main()
