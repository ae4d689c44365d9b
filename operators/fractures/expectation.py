"""What the heights of this patient's vertebrae would be if none were fractured.

Three sources, since no published table covers T4–L4 by level and sex (docs/science.md §3.4): verified norms
for the wedge of T9–L4, the patient's other vertebrae (everybody's own control), and the posterior heights
of up to four neighbours. Norms are converted to the lines at which Osteon measures. T4–T8 have no verified
norm: there the neighbours alone say how wedged a body should be, and less is claimed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import radians, tan
from typing import Literal

import numpy as np

from models.anatomy import Level
from operators.fractures.grading import Expectation, HeightTriple

GRADED = tuple(level for level in Level if Level.T4.rank <= level.rank <= Level.L4.rank)
"""Levels with a Genant grade (docs/science.md §3.1 [V]); L5 is lordotic and never graded (docs/science.md §3.4 [V])."""

WEDGE_ANGLES: Mapping[Level, tuple[float, float]] = {
    Level.T9: (2.8, 4.8),
    Level.T10: (2.6, 3.8),
    Level.T11: (4.6, 5.4),
    Level.T12: (3.5, 4.9),
    Level.L1: (2.6, 4.1),
    Level.L2: (0.7, 2.6),
    Level.L3: (-1.1, 1.3),
    Level.L4: (-3.1, -0.7),
}
"""Mean wedge angle in degrees, positive where the front is lower, of women and men of 20–80 years.
Masharawi 2009, PMC2899959, table 1; docs/science.md §3.4 [V]."""

ANTERIOR_RATIOS: Mapping[Level, tuple[float, float]] = {
    Level.T10: (0.92, 0.08),
    Level.T11: (0.92, 0.08),
    Level.T12: (0.90, 0.06),
    Level.L1: (0.89, 0.06),
    Level.L2: (0.90, 0.07),
}
"""Ha/Hp, mean and standard deviation, of 115 people without complaints. Matsumoto 2011,
DOI 10.1007/s00276-010-0746-x; docs/science.md §3.4 [V]."""

SPREAD = 0.07
"""Standard deviation of Ha/Hp between intact vertebrae of one level, the middle of ANTERIOR_RATIOS."""

UNVERIFIED_SPREAD = 0.08
"""The same where no norm of the level is verified (T4–T8): the largest of ANTERIOR_RATIOS."""

CONCAVITY = 0.92
"""Hm over the mean of Ha and Hp of an intact vertebra, where the patient's own spine says nothing. Measured by
this project: median 0.921, quartiles 0.89 and 0.94, of 41 vertebrae T4–L4 in four real CT at 1.5–2.5 mm
(evidence/real/ratios.py); no verified norm was found (docs/science.md §3.4)."""

NEARBY = 4
"""Levels up to this far away say what is usual in this patient."""

PARALLEL = 1.0
"""Ha/Hp of a body with parallel plates: where no norm is verified nothing else is assumed."""

PRIOR_WEIGHT = 3.0
"""How many of the patient's own vertebrae a norm is worth; ``PARALLEL``, which is none, is worth one."""


@dataclass(frozen=True)
class MeasuredBody:
    """Heights of one vertebra, mm.

    Attributes:
        heights: Ha, Hm, Hp.
        depth: Distance between the anterior and the posterior height line.
        mean: Mean height between these lines; None where it is not known.
    """

    heights: HeightTriple
    depth: float
    mean: float | None = None


def expectations(bodies: Mapping[Level, MeasuredBody], sex: Literal["M", "F", "O"] | None) -> dict[Level, Expectation]:
    """Expected ratios and posterior height of every measured vertebra.

    Args:
        bodies: What was measured, by level, in any order.
        sex: Of the patient; both sexes' mean where it is not known to be M or F.

    Returns:
        An expectation for each level in ``bodies``. A vertebra never contributes to its own.
    """
    norms = {level: _wedge_norm(level, body, sex) for level, body in bodies.items()}
    return {level: _expectation(level, bodies, norms) for level in bodies}


def _expectation(
    level: Level, bodies: Mapping[Level, MeasuredBody], norms: Mapping[Level, float | None]
) -> Expectation:
    norm = norms[level]
    anterior = _neighbours_wedge(level, bodies) if norm is None else norm + _own_wedge(level, bodies, norms)
    posterior = _predicted_posterior(level, bodies)
    spread = UNVERIFIED_SPREAD if norm is None else SPREAD
    return Expectation(
        anterior_ratio=anterior,
        middle_ratio=_own_concavity(level, bodies) * (1 + min(anterior, 1 / anterior)) / 2,
        posterior=posterior,
        # Two yardsticks that must agree are wrong together less often than one: see docs/fractures.md.
        spread=spread / (2 if posterior is not None else 1),
        is_verified=norm is not None,
    )


