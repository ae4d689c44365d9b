"""Which fractures and which intact spines are simulated, and what both methods say of each."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evidence.evidence import Row
from evidence.fractures.anatomies import LABEL_MAPS, Anatomy
from evidence.fractures.collapse import Bent, Collapse, Hinge, hinge_between, rotation, true_heights
from evidence.fractures.rescan import Scan, Scanned, scanned
from evidence.fractures.rival import least_ratios, ratio
from models.anatomy import Level
from operators.fractures.detect import detect_fractures
from operators.fractures.grading import grade_of
from operators.fractures.results import DEFORMITY, Deformity, Shape
from operators.reading.quantity import Measured
from operators.reading.vertebra import Vertebra
from operators.terms.levels import GRADED
from tests.operators.measured_case import case_of

AIMED = {1: (0.20, 0.25), 2: (0.25, 0.40), 3: (0.40, 0.55)}
NATURAL_RATIO, NATURAL_HOLLOW = 0.80, 0.75
"""A body that is lower than this in front, behind or in the middle before anything is done to it is not known to
be intact: it is neither broken nor counted as a control, by the mask alone and before anything is measured."""
NATIVE = {"lumbar_3mm": (1.5, 3.0), "chest_2p5mm": (0.8, 2.5), "l3_crop": (0.8, 1.5)}
"""Pixel and slice spacing at which the CTs are scanned anew when thin; label maps take 1 mm."""
THICK_MM = 5.0


@dataclass(frozen=True)
class Plan:
    """One spine to simulate.

    Attributes:
        name: The anatomy.
        level: The vertebra in the middle of the view; the broken one, if ``shape`` is given.
        shape, grade: What is simulated; None for an intact spine.
        thick: True for slices of 5 mm.
        seed: Decides everything else.
    """

    name: str
    level: Level
    shape: Shape | None
    grade: int
    thick: bool
    seed: int

    @property
    def key(self) -> str:
        """Names the case in the row file."""
        what = f"{self.shape.value}{self.grade}" if self.shape else "intact"
        return f"{self.name}-{self.level.value}-{what}-{'thick' if self.thick else 'thin'}-{self.seed}"


def sound(anatomy: Anatomy) -> dict[Level, tuple[float, float, float]]:
    """True heights of the graded levels that can be called intact before anything is done to them."""
    found = {}
    for level in anatomy.usable():
        if level not in GRADED:
            continue
        heights = _heights(anatomy, level)
        if heights is None:
            continue
        front, middle, back = heights
        taller = max(front, back)
        if min(front, back) / taller >= NATURAL_RATIO and NATURAL_HOLLOW <= middle / taller <= 1.05:
            found[level] = heights
    return found


def plans(anatomies: Mapping[str, Anatomy], rounds: int) -> list[Plan]:
    """All spines: every sound vertebra broken in each shape, and as many intact views, in a mixed order."""
    found: list[Plan] = []
    for name, anatomy in anatomies.items():
        for place, level in enumerate(sound(anatomy)):
            for turn in range(rounds):
                for index, shape in enumerate(Shape):
                    seed = 100 * turn + index
                    # Without neighbours nothing tells a crushed body from a small one.
                    if shape is Shape.CRUSH and len(anatomy.stands) < 3:
                        continue
                    grade = 1 + (place + index + turn) % 3
                    found.append(Plan(name, level, shape, grade, bool((place + turn + index // 2) % 2), seed))
                found.append(Plan(name, level, None, 0, bool((place + turn) % 2), 100 * turn + 50))
    return [found[index] for index in np.random.default_rng(4).permutation(len(found))]


def simulated(plan: Plan, anatomy: Anatomy, intact: Sequence[Level]) -> tuple[Scanned, Row]:
    """The scanned spine of a plan, and its row without what the methods say.

    Args:
        plan: What to simulate.
        anatomy: The body.
        intact: Its levels that can be called intact, from :func:`sound`.
    """
    rng = np.random.default_rng([plan.seed, plan.level.rank, _place(plan.name), plan.grade, plan.thick])
    shown = view(anatomy, plan.level)
    collapse = _collapse(plan, anatomy, rng)
    scale = float(rng.uniform(0.92, 1.08))
    pose = rotation((float(rng.uniform(-12, 12)), float(rng.uniform(-8, 8)), float(rng.uniform(-8, 8))))
    bent = Bent(scale * pose, anatomy.stands[plan.level].origin, tuple(_hinges(anatomy, shown, rng)), collapse)
    pixel, spacing = NATIVE.get(plan.name, (0.8, 1.0))
    drawn = anatomy.drawn
    how = Scan(
        pixel=pixel,
        spacing=THICK_MM if plan.thick else spacing,
        blur=float(rng.uniform(0.7, 1.1)) if drawn else 0.0,
        noise=float(rng.uniform(8, 28)) if drawn else 0.0,
        seed=int(rng.integers(0, 2**31)),
    )
    losses = _losses(anatomy, bent, plan.level)
    row: Row = {
        "key": plan.key,
        "name": plan.name,
        "level": plan.level.value,
        "shape": plan.shape.value if plan.shape else None,
        "slices": how.spacing,
        "losses": losses,
        "grade": None if losses is None else grade_of(max(losses)) if plan.shape else 0,
        "sound": [x.value for x in intact],
        "sclerosis": 0.0 if collapse is None else round(collapse.sclerosis),
    }
    return scanned(anatomy, bent, shown, how), row


def measured(plan: Plan, anatomy: Anatomy, intact: Sequence[Level]) -> Row:
    """A simulated spine through both methods; arguments as of :func:`simulated`."""
    spine, row = simulated(plan, anatomy, intact)
    started = time.process_time()
    case = detect_fractures(case_of(spine.volume, spine.segmentation, slice_thickness=row["slices"]))
    row["seconds"] = round(time.process_time() - started, 2)
    row["ours"] = {v.level.value: _ours(v) for v in case.reading.vertebrae}
    shown = {v.level for v in case.reading.vertebrae}
    chords = least_ratios(spine.bodies, spine.levels)
    row["rival"] = {x.value: round(ratio(c), 4) for x, c in chords.items() if x in shown}
    return row


def view(anatomy: Anatomy, level: Level) -> Sequence[Level]:
    """The vertebra and up to two on either side."""
    stands = sorted(anatomy.stands, key=lambda x: x.rank)
    place = stands.index(level)
    return stands[max(0, place - 2) : place + 3]


def _place(name: str) -> int:
    return sum(name.encode())


def _heights(anatomy: Anatomy, level: Level, bent: Bent | None = None) -> tuple[float, float, float] | None:
    through = None if bent is None else bent.broken_only
    return true_heights(anatomy, anatomy.stands[level], through)


def _losses(anatomy: Anatomy, bent: Bent, level: Level) -> list[float] | None:
    """Loss of Ha, Hm and Hp, found on the surface before and after."""
    before, after = _heights(anatomy, level), _heights(anatomy, level, bent)
    if before is None or after is None:
        return None
    return [round(1 - a / b, 4) for a, b in zip(after, before, strict=True)]


def _collapse(plan: Plan, anatomy: Anatomy, rng: np.random.Generator) -> Collapse | None:
    if plan.shape is None:
        return None
    low, high = AIMED[plan.grade]
    fresh = rng.random() < 0.5
    return Collapse(
        stand=anatomy.stands[plan.level],
        shape=plan.shape,
        amount=float(rng.uniform(low, high)),
        superior_share=float(rng.choice([0.5, 0.65, 1.0])),
        retropulsion=float(rng.uniform(1.5, 4.0)) if plan.grade == 3 and plan.shape is not Shape.BICONCAVE else 0.0,
        sclerosis=float(rng.uniform(60, 180)) if fresh and plan.name in LABEL_MAPS else 0.0,
        disc=4.0 if plan.level.region == "T" else 8.0,
    )


def _hinges(anatomy: Anatomy, shown: Sequence[Level], rng: np.random.Generator) -> Iterator[Hinge]:
    """The discs in view, feet first: a common bend forwards and sideways, and a little of each disc's own."""
    forward, sideways = rng.uniform(-3, 3), rng.choice([0.0, 1.0]) * rng.uniform(-4, 4)
    for lower, upper in zip(shown[::-1], shown[-2::-1], strict=False):
        turn = (forward + rng.normal(0, 1), sideways + rng.normal(0, 1), rng.normal(0, 1))
        degrees = (float(turn[0]), float(turn[1]), float(turn[2]))
        yield hinge_between(anatomy.stands[upper], anatomy.stands[lower], degrees)


def _ours(vertebra: Vertebra) -> Row | None:
    deformity = vertebra.of(DEFORMITY)
    if not isinstance(deformity, Deformity):
        return None
    loss = deformity.height_loss
    return {
        "grade": deformity.grade,
        "probability": deformity.probability,
        "loss": loss.value if isinstance(loss, Measured) else None,
        "shape": deformity.shape.value if deformity.shape else None,
        "indeterminate": deformity.indeterminate,
    }
