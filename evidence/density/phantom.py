"""Trabecular HU on random digital spines, with the spongiosa's texture and without it, beside the rival's regions.

    python -m evidence.density.phantom --spines 16

A spine's truth is the mean of its whole spongiosa. Texture makes every part of it a sample: the same spine drawn
without texture (``plain``) shows what is left for the region itself, that is partial volume, veins and noise.
Comp2Comp's two rules (:mod:`evidence.density.rival`) measure the same vertebrae with the same true masks in
the same run, and so they do where Osteon leaves a level out (:mod:`evidence.density.damage`). The tables go
into ``docs/density.md``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from evidence.density import damage as density_damage
from evidence.density.rival import LEVELS, ball, cylinder, mean_hu
from evidence.evidence import ROOT, commit, replace_marked, table
from evidence.fractures.random_spines import Trial, random_spine
from models.anatomy import Level
from operators.density.measure import measure_bone_density
from operators.density.results import DENSITY, Density
from operators.reading.quantity import Measured
from tests.operators.measured_case import phantom_case

BANDS = ((0.0, 1.5), (1.5, 2.5), (2.5, 3.0), (3.0, 5.0))
FIRST = 100
FIELD_MM = (135.0, 190.0)
"""Width and height of the slices."""
DOCUMENT = ROOT / "docs" / "density.md"
RIVALS = {"Comp2Comp's cylinder": cylinder, "its ball": ball}


@dataclass(frozen=True)
class Row:
    """One complete vertebra.

    Attributes:
        plain: Whether it was drawn without texture.
        slices: Spacing, mm.
        error: Measured less true mean, HU; None where it is withheld.
        half_width: Of the stated 95 % interval, HU.
        volume: Of the region, cm3.
        level: Its name.
        lean: Angle between its own axis and the slices' normal, degrees.
        rivals: Error of each of the rival's rules, HU; None where it gives no figure.
    """

    plain: bool
    slices: float
    error: float | None
    half_width: float = 0.0
    volume: float = 0.0
    level: Level = Level.L1
    lean: float = 0.0
    rivals: dict[str, float | None] = field(default_factory=dict)


def measured(seed: int, plain: bool) -> list[Row]:
    """Measure one spine."""
    spine = random_spine(Trial(seed))
    parameters = replace(spine.parameters, texture=0.0) if plain else spine.parameters
    phantom = parameters.build(spine.pixel, spine.spacing, field_of_view=FIELD_MM)
    truths = {vertebra.number: vertebra for vertebra in phantom.vertebrae}
    rows = []
    for vertebra in measure_bone_density(phantom_case(phantom)).reading.vertebrae:
        density, truth = vertebra.of(DENSITY), truths[vertebra.number]
        if not vertebra.complete:
            continue
        own = phantom.labels.array == vertebra.number
        figures = {name: mean_hu(phantom.volume, own, rule) for name, rule in RIVALS.items()}
        row = Row(
            plain,
            spine.spacing,
            None,
            level=truth.level,
            lean=float(np.degrees(np.arccos(min(1.0, truth.frame.axes[2, 2])))),
            rivals={name: None if f is None else f - truth.trabecular_hu for name, f in figures.items()},
        )
        if isinstance(density, Density) and isinstance(density.mean, Measured) and isinstance(density.volume, Measured):
            row = replace(
                row,
                error=density.mean.value - truth.trabecular_hu,
                half_width=density.mean.uncertainty or 0.0,
                volume=density.volume.value,
            )
        rows.append(row)
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


GROUPS: tuple[tuple[str, Callable[[Row], bool]], ...] = (
    ("all", lambda row: True),
    ("T12–L5, which the rival names", lambda row: row.level in LEVELS),
    ("T4–T11", lambda row: row.level not in LEVELS),
    ("leaning up to 10°", lambda row: row.lean <= 10),
    ("leaning 10–20°", lambda row: 10 < row.lean <= 20),
    ("leaning more than 20°", lambda row: row.lean > 20),
    ("slices to 1.5 mm", lambda row: row.slices <= 1.5),
    ("slices of 2–3 mm", lambda row: 1.5 < row.slices <= 3),
    ("slices of 4–5 mm", lambda row: row.slices > 3),
)


def _spread(errors: Sequence[float]) -> str:
    if not len(errors):
        return "–"
    absolute = np.abs(errors)
    return f"{np.median(absolute):.2f} / {np.percentile(absolute, 95):.2f} / {np.mean(errors):+.2f}"


def beside_the_rival(rows: Sequence[Row], plain: bool) -> str:
    """A Markdown table of all rules on the levels on which all of them give a figure."""
    lines = []
    for name, belongs in GROUPS:
        group = [row for row in rows if row.plain == plain and belongs(row)]
        shared = [r for r in group if r.error is not None and all(e is not None for e in r.rivals.values())]
        if not group:
            continue
        own = np.array([row.error for row in shared], dtype=float)
        rivals = {rule: np.array([row.rivals[rule] for row in shared], dtype=float) for rule in RIVALS}
        counts = [sum(row.error is not None for row in group)]
        counts += [sum(row.rivals[rule] is not None for row in group) for rule in RIVALS]
        lines.append(
            (
                name,
                f"{' / '.join(str(count) for count in counts)} of {len(group)}",
                _spread(own),
                *(_spread(errors) for errors in rivals.values()),
                " / ".join(f"{(np.abs(own) < np.abs(errors)).sum()}" for errors in rivals.values())
                + f" of {len(shared)}",
            )
        )
    header = (
        f"{'plain' if plain else 'textured'} spines", "given by Osteon / cylinder / ball", "Osteon", *RIVALS,
        "Osteon nearer than cylinder / ball",
    )  # fmt: skip
    return table(header, lines)


def whole_report(rows: Sequence[Row], damaged: list[density_damage.Outcome], spines: int) -> str:
    """All tables with what they show."""
    leaning = np.array([row.lean for row in rows])
    return "\n\n".join(
        [
            f"`python -m evidence.density.phantom --spines {spines}` (commit {commit()}): {spines} random "
            "spines (tilt, scoliosis to 40°, noise 6–30 HU, slices 0.7–5 mm), true masks; truth is the mean of the "
            "whole spongiosa. Errors in HU.",
            report(rows),
            "Beside the open rival's two rules on the same vertebrae, masks and run (Comp2Comp, written anew; versions "
            "and rules in `evidence/density/rival.py`). Errors as median / 95th percentile / bias, HU, over "
            "the levels on which all three give a figure; *leaning* is the angle between a vertebra's axis and the "
            f"slices' normal (up to {leaning.max():.0f}° here).",
            beside_the_rival(rows, plain=False),
            beside_the_rival(rows, plain=True),
            "Levels that Osteon leaves out, on "
            f"{len(density_damage.SEEDS)} spines (slices of 1.5 mm, every other one leaning and scoliotic by 30°). "
            "Least and largest error against the spongiosa before the damage, HU; a fractured body keeps its mineral. "
            "The rival leaves nothing out.",
            density_damage.report(damaged),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--spines", type=int, default=16)
    given = parser.parse_args()
    rows = [
        row for seed in range(FIRST, FIRST + given.spines) for plain in (False, True) for row in measured(seed, plain)
    ]
    damaged = [outcome for seed in density_damage.SEEDS for outcome in density_damage.outcomes(seed)]
    text = whole_report(rows, damaged, given.spines)
    print(text)
    replace_marked("density-phantom", text, DOCUMENT)


if __name__ == "__main__":
    main()
