"""How hollow the vertebrae of real people are: Hm over the mean of Ha and Hp, T4-L4, on four real CTs.

    python -m evidence.real.ratios

It is where ``operators.fractures.expectation.CONCAVITY`` comes from. The masks are the built-in engine's.
lumbar_3mm is left out: its slices are too thick to place Hm.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from models.engines.registry import ENGINES
from models.vertebrae.evaluation.references import read_reference
from operators.fractures.detect import detect_fractures
from operators.fractures.results import HEIGHTS, Heights
from operators.reading.quantity import Measured
from operators.reading.vertebra import Vertebra
from operators.terms.levels import GRADED
from tests.operators.measured_case import case_of

DATA = Path(os.environ.get("OSTEON_DATA", Path(__file__).parents[3] / "shared" / "data"))
NAMES = ("thorax_1p5mm", "chest_2p5mm", "s0015", "s0029")


def hollowness(vertebra: Vertebra) -> float | None:
    """Hm over the mean of Ha and Hp; None where the vertebra was not measured or is not graded."""
    heights = vertebra.of(HEIGHTS)
    if vertebra.level not in GRADED or not isinstance(heights, Heights):
        return None
    three = (heights.anterior, heights.middle, heights.posterior)
    values = [quantity.value for quantity in three if isinstance(quantity, Measured)]
    return 2 * values[1] / (values[0] + values[2]) if len(values) == 3 else None


def main() -> None:
    """Print the median and quartiles for every body, and for all of them together."""
    everything: list[float] = []
    for name in NAMES:
        volume = read_reference(DATA, name).volume
        segmentation = ENGINES.get("osteon").segment(volume)
        case = detect_fractures(case_of(volume, segmentation, slice_thickness=float(max(volume.spacing))))
        own = [value for v in case.reading.vertebrae if (value := hollowness(v)) is not None]
        everything += own
        print(f"{name:14} {len(own):3} vertebrae, median {np.median(own):.3f}", flush=True)
    low, middle, high = np.percentile(everything, [25, 50, 75])
    print(f"{'all':14} {len(everything):3} vertebrae, median {middle:.3f}, quartiles {low:.3f} and {high:.3f}")


if __name__ == "__main__":
    main()
