"""Learn the shape prior of names from spines whose bodies and pedicles were marked by people.

    python -m models.vertebrae.evaluation.shape_prior DATA [--out models/vertebrae/configs/shape_prior.json]

It reads ``DATA/spine_keypoints.json.gz`` (ImFusionGmbH/VID-vertebra-identification-dataset, CC BY-SA 4.0: 2,113 spines
of VerSe, CT-Colonography and Pancreas-CT) and keeps to its published split: the prior is fitted on the spines for
training, and what it names among the others is printed. The bias of the measured width stays as it is in the file:
:mod:`models.vertebrae.evaluation.names` measures it on CTs under known names (``--fit-width``).
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.anatomy import Level
from models.vertebrae.names.shape import FEATURES, FILE, Shape, ShapePrior

Floats = npt.NDArray[np.float64]

CREDIT = (
    "Statistics of the keypoints of ImFusionGmbH/VID-vertebra-identification-dataset (CC BY-SA 4.0), "
    "spines for training of its published split"
)
LEVELS = tuple(level for level in Level if level not in (Level.T13, Level.L6, Level.S1))
ROUNDS = 12
"""Rounds of expectation and maximisation; the trace of the covariance stands still after eight."""
RIDGE = 20.0
"""Spines' worth of independent features that the covariance starts from: few necks are in view together with loins."""
RUNS = (3, 5, 7, 9)
JUDGES = ("verse004", "verse005", "verse008", "verse009", "verse010", "gl003", "gl017", "gl108")
"""Subjects whose CTs or label maps judge the names elsewhere: the prior must not know them."""


def usual(spine: dict[str, Any]) -> bool:
    """Whether a spine has neither a vertebra more nor one less, as far as its names tell."""
    body = spine["body"]
    return "L6" not in body and not ("T11" in body and "L1" in body and "T12" not in body)


def features(spine: dict[str, Any]) -> Floats:
    """Features of all ``LEVELS`` of a marked spine, ``(24, 3)``, not a number where they are not in view."""
    names = sorted((Level(name) for name in spine["body"] if Level(name) in LEVELS), key=lambda level: level.rank)
    places = np.array([spine["body"][name] for name in names], np.float64).reshape(-1, 3)
    values = np.full((len(LEVELS), len(FEATURES)), np.nan)
    for index, name in enumerate(names):
        below = index + 1 < len(names) and LEVELS.index(names[index + 1]) == LEVELS.index(name) + 1
        if below:
            step = places[index + 1] - places[index]
            values[LEVELS.index(name), 0] = np.log(np.linalg.norm(step))
            values[LEVELS.index(name), 2] = np.arctan2(step[1], -step[2])
    left, right = (np.array(spine[side], np.float64).reshape(-1, 3) for side in ("left", "right"))
    if len(left) == len(right) == len(spine["body"]):
        # Pedicles bear no names, but none is missing: they follow each other as the bodies do.
        order = sorted(spine["body"], key=lambda name: -spine["body"][name][2])
        pairs = zip(left[np.argsort(-left[:, 2])], right[np.argsort(-right[:, 2])], strict=True)
        for name, (one, other) in zip(order, pairs, strict=True):
            if Level(name) in LEVELS:
                values[LEVELS.index(Level(name)), 1] = np.log(np.linalg.norm(one - other))
    return values


def fit(samples: Floats) -> tuple[Floats, Floats]:
    """Mean and covariance of a Gaussian from samples with gaps, by expectation and maximisation.

    Args:
        samples: ``(n, p)``, not a number where a value is missing.
    """
    known = np.isfinite(samples)
    counts = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, samples, 0.0).sum(axis=0) / counts
    spread = np.where(known, (samples - mean) ** 2, 0.0).sum(axis=0) / counts
    spread = np.where(spread > 0, spread, 1.0)
    covariance = np.diag(spread)
    patterns: dict[bytes, list[int]] = {}
    for index, row in enumerate(known):
        patterns.setdefault(row.tobytes(), []).append(index)
    for _ in range(ROUNDS):
        filled, doubt = np.tile(mean, (len(samples), 1)), np.zeros_like(covariance)
        for pattern, rows in patterns.items():
            seen = np.frombuffer(pattern, bool)
            gone = ~seen
            gain = np.linalg.solve(covariance[np.ix_(seen, seen)], covariance[np.ix_(seen, gone)]).T
            values = samples[rows][:, seen]
            whole = filled[rows]
            whole[:, seen] = values
            whole[:, gone] += (values - mean[seen]) @ gain.T
            filled[rows] = whole
            rest = covariance[np.ix_(gone, gone)] - gain @ covariance[np.ix_(seen, gone)]
            doubt[np.ix_(gone, gone)] += len(rows) * rest
        mean = filled.mean(axis=0)
        centred = filled - mean
        covariance = (centred.T @ centred + doubt + RIDGE * np.diag(spread)) / (len(samples) + RIDGE)
    return mean, covariance


