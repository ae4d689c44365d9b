"""How bodies are spaced, how wide their arches stand and how they lean: what the shape of a row says of its names.

The prior is one Gaussian over the features of all levels at once, learned from spines whose bodies and pedicles were
marked by people (:mod:`models.vertebrae.evaluation.shape_prior`). Its covariance holds the person's own size and
posture, so that a row of vertebrae is judged relative to itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.anatomy import Level, Region, left_out
from models.vertebrae.maps import CoarseMaps
from models.vertebrae.names.landmarks import directions
from models.vertebrae.network import COARSE_SPACING

Floats = npt.NDArray[np.floating[Any]]

FILE = Path(__file__).parents[1] / "configs" / "shape_prior.json"
FEATURES = ("spacing", "width", "tilt")
"""Logarithm of the distance in mm to the next centre below; logarithm of the distance in mm between the left and the
right pedicle; angle in radians of the way to the next centre below, positive where it leads to the back."""
MEASURED_SD = (0.05, 0.07, 0.08)
"""Standard deviation of what is measured on voxels of 3 mm around what people mark, by feature: on eight CTs widths
scattered by 0.05 around a bias that depends on the level (the file's ``width_bias``). The project's own."""
POSE_SD = 0.15
"""Standard deviation in radians of the tilt of a whole person against the axis of the scanner, beyond that among the
marked spines. The project's own: a cushion under the knees, a wedge, a tilted volume."""
FREEDOM = 8.0
"""Degrees of freedom of the t distribution that stands in for the Gaussian, so that a broken or badly found vertebra
does not decide alone. The project's own."""
SACRAL_STEP = (-0.03, 0.5)
"""From L4's spacing and tilt to those of the last lumbar vertebra above the sacrum, which the marked spines lack: on
the three CTs that show it, spacing −0.06 to +0.02 and tilt 0.4 to 0.6."""
SACRAL_SD = (0.12, 0.2)
"""Its standard deviations."""
RARE_SD = 0.06
"""Standard deviation of the logarithms and the tilt of T13 and L6 around their neighbours."""

PEDICLE_BOX = (np.array([10, 4, 13]), np.array([11, 16, 14]))
"""Voxels before and behind the centre of a body within which its pedicles and its piece of the canal lie."""
PEDICLE_DEPTH = (-10.0, 0.0)
"""Where pedicles run: mm behind the middle of the canal."""
PEDICLE_HEIGHT = (-4.0, 10.0)
"""And mm above the centre of the body, along the spine."""
PEDICLE_ASIDE = (4.0, 28.0)
"""And mm from the middle of the canal to the side."""


@dataclass(frozen=True)
class Shape:
    """Features of vertebrae that follow each other.

    Attributes:
        values: ``(n, 3)`` in the order of ``FEATURES``; not a number where something was not measured.
    """

    values: Floats

    def with_ends(self, voted: Shape, upper: bool, lower: bool) -> Shape:
        """The same row, with spacing and tilt of a cut end from another measurement, and without its width.

        Args:
            voted: The row measured at the centres that voxels vote for.
            upper: Whether the border cuts the first vertebra.
            lower: Whether it cuts the last one.
        """
        values = self.values.copy()
        way = [FEATURES.index("spacing"), FEATURES.index("tilt")]
        if upper:
            values[0, way] = voted.values[0, way]
            values[0, FEATURES.index("width")] = np.nan
        if lower and len(values) > 1:
            values[-2, way] = voted.values[-2, way]
            values[-1, FEATURES.index("width")] = np.nan
        return Shape(values)


def measure_shape(maps: CoarseMaps, centres: Sequence[Floats]) -> Shape:
    """Measure the shape of a row.

    Args:
        maps: Axes towards the head, the back and the left, 3 mm.
        centres: Of the bodies, voxels ``(z, y, x)``, from head to feet.
    """
    values = np.full((len(centres), len(FEATURES)), np.nan)
    places = np.asarray(centres, np.float64).reshape(-1, 3) * COARSE_SPACING
    steps = np.diff(places, axis=0)
    if len(steps):
        values[:-1, 0] = np.log(np.maximum(np.linalg.norm(steps, axis=1), 1.0))
        values[:-1, 2] = np.arctan2(steps[:, 1], -steps[:, 0])
    for index, (centre, up) in enumerate(zip(centres, directions(list(centres)), strict=True)):
        values[index, 1] = _pedicle_width(maps, np.asarray(centre, np.float64), up)
    return Shape(values)


def _pedicle_width(maps: CoarseMaps, centre: Floats, up: Floats) -> float:
    """Logarithm of the distance in mm between the middles of both pedicles; not a number where they are not seen."""
    low = np.maximum(np.round(centre - PEDICLE_BOX[0]).astype(int), 0)
    high = np.minimum(np.round(centre + PEDICLE_BOX[1]).astype(int), maps.offset.shape)
    if np.any(high <= low):
        return math.nan
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    z, y, x = ((np.arange(a, b) - c) * COARSE_SPACING for a, b, c in zip(low, high, centre.tolist(), strict=True))
    back = np.array([0.0, 1.0, 0.0]) - up[1] * up
    back /= np.linalg.norm(back)
    height, depth, aside = (
        (z[:, None, None] * way[0] + y[:, None] * way[1] + x * way[2]).ravel() for way in (up, back, np.cross(up, back))
    )
    canal = np.asarray(maps.classes[Region.CANAL][box], np.float64).ravel() * ((np.abs(height) < 9.0) & (depth > 5.0))
    if canal.sum() < 4.0:
        return math.nan
    middle, line = float(canal @ depth / canal.sum()), float(canal @ aside / canal.sum())
    arch = np.asarray(maps.classes[Region.POSTERIOR_ELEMENTS][box], np.float64).ravel()
    own = (arch > 0.2) & (height > PEDICLE_HEIGHT[0]) & (height < PEDICLE_HEIGHT[1])
    own &= (depth > middle + PEDICLE_DEPTH[0]) & (depth < middle + PEDICLE_DEPTH[1])
    width = 0.0
    for side in (1.0, -1.0):
        away = side * (aside - line)
        weights = arch * (own & (away > PEDICLE_ASIDE[0]) & (away < PEDICLE_ASIDE[1]))
        if weights.sum() < 2.0:
            return math.nan
        width += float(weights @ away / weights.sum())
    return math.log(width)


@dataclass(frozen=True)
class ShapePrior:
    """The features of all levels, one Gaussian.

    Attributes:
        levels: Those that it knows, from the head.
        mean: ``(levels × features,)``, level by level.
        covariance: Square over the same.
        width_bias: By level, what the measured width has over the marked one.
    """

    levels: tuple[Level, ...]
    mean: Floats
    covariance: Floats
    width_bias: Floats

    @staticmethod
    @cache
    def load(path: Path = FILE) -> ShapePrior:
        """The prior that is shipped."""
        stored = json.loads(path.read_text())
        size = len(stored["levels"]) * len(FEATURES)
        covariance = np.zeros((size, size))
        covariance[np.tril_indices(size)] = np.array(stored["covariance_1e5"]) * 1e-5
        covariance += np.tril(covariance, -1).T
        levels = tuple(Level(name) for name in stored["levels"])
        return ShapePrior(levels, np.array(stored["mean"]), covariance, np.array(stored["width_bias"]))

    def log_likelihood(self, shape: Shape, names: Sequence[Level]) -> float:
        """Log density of a shape under names.

        Args:
            shape: Of the vertebrae.
            names: One for each, from head to feet. Names between two that follow each other were not found.
        """
        places, rows, shifts, spreads = [], [], [], []
        for index, name in enumerate(names):
            following = names[index + 1] if index + 1 < len(names) else None
            for feature in range(len(FEATURES)):
                if math.isnan(shape.values[index, feature]):
                    continue
                row, shift, spread = self._expected(name, following, feature)
                if row is not None:
                    places.append((index, feature))
                    rows.append(row)
                    shifts.append(shift)
                    spreads.append(spread**2 + MEASURED_SD[feature] ** 2)
        if not places:
            return 0.0
        matrix = np.array(rows)
        covariance = matrix @ self.covariance @ matrix.T + np.diag(spreads)
        tilted = np.array([feature == 2 for _, feature in places], np.float64)
        covariance += POSE_SD**2 * np.outer(tilted, tilted)
        values = np.array([shape.values[place] for place in places])
        return _t_density(values - matrix @ self.mean - np.array(shifts), covariance)

    def _expected(self, name: Level, following: Level | None, feature: int) -> tuple[Floats | None, float, float]:
        """A feature of one vertebra as a sum over those of the levels: weights, shift, standard deviation.

        No weights where nothing is known of it.
        """
        if FEATURES[feature] == "width":
            row, spread = self._row(self._near(name), feature)
            if row is None:
                return None, 0.0, 0.0
            bias = np.array([self.width_bias[self.levels.index(level)] for level in self._near(name)]).mean()
            return row, float(bias), spread
        if following is None:
            return None, 0.0, 0.0
        above_sacrum = following is Level.S1 or name is Level.L5
        if above_sacrum:
            row, _ = self._row((Level.L4,), feature)
            which = 0 if FEATURES[feature] == "spacing" else 1
            return row, SACRAL_STEP[which], SACRAL_SD[which]
        passed = [name, *left_out(name, following)]
        row, spread = self._row(tuple(near for level in passed for near in self._near(level)), feature)
        return row, math.log(len(passed)) if FEATURES[feature] == "spacing" else 0.0, spread

    def _near(self, level: Level) -> tuple[Level, ...]:
        """The levels that stand in for one that the prior does not know."""
        if level is Level.T13:
            return Level.T12, Level.L1
        return (Level.L5,) if level is Level.L6 else (level,)

    def _row(self, levels: tuple[Level, ...], feature: int) -> tuple[Floats | None, float]:
        """The mean of a feature over some levels, as weights, and its standard deviation beyond theirs."""
        if any(level not in self.levels for level in levels):
            return None, 0.0
        row = np.zeros(len(self.mean))
        for level in levels:
            row[self.levels.index(level) * len(FEATURES) + feature] += 1.0 / len(levels)
        return row, RARE_SD if len(levels) > 1 else 0.0


def _t_density(residual: Floats, covariance: Floats) -> float:
    """Logarithm of the density of Student's t with a covariance-like scale matrix."""
    size = len(residual)
    lower = np.linalg.cholesky(covariance)
    distance = float(np.sum(np.linalg.solve(lower, residual) ** 2))
    constant = (
        math.lgamma(0.5 * (FREEDOM + size)) - math.lgamma(0.5 * FREEDOM) - 0.5 * size * math.log(FREEDOM * math.pi)
    )
    return float(constant - np.log(np.diag(lower)).sum() - 0.5 * (FREEDOM + size) * math.log1p(distance / FREEDOM))
