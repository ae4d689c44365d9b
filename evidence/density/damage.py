"""Vertebrae that Osteon leaves out, on phantoms: what it says of them and what number the rival's rules give.

The truth is the spongiosa as it was before the damage. A fractured body is drawn with the bone that it had: the
mean of its spongiosa grows by what its volume loses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from evidence.density.rival import ball, cylinder, mean_hu
from evidence.evidence import table
from models.anatomy import Level
from operators.density.measure import measure_bone_density
from operators.density.results import DENSITY, Density
from operators.fractures.detect import detect_fractures
from operators.fractures.results import Shape
from operators.reading.quantity import Measured, Withheld
from operators.reading.vertebra import Vertebra
from tests.operators.measured_case import phantom_case
from tests.phantoms.anatomy.column import Curves
from tests.phantoms.damage import broken, with_cement, with_screws
from tests.phantoms.lesions import with_focus, with_haemangioma, with_schmorl_node
from tests.phantoms.lookalikes import with_bone_bridge, with_metastasis
from tests.phantoms.spine import Pose, SpinePhantom
from tests.phantoms.truth import Phantom

ILL = Level.L2
SEEDS = (4, 5, 6)
FIELD_MM = (130.0, 150.0)

Damage = Callable[[Phantom], Phantom]
DAMAGES: tuple[tuple[str, Damage], ...] = (
    ("none", lambda p: p),
    ("cement", lambda p: with_cement(p, ILL)),
    ("cement in the level below", lambda p: with_cement(p, Level.L3)),
    ("pedicle screws in the level below", lambda p: with_screws(p, [Level.L3])),
    ("haemangioma", lambda p: with_haemangioma(p, ILL)),
    ("lytic metastasis", lambda p: with_metastasis(p, ILL, -20.0)),
    ("sclerotic metastasis", lambda p: with_metastasis(p, ILL, 400.0)),
    ("lytic focus, 14 mm", lambda p: with_focus(p, ILL, 7.0, 20.0)),
    ("lytic focus, 8 mm", lambda p: with_focus(p, ILL, 4.0, 20.0)),
    ("sclerotic focus, 14 mm", lambda p: with_focus(p, ILL, 7.0, 330.0)),
    ("bone island, 9 mm", lambda p: with_focus(p, ILL, 4.5, 700.0)),
    ("bone island, 5 mm", lambda p: with_focus(p, ILL, 2.5, 700.0)),
    ("bone island, 9 mm, near the endplate", lambda p: with_focus(p, ILL, 4.5, 700.0, (4.0, 2.0, 7.0))),
    ("Schmorl node, outlined", lambda p: with_schmorl_node(p, ILL)),
    ("Schmorl node, mask across it", lambda p: with_schmorl_node(p, ILL, outlined=False)),
    ("bone bridge in front (DISH)", lambda p: with_bone_bridge(p, ILL, Level.L3)),
)
"""What is painted over a sound spine."""
FRACTURES = ((Shape.WEDGE, 0.30), (Shape.BICONCAVE, 0.35), (Shape.CRUSH, 0.40))


@dataclass(frozen=True)
class Outcome:
    """One damaged vertebra.

    Attributes:
        damage: What was done.
        osteon: Measured less true HU; None where it is withheld.
        code: Why it is withheld; empty where it is not.
        cylinder, ball: The rival's less true HU; None where there is no figure.
    """

    damage: str
    osteon: float | None
    code: str
    cylinder: float | None
    ball: float | None


def outcomes(seed: int) -> Iterator[Outcome]:
    """Every damage of one spine: upright with an even, leaning and scoliotic with an odd seed."""
    spine = SpinePhantom(levels=(Level.T12, Level.L3), noise=12.0, seed=seed, table=False)
    if seed % 2:
        spine = replace(
            spine, curves=Curves(scoliosis=30.0, apex=ILL, rotation=8.0), pose=Pose(rotation=(8.0, 6.0, 5.0))
        )
    sound = spine.build(0.9, 1.5, field_of_view=FIELD_MM)
    truth = sound.vertebra(ILL).trabecular_hu
    for name, damage in DAMAGES:
        yield _outcome(name, damage(sound), truth)
    for shape, loss in FRACTURES:
        name = f"{shape.value} fracture, {100 * loss:.0f} %"
        yield _outcome(name, _fractured(spine, shape, loss, truth).build(0.9, 1.5, field_of_view=FIELD_MM), truth)


def _fractured(spine: SpinePhantom, shape: Shape, loss: float, truth: float) -> SpinePhantom:
    """The spine with one fracture whose spongiosa holds the mineral that it held before."""
    fractured = broken(spine, ILL, shape, loss)
    before, after = spine.unbroken(ILL), fractured.fractures[ILL].applied(spine.unbroken(ILL))
    heights = [np.mean([s.anterior, s.middle, s.posterior]) for s in (before, after)]
    return replace(fractured, trabecular={**spine.trabecular, ILL: truth * float(heights[0] / heights[1])})


def _outcome(name: str, phantom: Phantom, truth: float) -> Outcome:
    case = measure_bone_density(detect_fractures(phantom_case(phantom)))
    number = phantom.vertebra(ILL).number
    vertebra = next(v for v in case.reading.vertebrae if v.number == number)
    own = phantom.labels.array == number
    value, code = given(vertebra)
    figures = [mean_hu(phantom.volume, own, rule) for rule in (cylinder, ball)]
    return Outcome(
        name,
        None if value is None else value - truth,
        code,
        *(None if figure is None else figure - truth for figure in figures),
    )


def given(vertebra: Vertebra) -> tuple[float | None, str]:
    """Mean HU of a vertebra and an empty text, or None and why it is withheld."""
    density = vertebra.of(DENSITY)
    if isinstance(density, Density) and isinstance(density.mean, Measured):
        return density.mean.value, ""
    return None, density.code if isinstance(density, Withheld) else "not measured"


def report(rows: list[Outcome]) -> str:
    """One line per damage: largest error of every rule, and what Osteon did."""
    lines = []
    for name in dict.fromkeys(row.damage for row in rows):
        own = [row for row in rows if row.damage == name]
        codes = sorted({row.code for row in own if row.code})
        lines.append(
            (
                name,
                f"{sum(bool(row.code) for row in own)} of {len(own)}",
                ", ".join(f"`{code}`" for code in codes) or "–",
                _range([row.osteon for row in own]),
                _range([row.cylinder for row in own]),
                _range([row.ball for row in own]),
            )
        )
    header = (
        "damage of L2", "withheld by Osteon", "as", "error where Osteon gives HU", "Comp2Comp's cylinder", "its ball",
    )  # fmt: skip
    return table(header, lines)


def _range(values: list[float | None]) -> str:
    known = sorted(value for value in values if value is not None)
    if not known:
        return "–" if values else ""
    none = f" ({len(values) - len(known)} without)" if len(known) < len(values) else ""
    return f"{known[0]:+.0f} … {known[-1]:+.0f}{none}"
