"""From a raw score to a probability that can be read as one: a logistic map with two parameters.

    python -m models.vertebrae.evaluation.evaluate DATA --crops 200 --fit-confidence

The map is fitted on fields of view of bodies that no network was trained on. With so few bodies a map
with more parameters would only learn them by heart.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import optimize

FILE = Path(__file__).parent / "configs" / "confidence.json"
EDGE = 1e-4
"""Scores are kept this far from 0 and 1, where the logit is infinite."""
MOST = 0.99
"""No vertebra is surer than this: of 401 sure ones all were right, which allows an error of 0.7 % (three in 401)."""
PRIOR = 1.0
"""Weight of the prior that the score is right as it is: slope 1, offset 0."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ConfidenceMap:
    """Probability = logistic(offset + slope · logit(score)).

    Attributes:
        slope, offset: Of the map; 1 and 0 leave a score as it is.
    """

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, score: float) -> float:
        """The probability that belongs to a raw score, both 0…1."""
        return float(self.of(np.array([score]))[0])

    def of(self, scores: Floats) -> Floats:
        """The same for many scores."""
        kept = np.clip(scores, EDGE, 1.0 - EDGE)
        return np.asarray(1.0 / (1.0 + np.exp(-(self.offset + self.slope * np.log(kept / (1.0 - kept))))))


@dataclass(frozen=True)
class Belief:
    """What the scores of a reading are worth, which depends on whether its numbering is sure.

    Attributes:
        named: Map where the names stand.
        ambiguous: Map where they are a hypothesis.
    """

    named: ConfidenceMap = ConfidenceMap()
    ambiguous: ConfidenceMap = ConfidenceMap()

    def __call__(self, score: float, ambiguous: bool) -> float:
        """The probability that belongs to a raw score, both 0…1."""
        return min((self.ambiguous if ambiguous else self.named)(score), MOST)

    @staticmethod
    def load(path: Path = FILE) -> Belief:
        """The maps in use; those that change nothing where there is no file."""
        if not path.exists():
            return Belief()
        values = json.loads(path.read_text())
        return Belief(ConfidenceMap(**values["named"]), ConfidenceMap(**values["ambiguous"]))

    def save(self, path: Path = FILE) -> None:
        """Write what :meth:`load` reads."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


@dataclass(frozen=True)
class Claims:
    """What was said of vertebrae whose truth is known, one entry each.

    Attributes:
        bodies: Which body.
        scores: Raw scores, 0…1.
        ambiguous: Whether the numbering was called ambiguous.
        right: Whether it was one vertebra of this name.
    """

    bodies: npt.NDArray[np.str_]
    scores: Floats
    ambiguous: npt.NDArray[np.bool_]
    right: npt.NDArray[np.bool_]

    def of(self, chosen: npt.NDArray[np.bool_]) -> Claims:
        """Some of them."""
        return Claims(self.bodies[chosen], self.scores[chosen], self.ambiguous[chosen], self.right[chosen])

    def probabilities(self, belief: Belief) -> Floats:
        """What a belief makes of the scores."""
        sure, unsure = belief.named.of(self.scores), belief.ambiguous.of(self.scores)
        return np.where(self.ambiguous, unsure, sure)


def fit(scores: Floats, right: npt.NDArray[np.bool_]) -> ConfidenceMap:
    """The most likely map, under a weak prior that nothing needs to change.

    Args:
        scores: Raw scores, 0…1.
        right: Whether the claim was right.
    """

    def cost(parameters: Floats) -> float:
        # The logarithm of the slope: a higher score never means less.
        log_slope, offset = parameters
        given = np.clip(ConfidenceMap(float(np.exp(log_slope)), offset).of(scores), EDGE, 1.0 - EDGE)
        likelihood = np.where(right, np.log(given), np.log(1.0 - given)).sum()
        return float(-likelihood + 0.5 * PRIOR * (log_slope**2 + offset**2))

    found = optimize.minimize(cost, np.array([0.0, 0.0]), method="Nelder-Mead")
    return ConfidenceMap(float(np.exp(found.x[0])), float(found.x[1]))


@dataclass(frozen=True)
class Reliability:
    """How far stated probabilities are from what happened.

    Attributes:
        brier: Mean squared difference of probability and outcome.
        error: Expected calibration error over ten bins.
        count: How many claims.
    """

    brier: float
    error: float
    count: int


def reliability(probabilities: Floats, right: npt.NDArray[np.bool_]) -> Reliability:
    """Compare probabilities with outcomes."""
    brier = float(np.mean((probabilities - right) ** 2))
    bins = np.minimum((probabilities * 10).astype(int), 9)
    error = 0.0
    for number in np.unique(bins):
        own = bins == number
        error += float(np.mean(own) * abs(probabilities[own].mean() - right[own].mean()))
    return Reliability(brier, error, int(right.size))


def fit_belief(claims: Claims) -> Belief:
    """The maps for sure and for ambiguous numbering."""
    maps = [
        _rounded(fit(part.scores, part.right)) for part in (claims.of(~claims.ambiguous), claims.of(claims.ambiguous))
    ]
    return Belief(maps[0], maps[1])


def _rounded(map_: ConfidenceMap) -> ConfidenceMap:
    return ConfidenceMap(round(map_.slope, 4), round(map_.offset, 4))


def left_out(claims: Claims) -> Floats:
    """Probabilities of each body's claims under the maps that were fitted on the other bodies."""
    result = np.zeros_like(claims.scores)
    for name in np.unique(claims.bodies):
        own = claims.bodies == name
        belief = fit_belief(claims.of(~own)) if (~own).any() else Belief()
        result[own] = claims.of(own).probabilities(belief)
    return result
