"""Random digital spines for the benchmarks: drawn from a seed, rendered in a small field of view, kept on disk.

A spine shows five vertebrae from T4 to L5. Rendering takes a few seconds, so that a rendered spine is kept:
the code that measures changes more often than the phantom.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from scipy import ndimage

from models.anatomy import Level, Region
from models.engine import SpineSegmentation
from operators.fractures.results import Shape
from operators.terms.levels import GRADED
from tests.phantoms.anatomy.bones import Cortex
from tests.phantoms.anatomy.column import Curves
from tests.phantoms.render import Grid
from tests.phantoms.spine import Fracture, Pose, SpinePhantom
from tests.phantoms.truth import Phantom

SLICES = (0.7, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
MARGINS_MM = (34.0, 22.0, 46.0)
"""What is shown beside, before and behind the bodies: as far as the measuring looks for symmetry."""
SHOWN = 5


@dataclass(frozen=True)
class Trial:
    """Parameters of one random spine.

    Attributes:
        seed: Decides everything.
        fractured: True gives one inner vertebra a height loss of 20–55 %.
        coarse: True measures on masks as a network at 3 mm would give them.
    """

    seed: int
    fractured: bool = False
    coarse: bool = False


@dataclass(frozen=True)
class RandomSpine:
    """A drawn spine: its parameters and how it is scanned."""

    parameters: SpinePhantom
    pixel: float
    spacing: float

    @property
    def fracture(self) -> tuple[Level, Fracture] | None:
        """The one broken vertebra, if there is one."""
        return next(iter(self.parameters.fractures.items()), None)

    def grid(self) -> Grid:
        """A grid around the shown vertebrae only."""
        shown = self.parameters.levels
        placed = [p for p in self.parameters.placements() if shown[0].rank <= p.level.rank <= shown[1].rank]
        pose = self.parameters.pose
        low, high = np.full(3, np.inf), np.full(3, -np.inf)
        for placement in placed:
            half = np.array([placement.body.shape.width, placement.body.shape.depth, 0.0]) / 2
            corners = [placement.frame.to_patient(half * np.array([a, b, 0.0])) for a in (-1, 1) for b in (-1, 1)]
            points = pose.placed(np.array(corners))
            low, high = np.minimum(low, points.min(axis=0)), np.maximum(high, points.max(axis=0))
        side, front, back = MARGINS_MM
        width, height = high[0] - low[0] + 2 * side, high[1] - low[1] + front + back
        grid = self.parameters.grid(self.pixel, self.spacing, field_of_view=(width, height))
        middle = np.array([(low[0] + high[0]) / 2, (low[1] - front + high[1] + back) / 2])
        affine = grid.affine.copy()
        centre = affine[:3, :3] @ ((np.array(grid.shape) - 1) / 2) + affine[:3, 3]
        affine[:2, 3] += middle - centre[:2]
        affine[:3, 3] = np.round(affine[:3, 3], 3)
        return replace(grid, affine=affine)

    def render(self) -> Phantom:
        """The phantom, in whole HU as a scanner stores them."""
        phantom = self.parameters.render(self.grid())
        stored = np.round(phantom.volume.array).astype(np.int16)
        return replace(phantom, volume=phantom.volume.with_array(stored))


def random_spine(trial: Trial) -> RandomSpine:
    """A spine of five vertebrae, decided by the seed: half of them scoliotic, up to 40°."""
    rng = np.random.default_rng([trial.seed, 7])
    usual = [x for x in Level if x not in (Level.T13, Level.L6)]
    first = usual.index(Level.T4) + int(rng.integers(0, usual.index(Level.L1) - usual.index(Level.T4) + 1))
    shown = usual[first : first + SHOWN]
    fractures: dict[Level, Fracture] = {}
    if trial.fractured:
        level = [x for x in shown[1:4] if x in GRADED][int(rng.integers(0, 2))]
        fractures[level] = Fracture(list(Shape)[int(rng.integers(0, 3))], float(rng.uniform(0.20, 0.55)))
    phantom = SpinePhantom(
        levels=(shown[0], shown[-1]),
        seed=trial.seed,
        size=float(rng.uniform(0.85, 1.12)),
        curves=Curves(
            lordosis=float(rng.uniform(35, 65)),
            kyphosis=float(rng.uniform(25, 60)),
            scoliosis=float(rng.choice([0, 1]) * rng.uniform(-40, 40)),
            apex=shown[2],
            rotation=float(rng.uniform(-10, 10)),
        ),
        pose=Pose(rotation=(float(rng.uniform(-12, 12)), float(rng.uniform(-10, 10)), float(rng.uniform(-10, 10)))),
        cortex=Cortex(body=float(rng.uniform(0.55, 1.1)), hu=float(rng.uniform(750, 950))),
        fractures=fractures,
        trabecular_shift=float(rng.uniform(-80, 40)),
        texture=float(rng.uniform(10, 35)),
        noise=float(rng.uniform(6, 30)),
        blur=float(rng.uniform(0.7, 1.2)),
        # The couch lies outside of the field of view, and its boxes make rendering ten times slower.
        table=False,
    )
    return RandomSpine(phantom, float(rng.uniform(0.55, 0.95)), float(rng.choice(SLICES)))


def built(trial: Trial, kept: Path) -> Phantom:
    """The rendered phantom of a trial, from the folder ``kept`` where it is there already."""
    path = kept / f"{'fractured' if trial.fractured else 'intact'}-{trial.seed}.pickle"
    if path.exists():
        with path.open("rb") as file:
            phantom: Phantom = pickle.load(file)
        return phantom
    phantom = random_spine(trial).render()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        pickle.dump(phantom, file)
    part.rename(path)
    return phantom


def coarse_segmentation(phantom: Phantom, seed: int) -> SpineSegmentation:
    """The true masks as a network at 3 mm would give them: blocky, shifted and bulging by about 1 mm."""
    rng = np.random.default_rng([seed, 11])
    true = phantom.segmentation()
    spacing = np.linalg.norm(phantom.volume.affine[:3, :3], axis=0)
    step = np.maximum(1, np.round(3.0 / spacing)).astype(int)
    labels, regions = np.zeros_like(true.labels.array), np.zeros_like(true.regions.array)
    for vertebra in true.vertebrae:
        for region in (Region.POSTERIOR_ELEMENTS, Region.BODY):
            own = (true.labels.array == vertebra.number) & (true.regions.array == region)
            soft = ndimage.gaussian_filter(own.astype(np.float32), 1.2 / spacing)
            soft = ndimage.shift(soft, rng.normal(0, 0.7, 3) / spacing, order=1)
            small = soft[tuple(slice(s // 2, None, s) for s in step)]
            zoomed = _enlarged(small, step, own.shape)
            bump = ndimage.gaussian_filter(rng.normal(0, 1, own.shape).astype(np.float32), 5.0 / spacing)
            inside = zoomed > 0.5 + 0.12 * bump / max(float(bump.std()), 1e-6)
            labels[inside], regions[inside] = vertebra.number, region
    return replace(true, labels=_like(true.labels, labels), regions=_like(true.regions, regions))


def _like(volume: hd.Volume, array: np.ndarray[Any, Any]) -> hd.Volume:
    return volume.with_array(array)


def _enlarged(small: np.ndarray[Any, Any], step: np.ndarray[Any, Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    grid = np.indices(shape, dtype=np.float32)
    index = [(g - s // 2) / s for g, s in zip(grid, step, strict=True)]
    return np.asarray(ndimage.map_coordinates(small, index, order=1, mode="nearest"))
