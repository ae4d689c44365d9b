"""Areas under the ROC curve with intervals by bootstrap over spines, not over vertebrae of one spine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Array = NDArray[np.float64]
DRAWS = 1000


@dataclass(frozen=True)
class Scores:
    """Scores of vertebrae that are broken and that are sound.

    Attributes:
        sick, sound: Higher means more likely broken.
        sick_spines, sound_spines: The spine that each belongs to.
    """

    sick: Array
    sound: Array
    sick_spines: Sequence[str]
    sound_spines: Sequence[str]


def auc(sick: Array, sound: Array) -> float:
    """Probability that a broken vertebra scores above a sound one; ties count half."""
    ranks = rankdata(np.concatenate([sick, sound]))
    n = len(sick)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * len(sound)))


def area(scores: Scores) -> str:
    """The area and its 95 % interval."""
    low, high = np.percentile(_draws(scores), [2.5, 97.5])
    return f"{auc(scores.sick, scores.sound):.3f} ({low:.3f}–{high:.3f})"


def difference(first: Scores, second: Scores) -> str:
    """The first area minus the second and its 95 % interval, on the same draws of spines."""
    low, high = np.percentile(_draws(first) - _draws(second), [2.5, 97.5])
    apart = auc(first.sick, first.sound) - auc(second.sick, second.sound)
    return f"{apart:+.3f} ({low:+.3f} to {high:+.3f})"


def _draws(scores: Scores) -> Array:
    rng = np.random.default_rng(0)
    groups = [_by_spine(scores.sick, scores.sick_spines), _by_spine(scores.sound, scores.sound_spines)]
    found = []
    for _ in range(DRAWS):
        sick, sound = (np.concatenate([g[i] for i in rng.integers(0, len(g), len(g))]) for g in groups)
        found.append(auc(sick, sound))
    return np.array(found)


def _by_spine(scores: Array, spines: Sequence[str]) -> list[Array]:
    names = np.array(spines)
    return [scores[names == name] for name in dict.fromkeys(spines)]
