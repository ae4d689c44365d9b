"""All the evidence in one posterior: which vertebrae stand in the row, and what they are called.

A *row* says which candidates are vertebrae and how many between them were not seen; a *numbering* names a row. Every
pair of both is a hypothesis, and its likelihood is the product of what is known: the levels that the network sees
(tempered, and free to be off as a whole, as it errs for whole chains), the shape of the row, the ribs and the sacrum
beside it, and how rare its count is. The posterior of a name is the share of the hypotheses that give it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from models.anatomy import Level
from models.vertebrae.names.landmarks import L5_NEARER, S1_NEARER, Landmarks
from models.vertebrae.names.levels import TRAINED, Candidate
from models.vertebrae.names.rows import Row
from models.vertebrae.names.shape import Shape, ShapePrior

Floats = npt.NDArray[np.floating[Any]]

USUAL = TRAINED


def _with(level: Level, after: Level) -> tuple[Level, ...]:
    place = USUAL.index(after) + 1
    return (*USUAL[:place], level, *USUAL[place:])


def _without(level: Level) -> tuple[Level, ...]:
    return tuple(name for name in USUAL if name is not level)


COUNTS: tuple[tuple[tuple[Level, ...], float], ...] = (
    (USUAL, math.log(0.925)),
    (_with(Level.T13, Level.T12), math.log(0.02)),
    (_without(Level.T12), math.log(0.005)),
    (_with(Level.L6, Level.L5), math.log(0.025)),
    (_without(Level.L5), math.log(0.025)),
)
"""The names that a person's spine may have, and how often. Of 1,886 marked spines with an L5 48 have an L6 (2.5 %), and
of 2,012 with T11 and L1 eight have no T12 (0.4 %), see :mod:`models.vertebrae.evaluation.shape_prior`; T13 is put at
2 %, and four lumbar vertebrae, which nobody counted there, as often as six. The project's own where not counted."""


class Factor(StrEnum):
    """A kind of evidence, as a report names it."""

    LEVELS = "the look of the vertebrae"
    SHAPE = "their spacing, width and curve"
    RIBS = "the ribs"
    SACRUM = "the sacrum"
    COUNT = "the usual count"


@dataclass(frozen=True)
class Weights:
    """How far each kind of evidence is believed; fitted by :mod:`models.vertebrae.evaluation.names`.

    Attributes:
        levels: Weight of the mean log-probability of the names by the network: independent looks that a whole row is
            worth.
        shifted: Share of rows in which the network is one level off, both ways together.
        far: Share in which it is two off.
        lost: Share in which it knows nothing: each numbering is as likely.
        shape: Weight of the shape's log-likelihood.
        landmarks: Weight of ribs and sacrum.
    """

    levels: float = 4.5
    shifted: float = 0.21
    far: float = 0.07
    lost: float = 0.05
    shape: float = 1.0
    landmarks: float = 0.58


WEIGHTS = Weights()

RIBS_SEEN = {
    Level.C7: 0.3,
    Level.T1: 0.7,
    Level.T11: 0.93,
    Level.T12: 0.8,
    Level.T13: 0.8,
    Level.L1: 0.08,
    Level.L2: 0.03,
}
"""How often ribs of its own are seen beside a vertebra, where one could see them; other thoracic ones 0.97, others
0.02. T12's can be short or missing, and of C7's transverse process a piece is taken for one. The project's own."""
SACRUM_RIGHT = 0.97
"""How often the sacrum is where it is seen to be. The project's own."""
SHIFTS = (0, -1, 1, -2, 2)
"""Levels by which the network may be off as a whole."""
MOST_MARGIN = 1e3
"""Margin of a row that has no other names: a number that every report can hold."""
DECIDES = 1.0
"""Logarithm of the odds between the best two numberings from which a kind of evidence is said to have decided."""
LEAST_LEVEL = 2e-3
"""Least probability of a level by the network."""


