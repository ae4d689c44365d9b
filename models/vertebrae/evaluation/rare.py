"""What the engine makes of spines with a vertebra more or less, drawn with everything that fixes the names in view.

python -m models.vertebrae.evaluation.rare DATA CACHE --count 24

The bodies are those that the networks were trained on, so this judges the counting and not the outlines.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np

from models.anatomy import Level
from models.engine import Numbering, VertebraEngine
from models.vertebrae.engine import VertebraNetwork
from models.vertebrae.network import COARSE_SPACING
from models.vertebrae.training.atlas import SPACING, Atlas, prepare_atlases
from models.vertebrae.training.deformation import GRID_STEP, FieldOfView
from models.vertebrae.training.pool import LABEL_MAPS
from models.vertebrae.training.synthesis import Synthesiser
from models.vertebrae.training.transition import Transition, make_transition

T12, L1 = 18, 19
WIDTH, DEPTH = 320.0, 240.0
"""Field of view around the spine, mm."""


@dataclass(frozen=True)
class RareSpine:
    """One synthetic CT.

    Attributes:
        volume: HU at 3 mm.
        kind: ``13 thoracic``, ``11 thoracic``, ``6 lumbar``, ``4 lumbar`` or ``usual``.
    """

    volume: hd.Volume
    kind: str


def whole_view(spine: np.ndarray, size: tuple[float, ...]) -> FieldOfView:
    """A field of view over the whole atlas along the body."""
    extent = (min(size[0] - 5.0, 560.0), DEPTH, WIDTH)
    shape = [int(np.ceil(mm / SPACING / GRID_STEP)) * GRID_STEP for mm in extent]
    middle = spine.mean(axis=0)
    return FieldOfView((shape[0], shape[1], shape[2]), (0.5 * size[0], float(middle[1]), float(middle[2])))


def draw(maker: Synthesiser, seed: int) -> RareSpine:
    """A spine with a vertebra more or less, every third one as usual; lumbar spine and sacrum in view."""
    rng = np.random.default_rng((seed, 3))
    levels = maker.atlas.levels_present
    transition: Transition | None = None
    kind = "usual"
    if seed % 3:
        wanted = [i for i in range(1, len(levels) - 1) if levels[i] in (17, 18, 20, 21, 22)]
        chosen, twice = int(rng.choice(wanted)), bool(rng.random() < 0.6)
        transition = make_transition(maker.spine, chosen, twice)
        thoracic = levels[chosen] <= T12
        kind = f"{(13 if twice else 11) if thoracic else (6 if twice else 4)} {'thoracic' if thoracic else 'lumbar'}"
    size = tuple(n * SPACING for n in maker.shape)
    sample, _ = maker.draw(seed, fine_crops=0, view=whole_view(maker.spine, size), transition=transition)
    # Axes towards the head, the back and the left: in LPS those are +z, +y and +x.
    affine = np.zeros((4, 4))
    affine[2, 0] = affine[1, 1] = affine[0, 2] = COARSE_SPACING
    affine[3, 3] = 1.0
    return RareSpine(hd.Volume(sample.hu.numpy(), affine, coordinate_system="PATIENT"), kind)


def verdict(engine: VertebraEngine, spine: RareSpine) -> str:
    """``counted``, ``withheld``, or ``silent``: usual names, not called ambiguous, for a rare spine."""
    result = engine.segment(spine.volume)
    names = {vertebra.level for vertebra in result.vertebrae}
    rare = bool(names & {Level.T13, Level.L6})
    ambiguous = result.numbering in (Numbering.AMBIGUOUS, Numbering.NONE)
    if spine.kind == "usual":
        return "withheld" if ambiguous else "named"
    if ambiguous:
        return "withheld, and counted" if rare else "withheld"
    return "silent"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=900_000)
    arguments = parser.parse_args()
    engine = VertebraNetwork(fine=False)
    makers = [
        Synthesiser(Atlas.load(path)) for path in prepare_atlases(arguments.data, arguments.cache, LABEL_MAPS, ())
    ]
    counts: Counter[tuple[str, str]] = Counter()
    for number in range(arguments.count):
        spine = draw(makers[number % len(makers)], arguments.seed + number)
        counts[spine.kind, verdict(engine, spine)] += 1
    print("| spine | verdict | CTs |\n|---|---|---|")
    for (kind, said), count in sorted(counts.items()):
        print(f"| {kind} | {said} | {count} |")


if __name__ == "__main__":
    main()
