"""How weights name a body that they have not seen, on synthetic CTs of its label map.

    python -m models.vertebrae.training.held_out DATA gl108 --weights FOLDER --count 12

There is no real CT of a neck to judge on, so a label map that was left out of the pool stands for one. The generator is
the one that the training samples come from, so that this judges anatomy that is new and no scanner that is.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import highdicom as hd
import numpy as np

from models.anatomy import Level, Region
from models.engine import SpineSegmentation, VertebraEngine
from models.vertebrae.belief import Belief
from models.vertebrae.engine import VertebraNetwork
from models.vertebrae.evaluation.references import trained_on
from models.vertebrae.names.levels import TRAINED
from models.vertebrae.network import COARSE_SPACING
from models.vertebrae.training.atlas import verse_atlas
from models.vertebrae.training.synthesis import CoarseSample, Synthesiser
from models.vertebrae.training.verse import MAPS
from models.vertebrae.weights import FOLDER

NEAR = 12.0
"""Distance in mm within which a found centre is that of a true body: less than between two bodies of a neck."""
LEAST_VOXELS = 20
"""Fewest voxels of 3 mm of a body that is judged."""


def as_volume(sample: CoarseSample) -> hd.Volume:
    """The CT with axes towards the head, the back and the left: in LPS those are +z, +y and +x."""
    affine = np.zeros((4, 4))
    affine[2, 0] = affine[1, 1] = affine[0, 2] = COARSE_SPACING
    affine[3, 3] = 1.0
    return hd.Volume(sample.hu.numpy(), affine, coordinate_system="PATIENT")


def true_centres(sample: CoarseSample) -> dict[Level, np.ndarray]:
    """Centres of the bodies that neither the upper nor the lower border cuts, LPS mm."""
    levels, body = sample.levels.numpy(), sample.regions.numpy() == Region.BODY
    last = body.shape[0] - 1
    centres = {}
    for rank, level in enumerate(TRAINED):
        own = np.argwhere(body & (levels == rank))
        if len(own) >= LEAST_VOXELS and own[:, 0].min() > 0 and own[:, 0].max() < last:
            centres[level] = own.mean(axis=0)[::-1] * COARSE_SPACING
    return centres


def verdicts(result: SpineSegmentation, centres: dict[Level, np.ndarray]) -> dict[Level, str]:
    """For every true vertebra ``missed``, ``right``, ``doubted, right`` (as first or second name) or ``wrong``."""
    places = np.array([vertebra.centroid for vertebra in result.vertebrae]).reshape(-1, 3)
    said = {}
    for level, centre in centres.items():
        distances = np.linalg.norm(places - centre, axis=1) if len(places) else np.array([np.inf])
        if distances.min() > NEAR:
            said[level] = "missed"
            continue
        vertebra = result.vertebrae[int(distances.argmin())]
        if vertebra.alternative is not None:
            said[level] = "doubted, right" if level in (vertebra.level, vertebra.alternative) else "doubted, wrong"
        else:
            said[level] = "right" if vertebra.level is level else "wrong"
    return said


def judge(engine: VertebraEngine, maker: Synthesiser, seeds: range) -> Counter[tuple[Level, str]]:
    """How often each level was given each verdict."""
    counts: Counter[tuple[Level, str]] = Counter()
    for seed in seeds:
        sample, _ = maker.draw(seed, fine_crops=0)
        counts.update(verdicts(engine.segment(as_volume(sample)), true_centres(sample)).items())
    return counts


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("body", choices=sorted(MAPS))
    parser.add_argument("--weights", type=Path, default=FOLDER)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--seed", type=int, default=800_000)
    arguments = parser.parse_args()
    seen = trained_on(arguments.weights)
    known = "not known" if seen is None else "yes" if arguments.body in seen else "no"
    engine = VertebraNetwork(fine=False, folder=arguments.weights, belief=Belief())
    maker = Synthesiser(verse_atlas(arguments.data, arguments.body))
    counts = judge(engine, maker, range(arguments.seed, arguments.seed + arguments.count))
    kinds = ("right", "doubted, right", "doubted, wrong", "wrong", "missed")
    print(f"{arguments.count} synthetic CTs of {arguments.body}; trained on it: {known}")
    print(f"| level | {' | '.join(kinds)} |\n|---|{'---|' * len(kinds)}")
    for level in [level for level in TRAINED if any(found is level for found, _ in counts)]:
        print(f"| {level} | {' | '.join(str(counts[level, kind]) for kind in kinds)} |")


if __name__ == "__main__":
    main()
