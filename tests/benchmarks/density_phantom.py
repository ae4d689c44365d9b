"""Trabecular HU on random digital spines, with the spongiosa's texture and without it.

    python -m tests.benchmarks.density_phantom --spines 16

A spine's truth is the mean of its whole spongiosa. Texture makes every part of it a sample: the same spine drawn
without texture (``plain``) shows what is left for the region itself, that is partial volume, veins and noise.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from operators.measure_bone_density import measure_bone_density
from operators.reading import Density, Measured
from tests.benchmarks.evidence import table
from tests.benchmarks.random_spines import Trial, random_spine
from tests.operators.measured_case import phantom_case

BANDS = ((0.0, 1.5), (1.5, 2.5), (2.5, 3.0), (3.0, 5.0))
FIRST = 100
FIELD_MM = (135.0, 190.0)
"""Width and height of the slices."""


@dataclass(frozen=True)
class Row:
    """One complete vertebra.

    Attributes:
        plain: Whether it was drawn without texture.
        slices: Spacing, mm.
        error: Measured less true mean, HU; None where it is withheld.
        half_width: Of the stated 95 % interval, HU.
        volume: Of the region, cm3.
    """

    plain: bool
    slices: float
    error: float | None
    half_width: float = 0.0
    volume: float = 0.0


def measured(seed: int, plain: bool) -> list[Row]:
    """Measure one spine."""
    spine = random_spine(Trial(seed))
    parameters = replace(spine.parameters, texture=0.0) if plain else spine.parameters
    phantom = parameters.build(spine.pixel, spine.spacing, field_of_view=FIELD_MM)
    truth = {vertebra.number: vertebra.trabecular_hu for vertebra in phantom.vertebrae}
    rows = []
    for vertebra in measure_bone_density(phantom_case(phantom)).reading.vertebrae:
        density = vertebra.density
        if not vertebra.complete:
            continue
        if isinstance(density, Density) and isinstance(density.mean, Measured) and isinstance(density.volume, Measured):
            error = density.mean.value - truth[vertebra.number]
            rows.append(Row(plain, spine.spacing, error, density.mean.uncertainty or 0.0, density.volume.value))
        else:
            rows.append(Row(plain, spine.spacing, None))
    return rows


def report(rows: Sequence[Row]) -> str:
    """A Markdown table by texture and slice spacing."""
    lines = []
    for plain in (False, True):
        for low, high in BANDS:
            band = [row for row in rows if row.plain == plain and low < row.slices <= high]
            given = [row for row in band if row.error is not None]
            if not given:
                continue
            error = np.array([row.error for row in given], dtype=float)
            half = np.array([row.half_width for row in given])
            lines.append(
                (
                    f"{'plain' if plain else 'textured'}, slices to {high:g} mm",
                    f"{len(given)} of {len(band)}",
                    f"{np.median(np.abs(error)):.2f}",
                    f"{np.percentile(np.abs(error), 95):.2f}",
                    f"{error.mean():+.2f}",
                    f"{np.median(half):.1f}",
                    f"{100 * np.mean(np.abs(error) <= half):.0f} %",
                    f"{np.median([row.volume for row in given]):.1f}",
                )
            )
    head = ("spines", "given", "error median", "95 %", "bias", "stated ±", "within it", "cm3")
    return table(head, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--spines", type=int, default=16)
    given = parser.parse_args()
    rows = [
        row for seed in range(FIRST, FIRST + given.spines) for plain in (False, True) for row in measured(seed, plain)
    ]
    print(report(rows))


if __name__ == "__main__":
    main()