def _wedge_norm(level: Level, body: MeasuredBody, sex: str | None) -> float | None:
    """Ha/Hp at the measuring lines: ``1 - depth · tan(angle) / Hp`` (docs/science.md §3.4 [X]); None without a norm."""
    if level not in WEDGE_ANGLES:
        return None
    female, male = WEDGE_ANGLES[level]
    angle = {"F": female, "M": male}.get(sex or "", (female + male) / 2)
    # Depth over height of an intact body; a collapsed one would make its own wedge look normal.
    slenderness = min(body.depth / max(body.heights.posterior, 1.0), 1.1)
    from_angle = 1 - slenderness * tan(radians(angle))
    if level not in ANTERIOR_RATIOS:
        return from_angle
    corner_ratio, _ = ANTERIOR_RATIOS[level]
    # Published ratios are between the corners; the lines here lie 0.75 of that distance apart.
    return (from_angle + 1 - 0.75 * (1 - corner_ratio)) / 2


def _neighbours_wedge(level: Level, bodies: Mapping[Level, MeasuredBody]) -> float:
    """Ha/Hp expected where no norm is verified: that of the intact-looking neighbours, drawn to parallel plates."""
    near = [
        other.heights.anterior / other.heights.posterior
        for name, other in bodies.items()
        if name is not level and abs(name.rank - level.rank) <= NEARBY
    ]
    intact = [ratio for ratio in near if 0.80 <= ratio <= 1.10]
    if not intact:
        return PARALLEL
    return (float(np.median(intact)) * len(intact) + PARALLEL) / (len(intact) + 1)


def _own_wedge(level: Level, bodies: Mapping[Level, MeasuredBody], norms: Mapping[Level, float | None]) -> float:
    """How much less wedged than the norm the patient's other, intact-looking vertebrae nearby are."""
    apart = [
        other.heights.anterior / other.heights.posterior - norm
        for name, other in bodies.items()
        if name is not level and abs(name.rank - level.rank) <= NEARBY and (norm := norms[name]) is not None
    ]
    intact = [value for value in apart if abs(value) < 2 * SPREAD]
    if not intact:
        return 0.0
    shrunk = float(np.median(intact)) * len(intact) / (len(intact) + PRIOR_WEIGHT)
    return float(np.clip(shrunk, -SPREAD, SPREAD))


def _own_concavity(level: Level, bodies: Mapping[Level, MeasuredBody]) -> float:
    """Hm over the mean of Ha and Hp expected here, from the patient's other vertebrae and the common value.

    Over their mean and not the larger of them, so that a wedged level says the same as a square one.
    """
    own = [
        2 * other.heights.middle / (other.heights.anterior + other.heights.posterior)
        for name, other in bodies.items()
        if name is not level and abs(name.rank - level.rank) <= NEARBY
    ]
    intact = [value for value in own if 0.78 <= value <= 1.05]
    if not intact:
        return CONCAVITY
    pooled = (float(np.median(intact)) * len(intact) + CONCAVITY * PRIOR_WEIGHT) / (len(intact) + PRIOR_WEIGHT)
    return float(np.clip(pooled, 0.83, 1.0))


def _predicted_posterior(level: Level, bodies: Mapping[Level, MeasuredBody]) -> float | None:
    """Hp predicted by up to two neighbours above and two below; None with fewer than two in all.

    Posterior heights grow from T4 to the upper lumbar spine, so neighbours are moved to this level along
    the patient's own slope. A neighbour much lower than the others is itself suspect and left out.
    """
    around = sorted(bodies, key=lambda other: (abs(other.rank - level.rank), other.rank))
    above = [other for other in around if 0 < level.rank - other.rank <= 3][:2]
    below = [other for other in around if 0 < other.rank - level.rank <= 3][:2]
    near = above + below
    if len(near) < 2:
        return None
    slope = _slope(level, bodies)
    moved = np.array([bodies[other].heights.posterior + slope * (level.rank - other.rank) for other in near])
    sound = moved >= 0.87 * np.median(np.sort(moved)[-max(2, len(moved) - 1) :])
    weights = np.array([1.0 / abs(level.rank - other.rank) for other in near])
    return float(np.average(moved[sound], weights=weights[sound]))


def _slope(level: Level, bodies: Mapping[Level, MeasuredBody]) -> float:
    """Growth of the posterior height per level in the patient's other vertebrae (Theil–Sen), mm."""
    others = [(name.rank, body.heights.posterior) for name, body in bodies.items() if name is not level]
    slopes = [(b - a) / (j - i) for i, a in others for j, b in others if 0 < j - i <= 6]
    return float(np.clip(np.median(slopes), -0.3, 1.2)) if len(slopes) >= 3 else 0.6