@dataclass(frozen=True)
class Hypothesis:
    """Names for a row, with what each kind of evidence says of them before it is weighed.

    Attributes:
        row: The row.
        names: One for each of its vertebrae.
        last_lumbar: Of the names that this person's spine has.
        looks: Mean log-probability by the network of the names moved by each of ``SHIFTS``.
        shape: Log-likelihood of the row's shape.
        ribs: Log-likelihood of the ribs that are seen or missed.
        sacrum: Log-likelihood of where the sacrum lies.
        count: Logarithm of how often a spine has these names.
    """

    row: Row
    names: tuple[Level, ...]
    last_lumbar: Level
    looks: tuple[float, ...]
    shape: float
    ribs: float
    sacrum: float
    count: float

    @property
    def rare(self) -> str:
        """What to say of a count that few people have; empty for the usual one."""
        regions = [(upper, lower) for upper, lower in pairwise(self.names) if upper.region != lower.region]
        if Level.T13 in self.names:
            return "Thirteen thoracic vertebrae were counted, or one of the lumbar ones bears ribs."
        if Level.L6 in self.names:
            return "Six lumbar vertebrae were counted."
        if (Level.T11, Level.L1) in regions:
            return "Eleven thoracic vertebrae were counted."
        if (Level.L4, Level.S1) in regions or (self.last_lumbar is Level.L4 and self.names[-1] is Level.L4):
            return "Four lumbar vertebrae were counted."
        return ""


@dataclass(frozen=True)
class Named:
    """One vertebra with its name.

    Attributes:
        index: Which candidate.
        level: Its name under the likeliest hypothesis.
        probability: Share of all hypotheses that call it so.
        alternative: Its likeliest other name; the same where no hypothesis has another.
    """

    index: int
    level: Level
    probability: float
    alternative: Level


@dataclass(frozen=True)
class Posterior:
    """What is believed after all evidence.

    Attributes:
        best: The likeliest hypothesis.
        vertebrae: Its vertebrae with their names' own posteriors.
        decided: What decided against the likeliest hypothesis that names most of them otherwise, strongest first.
        margin: Logarithm of the odds between these two.
    """

    best: Hypothesis
    vertebrae: tuple[Named, ...]
    decided: tuple[Factor, ...]
    margin: float


@dataclass(frozen=True)
class Seen:
    """What is known of the candidates, one entry each.

    Attributes:
        candidates: From head to feet.
        landmarks: What stands beside them.
        levels: The network's mean probability of every one of ``TRAINED``, ``(n, 25)``.
        shapes: By the indices of the candidates that a row keeps, its shape.
    """

    candidates: Sequence[Candidate]
    landmarks: Sequence[Landmarks]
    levels: Floats
    shapes: dict[tuple[int, ...], Shape]


def hypotheses(seen: Seen, rows: Sequence[Row], prior: ShapePrior) -> list[Hypothesis]:
    """All names of some rows; none where every row has more vertebrae than a spine.

    Args:
        seen: The evidence.
        rows: What may stand in the row.
        prior: Of its shape.
    """
    result = []
    for row in rows:
        offsets = np.concatenate([[0], np.cumsum(row.steps)]).astype(int).tolist()
        found: dict[tuple[tuple[Level, ...], Level], float] = {}
        for spine, price in COUNTS:
            last_lumbar = [level for level in spine if level.region == "L"][-1]
            for start in range(len(spine) - offsets[-1]):
                key = tuple(spine[start + offset] for offset in offsets), last_lumbar
                found[key] = max(found.get(key, -math.inf), price)
        logs = np.log(np.maximum(seen.levels[list(row.kept)], LEAST_LEVEL))
        shapes: dict[tuple[Level, ...], float] = {}
        for (names, last_lumbar), price in found.items():
            if names not in shapes:
                shapes[names] = prior.log_likelihood(seen.shapes[row.kept], names)
            looks, ribs = _looks(logs, names), _ribs(seen, row, names)
            sacrum = _sacrum(seen, row, names, last_lumbar)
            result.append(Hypothesis(row, names, last_lumbar, looks, shapes[names], ribs, sacrum, price))
    return result


def weighed(every: Sequence[Hypothesis], weights: Weights = WEIGHTS) -> Floats:
    """Log-likelihood of every hypothesis by kind of evidence, ``(n, factors)`` in the order of :class:`Factor`.

    The network's levels are a mixture over how far it is off as a whole, normalised over the names of each row.
    """
    looks = weights.levels * np.array([hypothesis.looks for hypothesis in every])
    away = 0.5 * np.array([weights.shifted, weights.shifted, weights.far, weights.far])
    shares = np.array([1.0 - weights.shifted - weights.far - weights.lost, *away])
    levels = np.zeros(len(every))
    places: dict[Row, list[int]] = {}
    for place, hypothesis in enumerate(every):
        places.setdefault(hypothesis.row, []).append(place)
    for own in places.values():
        likely = np.exp(looks[own] - looks[own, 0].max())
        levels[own] = np.log(weights.lost / len(own) + likely @ shares / likely[:, 0].sum())
    landmarks = weights.landmarks
    rest = [(weights.shape * h.shape, landmarks * h.ribs, landmarks * h.sacrum, h.count) for h in every]
    return np.column_stack([levels, np.array(rest)])


