"""From a raw score to a probability that can be read as one: a logistic map with two parameters.

    python -m models.vertebrae.evaluation.evaluate DATA --crops 200 --fit-confidence

The map is fitted on fields of view of bodies that no network was trained on. With so few bodies a map
with more parameters would only learn them by heart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize

from models.vertebrae.belief import EDGE, Belief, ConfidenceMap

PRIOR = 1.0
"""Weight of the prior that the score is right as it is: slope 1, offset 0."""

Floats = npt.NDArray[np.float64]


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