def named_runs(prior: ShapePrior, spines: Sequence[Floats], length: int, seed: int = 0) -> tuple[int, int, int]:
    """Runs of vertebrae, those named right by their shape alone, and those named right or one off.

    Args:
        prior: The prior; its bias of the width is of no concern to marked pedicles.
        spines: Features of held-out spines, from :func:`features`.
        length: Vertebrae of a run.
        seed: Of the choice of two runs from each spine.
    """
    rng = np.random.default_rng(seed)
    counts = [0, 0, 0]
    for spine in spines:
        places = np.flatnonzero(np.isfinite(spine[:, 1]))
        if not len(places) or places[-1] - places[0] + 1 < length:
            continue
        for _ in range(2):
            first = int(rng.integers(places[0], places[-1] - length + 2))
            run = spine[first : first + length].copy()
            run[-1, [0, 2]] = np.nan
            starts = range(len(LEVELS) - length + 1)
            scores = [prior.log_likelihood(Shape(run), LEVELS[k : k + length]) for k in starts]
            off = abs(int(np.argmax(scores)) - first)
            counts = [counts[0] + 1, counts[1] + (off == 0), counts[2] + (off <= 1)]
    return counts[0], counts[1], counts[2]


def learn(spines: Sequence[dict[str, Any]]) -> ShapePrior:
    """The prior of some marked spines, without a bias of the width."""
    samples = np.array([features(spine) for spine in spines if usual(spine)]).reshape(-1, len(LEVELS) * len(FEATURES))
    mean, covariance = fit(samples[np.isfinite(samples).any(axis=1)])
    return ShapePrior(LEVELS, mean, covariance, np.zeros(len(LEVELS)))


def read_spines(data: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The marked spines for training without ``JUDGES``, and those that are held out.

    Scan names are no persons' (many CTs are ``COLONOG:10``): two CTs of one person may still lie on both sides.
    """
    with gzip.open(data / "spine_keypoints.json.gz", "rt") as file:
        spines: list[dict[str, Any]] = json.load(file)
    held_out = [s for s in spines if s["split"] != "training"]
    # Three held-out spines stand among those for training too, to the last digit.
    twice = [spine["body"] for spine in held_out]
    training = [s for s in spines if s["split"] == "training" and s["body"] not in twice]
    return [s for s in training if not any(name in s["scan"] for name in JUDGES)], held_out


def save(prior: ShapePrior, path: Path = FILE) -> None:
    """Write what :meth:`models.vertebrae.names.shape.ShapePrior.load` reads."""
    lower = prior.covariance[np.tril_indices(len(prior.mean))]
    stored = {
        "credit": CREDIT,
        "levels": [str(level) for level in prior.levels],
        "mean": [round(float(value), 4) for value in prior.mean],
        "width_bias": [round(float(value), 2) for value in prior.width_bias],
        "covariance_1e5": [round(float(value) * 1e5) for value in lower],
    }
    path.write_text(json.dumps(stored) + "\n")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=FILE)
    arguments = parser.parse_args()
    training, held_out = read_spines(arguments.data)
    prior = learn(training)
    others = [features(spine) for spine in held_out if usual(spine)]
    print(f"{len(training)} spines for training, {len(held_out)} held out")
    for length in RUNS:
        count, right, near = named_runs(prior, others, length)
        print(f"runs of {length}: {count}, named right {right / count:.0%}, one off at most {near / count:.0%}")
    if FILE.exists():
        prior = replace(prior, width_bias=ShapePrior.load().width_bias)
    save(prior, arguments.out)


if __name__ == "__main__":
    main()