def number(every: Sequence[Hypothesis], weights: Weights = WEIGHTS) -> Posterior:
    """The posterior over some hypotheses.

    Args:
        every: All that are possible, one at least.
        weights: How far each kind of evidence is believed.
    """
    factors = weighed(every, weights)
    logs = factors.sum(axis=1) + np.array([hypothesis.row.log_odds for hypothesis in every])
    shares = np.exp(logs - logs.max())
    shares /= shares.sum()
    first = int(logs.argmax())
    best = every[first]
    by_place: list[dict[Level, float]] = [{} for _ in best.names]
    places = {index: place for place, index in enumerate(best.row.kept)}
    for hypothesis, share in zip(every, shares.tolist(), strict=True):
        for index, name in zip(hypothesis.row.kept, hypothesis.names, strict=True):
            if index in places:
                own = by_place[places[index]]
                own[name] = own.get(name, 0.0) + share
    vertebrae = []
    for index, name, own in zip(best.row.kept, best.names, by_place, strict=True):
        share = own.pop(name)
        vertebrae.append(Named(index, name, share, max(own, key=lambda other: own[other], default=name)))
    return _explained(every, first, tuple(vertebrae), factors, logs)


def _explained(
    every: Sequence[Hypothesis], first: int, vertebrae: tuple[Named, ...], factors: Floats, logs: Floats
) -> Posterior:
    given = dict(zip(every[first].row.kept, every[first].names, strict=True))

    def differs(other: Hypothesis) -> bool:
        pairs = zip(other.row.kept, other.names, strict=True)
        return 2 * sum(given.get(index) is not name for index, name in pairs) > len(other.names)

    others = [place for place, hypothesis in enumerate(every) if differs(hypothesis)]
    if not others:
        return Posterior(every[first], vertebrae, (), MOST_MARGIN)
    rival = max(others, key=lambda place: float(logs[place]))
    gains = dict(zip(Factor, (factors[first] - factors[rival]).tolist(), strict=True))
    decided = sorted((factor for factor in Factor if gains[factor] > DECIDES), key=lambda factor: -gains[factor])
    return Posterior(every[first], vertebrae, tuple(decided), min(float(logs[first] - logs[rival]), MOST_MARGIN))


def _looks(logs: Floats, names: tuple[Level, ...]) -> tuple[float, ...]:
    """Mean log-probability of names that are moved by each of ``SHIFTS``."""
    ranks = np.array([_seen_as(name, logs[place]) for place, name in enumerate(names)])
    places = np.arange(len(names))
    return tuple(float(logs[places, np.clip(ranks + shift, 0, len(TRAINED) - 1)].mean()) for shift in SHIFTS)


def _seen_as(name: Level, logs: Floats) -> int:
    """The trained level as which the network sees a vertebra of this name."""
    if name is Level.T13:
        upper, lower = TRAINED.index(Level.T12), TRAINED.index(Level.L1)
        return upper if logs[upper] >= logs[lower] else lower
    return TRAINED.index(Level.L5 if name is Level.L6 else name)


def _ribs(seen: Seen, row: Row, names: tuple[Level, ...]) -> float:
    """Log-likelihood of the ribs that are seen or missed."""
    total = 0.0
    for index, name in zip(row.kept, names, strict=True):
        ribs = seen.landmarks[index].ribs
        if ribs is not None:
            chance = RIBS_SEEN.get(name, 0.97 if name.region == "T" else 0.02)
            total += math.log(chance if ribs else 1.0 - chance)
    return total


def _sacrum(seen: Seen, row: Row, names: tuple[Level, ...], last_lumbar: Level) -> float:
    """Log-likelihood of where the sacrum lies."""
    total = 0.0
    for index, name in zip(row.kept, names, strict=True):
        distance = seen.landmarks[index].sacrum
        if distance < S1_NEARER:
            fits = name is Level.S1
        elif distance < L5_NEARER:
            fits = name is last_lumbar
        elif math.isfinite(distance):
            fits = name not in (last_lumbar, Level.S1)
        else:
            continue
        total += math.log(SACRUM_RIGHT if fits else 1.0 - SACRUM_RIGHT)
    # A sacrum that is none misleads everywhere at once.
    return max(total, 2.0 * math.log(1.0 - SACRUM_RIGHT))
