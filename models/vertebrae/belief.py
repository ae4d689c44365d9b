"""What the posterior of a name is worth: a logistic map with two parameters, fitted by the evaluation."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

FILE = Path(__file__).parent / "configs" / "confidence.json"
EDGE = 1e-4
"""Scores are kept this far from 0 and 1, where the logit is infinite."""
DOUBTED_BELOW = 0.9
"""Probability under which a name is a hypothesis and comes with its alternative. The project's own: the model card says
how often names above it were wrong on CTs that were left out."""
MOST = 0.99
"""No vertebra is surer than this: of 401 sure ones all were right, which allows an error of 0.7 % (three in 401)."""

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
    """What the posterior of a name is worth.

    Attributes:
        names: The map.
    """

    names: ConfidenceMap = ConfidenceMap()

    def __call__(self, posterior: float) -> float:
        """The probability that belongs to a posterior, both 0…1."""
        return min(self.names(posterior), MOST)

    @staticmethod
    def load(path: Path = FILE) -> Belief:
        """The map in use; one that changes nothing where there is no file."""
        if not path.exists():
            return Belief()
        return Belief(ConfidenceMap(**json.loads(path.read_text())["names"]))

    def save(self, path: Path = FILE) -> None:
        """Write what :meth:`load` reads."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")
