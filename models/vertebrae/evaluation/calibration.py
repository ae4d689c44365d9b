"""From a raw score to a probability that can be read as one: a logistic map with two parameters.

    python -m models.vertebrae.evaluation.names DATA CACHE --fit

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
        scores: Posteriors of the names, 0…1.
        right: Whether it was one vertebra of this name.
    """

    bodies: npt.NDArray[np.str_]
    scores: Floats
    right: npt.NDArray[np.bool_]

    def of(self, chosen: npt.NDArray[np.bool_]) -> Claims:
        """Some of them."""
        return Claims(self.bodies[chosen], self.scores[chosen], self.right[chosen])


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
    """The map from posteriors to probabilities."""
    found = fit(claims.scores, claims.right)
    return Belief(ConfidenceMap(round(found.slope, 4), round(found.offset, 4)))


def left_out(claims: Claims) -> Floats:
    """Probabilities of each body's claims under the map that was fitted on the other bodies."""
    result = np.zeros_like(claims.scores)
    for name in np.unique(claims.bodies):
        own = claims.bodies == name
        belief = fit_belief(claims.of(~own)) if (~own).any() else Belief()
        result[own] = belief.names.of(claims.scores[own])
    return result
