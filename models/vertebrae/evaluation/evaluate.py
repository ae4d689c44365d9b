"""Judge the engine on CTs that it was not trained on, and write the table of the model card.

python -m models.vertebrae.evaluation.evaluate DATA [--weights FOLDER …] [--strata] [--crops 200] [--out table.json]

The table of outlines and names is that of the CTs as they are; ``--strata`` adds thick slices, noise and a
narrow field of view, ``--crops`` random short fields of view and how far the confidence can be believed.

The first line says which bodies the weights were trained on, and the table marks a CT that is one of them: its
figures say how well it was learnt, not how well others are read. Weights that left bodies out are made by training
on a pool without them, with the pool's own list beside the weights. Of several weights each CT is judged by the
first that has not seen it, so that folds that leave out each CT once judge all:

    python -m models.vertebrae.training.pool DATA POOL --without chest_2p5mm
    …train both stages on POOL, export them to FOLD1…
    cp POOL/data.json FOLD1
    python -m models.vertebrae.evaluation.evaluate DATA --weights FOLD1 FOLD2
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from scipy.optimize import linear_sum_assignment

from models.anatomy import Level, Region
from models.engine import SpineSegmentation, VertebraEngine
from models.vertebrae.belief import DOUBTED_BELOW, Belief
from models.vertebrae.evaluation.agreement import dice, dice_half_a_slice_away, leak, share_within, surface_distances
from models.vertebrae.evaluation.calibration import Claims, left_out, reliability
from models.vertebrae.evaluation.judges import Judges
from models.vertebrae.evaluation.references import JUDGED, Reference, read_reference, trained_on
from models.vertebrae.evaluation.strata import STRATA
from models.vertebrae.weights import FOLDER

NEAR = 15.0
"""Distance in mm within which a found centre belongs to a true one."""


@dataclass
class Row:
    """What the engine did on one CT.

    Attributes:
        name: Which CT.
        wanted: Vertebrae with a known centre.
        found: Those with an instance near it.
        named: Those whose instance has the right name.
        wrong: Found under a wrong name, as ``truth→name``.
        extra: Instances that belong to no known centre, by name.
        error_mm: Mean distance of the centres of those found.
        numbering: How sure the engine was.
        margin: Its margin.
        whole_dice: Level to Dice of the whole vertebra.
        body_dice: Level to Dice of the body.
        whole_yardstick: Level to Dice of the reference's whole vertebra with itself, moved by half a slice.
        body_yardstick: The same of the body.
        surface_mm: Level to mean distance of the surfaces of the whole vertebra.
        surface_95_mm: Level to the 95th percentile of these distances.
        leak: Share of all outlines outside the reference's bones, and farther than 2 mm from them.
        into_organs: Share of all outlines within the vessels and organs of the reference.
        seconds: Wall clock of ``segment``.
        peak_gib: Peak memory of this process until then.
        claims: Confidence of every found vertebra, and whether it was one of this name.
        trained_on: Whether the weights have seen this body; None where that is not known.
    """

    name: str
    wanted: int = 0
    found: int = 0
    named: int = 0
    wrong: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    error_mm: float = float("nan")
    numbering: str = ""
    margin: float = 0.0
    whole_dice: dict[str, float] = field(default_factory=dict)
    body_dice: dict[str, float] = field(default_factory=dict)
    whole_yardstick: dict[str, float] = field(default_factory=dict)
    body_yardstick: dict[str, float] = field(default_factory=dict)
    surface_mm: dict[str, float] = field(default_factory=dict)
    surface_95_mm: dict[str, float] = field(default_factory=dict)
    leak: tuple[float, float] | None = None
    into_organs: float | None = None
    claims: list[tuple[float, bool]] = field(default_factory=list)
    seconds: float = 0.0
    peak_gib: float = 0.0
    trained_on: bool | None = None


def match(reference: Reference, result: SpineSegmentation, row: Row) -> None:
    """Fill in which of the true centres were found and named."""
    centres = np.array([vertebra.centroid for vertebra in result.vertebrae]).reshape(-1, 3)
    known = np.array(list(reference.centres.values())).reshape(-1, 3)
    row.wanted = len(known)
    distances = np.linalg.norm(known[:, None] - centres[None], axis=2)
    # One to one: what lies between two known vertebrae is one of them at most.
    pairs = linear_sum_assignment(np.where(distances <= NEAR, distances, 1e6))
    errors, used = [], set()
    for place, instance in zip(*pairs, strict=True):
        if distances[place, instance] > NEAR:
            continue
        level = list(reference.centres)[place]
        used.add(int(instance))
        row.found += 1
        errors.append(float(distances[place, instance]))
        given = result.vertebrae[instance].level
        row.claims.append((result.vertebrae[instance].confidence, given is level))
        if given is level:
            row.named += 1
        else:
            row.wrong.append(f"{level}→{given}")
    row.extra = [str(v.level) for i, v in enumerate(result.vertebrae) if i not in used]
    row.error_mm = float(np.mean(errors)) if errors else float("nan")
    row.numbering, row.margin = str(result.numbering), result.margin


def judge(engine: VertebraEngine, reference: Reference) -> Row:
    """Run the engine on one CT and compare."""
    row = Row(reference.name)
    started = time.perf_counter()
    result = engine.segment(reference.volume)
    row.seconds = time.perf_counter() - started
    row.peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    match(reference, result, row)
    for level, mask in reference.labels.items():
        if level not in reference.centres:
            continue
        # By place, not by name: outlines and names are judged apart.
        counts = np.bincount(result.labels.array[mask], minlength=2)
        own = result.labels.array == int(counts[1:].argmax()) + 1
        row.whole_dice[str(level)] = dice(own, mask)
        row.whole_yardstick[str(level)] = dice_half_a_slice_away(mask, _spacing(reference))
        if own.any():
            distances = surface_distances(own, mask, _spacing(reference))
            row.surface_mm[str(level)] = float(distances.mean())
            row.surface_95_mm[str(level)] = float(np.percentile(distances, 95))
        if reference.bodies is not None and np.any(reference.bodies & mask):
            body = own & np.isin(result.regions.array, (int(Region.BODY), int(Region.SACRUM)))
            row.body_dice[str(level)] = dice(body, mask & reference.bodies)
            row.body_yardstick[str(level)] = dice_half_a_slice_away(mask & reference.bodies, _spacing(reference))
    if reference.bones is not None:
        row.leak = leak(np.asarray(result.labels.array > 0), reference.bones, _spacing(reference))
    if reference.organs is not None:
        row.into_organs = share_within(np.asarray(result.labels.array > 0), reference.organs)
    return row


def _spacing(reference: Reference) -> tuple[float, float, float]:
    first, second, third = reference.volume.spacing
    return float(first), float(second), float(third)


@dataclass
class CropCount:
    """What became of random short fields of view.

    Attributes:
        right: All named right and not doubted.
        withheld: With a doubted name, or with a vertebra not found, and none wrong and not doubted.
        wrong: With a name that is wrong and not doubted.
        failures: A line for each that is not right.
        claims: Of every vertebra: body, confidence, whether the name was right.
        best_right, alternative_right: Of the withheld, those whose first or whose second hypothesis is right.
    """

    right: int = 0
    withheld: int = 0
    wrong: int = 0
    failures: list[str] = field(default_factory=list)
    claims: list[tuple[str, float, bool]] = field(default_factory=list)
    alternative_right: int = 0
    best_right: int = 0


def random_crop(reference: Reference, rng: np.random.Generator, most: int = 7) -> tuple[hd.Volume, list[Level]]:
    """A part of the volume along the body with three known vertebrae or more whole in it.

    Args:
        reference: The CT.
        rng: What draws the part.
        most: Most vertebrae.

    Returns:
        The part, and the vertebrae whose centres lie at least 10 mm within it.
    """
    turned = reference.volume.to_patient_orientation("HPL")
    order = sorted(reference.centres, key=lambda level: -reference.centres[level][2])
    count = int(rng.integers(3, min(most, len(order)) + 1))
    first = int(rng.integers(0, len(order) - count + 1))
    top = reference.centres[order[first]][2] + rng.uniform(16.0, 28.0)
    bottom = reference.centres[order[first + count - 1]][2] - rng.uniform(16.0, 28.0)
    rows = turned.affine[2, 3] + turned.affine[2, 0] * np.arange(turned.spatial_shape[0])
    inside = np.flatnonzero((rows >= bottom) & (rows <= top))
    part = turned[int(inside[0]) : int(inside[-1]) + 1]
    within = [level for level in order if bottom + 10.0 < reference.centres[level][2] < top - 10.0]
    return part, within


def _second_is_right(centres: dict[Level, tuple[float, float, float]], result: SpineSegmentation) -> bool:
    """Whether every known vertebra has its true name under the second hypothesis."""
    places = np.array([vertebra.centroid for vertebra in result.vertebrae]).reshape(-1, 3)
    for level, centre in centres.items():
        distances = np.linalg.norm(places - np.array(centre), axis=1)
        nearest = int(distances.argmin())
        if distances[nearest] > NEAR or result.vertebrae[nearest].alternative is not level:
            return False
    return True


def judge_crops(
    engine_for: Callable[[str], VertebraEngine], references: list[Reference], count: int, seed: int
) -> CropCount:
    """Run the engine that belongs to each CT on random crops and count those named right, withheld and wrong."""
    rng = np.random.default_rng(seed)
    total = CropCount()
    for _ in range(count):
        reference = references[int(rng.integers(len(references)))]
        part, within = random_crop(reference, rng)
        result = engine_for(reference.name).segment(part)
        row = Row(reference.name)
        centres = {level: reference.centres[level] for level in within}
        match(Reference(reference.name, part, centres, {}, None), result, row)
        total.claims.extend((reference.name, confidence, right) for confidence, right in row.claims)
        doubted = [confidence < DOUBTED_BELOW for confidence, _ in row.claims]
        if any(not right and confidence >= DOUBTED_BELOW for confidence, right in row.claims):
            total.wrong += 1
        elif any(doubted) or row.found < row.wanted:
            total.withheld += 1
        else:
            total.right += 1
            continue
        if any(doubted):
            total.best_right += not row.wrong and row.found == row.wanted
            total.alternative_right += bool(row.wrong) and _second_is_right(centres, result)
        text = f"{reference.name} {within[0]}–{within[-1]}: {row.numbering} {row.margin:.1f}"
        total.failures.append(f"{text}, {row.found}/{row.wanted} found, wrong {', '.join(row.wrong) or 'none'}")
    return total


def _mean(values: dict[str, float], digits: int = 3) -> str:
    return f"{np.mean(list(values.values())):.{digits}f}" if values else "–"


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| CT | found | named | centre error mm | whole Dice | body Dice | surface mm (95 %) | leak (> 2 mm) "
        "| into organs | numbering | margin | s | GiB |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        surface = f"{_mean(row.surface_mm, 2)} ({_mean(row.surface_95_mm, 1)})" if row.surface_mm else "–"
        leaks = f"{100 * row.leak[0]:.1f} % ({100 * row.leak[1]:.1f} %)" if row.leak else "–"
        organs = "–" if row.into_organs is None else f"{100 * row.into_organs:.2f} %"
        lines.append(
            f"| {row.name}{' (trained on)' if row.trained_on else ''} | {row.found}/{row.wanted} "
            f"| {row.named}/{row.wanted} | {row.error_mm:.1f} | {_mean(row.whole_dice)} | {_mean(row.body_dice)} "
            f"| {surface} | {leaks} | {organs} | {row.numbering} | {row.margin:.1f} "
            f"| {row.seconds:.1f} | {row.peak_gib:.2f} |"
        )
    return "\n".join(lines)


def level_table(row: Row) -> str:
    """Dice and surface distance by level as Markdown, and what the reference keeps when it moves by half a slice."""
    levels = list(row.whole_dice)
    lines = [f"| {row.name} | " + " | ".join(levels) + " |", "|---" * (len(levels) + 1) + "|"]
    parts = (
        ("whole", row.whole_dice, 3),
        ("body", row.body_dice, 3),
        ("surface mm", row.surface_mm, 2),
        ("half a slice, whole", row.whole_yardstick, 3),
        ("half a slice, body", row.body_yardstick, 3),
    )
    for name, values, digits in parts:
        cells = [f"{values[level]:.{digits}f}" if level in values else "–" for level in levels]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def as_claims(crops: CropCount) -> Claims:
    """The claims of all crops, in columns."""
    bodies, scores, right = zip(*crops.claims, strict=True)
    return Claims(np.array(bodies), np.array(scores), np.array(right))


def report_crops(crops: CropCount) -> str:
    """What became of the crops, and how far the confidence can be believed."""
    claims = as_claims(crops)
    stated = reliability(Belief.load().names.of(claims.scores), claims.right)
    fitted = reliability(left_out(claims), claims.right)
    return "\n".join(
        [
            f"crops: right {crops.right}, withheld {crops.withheld} (first hypothesis right {crops.best_right}, "
            f"second {crops.alternative_right}), wrong and not withheld {crops.wrong}",
            f"confidence of {stated.count} vertebrae, {100 * claims.right.mean():.0f} % right: as stated Brier "
            f"{stated.brier:.3f}, calibration error {stated.error:.3f}; refitted with each body left out Brier "
            f"{fitted.brier:.3f}, calibration error {fitted.error:.3f}",
            *crops.failures,
        ]
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--ct", nargs="*", default=list(JUDGED))
    parser.add_argument("--weights", type=Path, nargs="+", default=[FOLDER])
    parser.add_argument("--strata", action="store_true")
    parser.add_argument("--crops", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--coarse-only", action="store_true")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def main() -> None:
    """Command line."""
    arguments = _arguments()
    judges = Judges(arguments.weights, not arguments.coarse_only, Belief())
    references = [read_reference(arguments.data, name) for name in arguments.ct]
    print(*judges.described(arguments.ct), sep="\n")
    rows = []
    for change in [None, *(STRATA if arguments.strata else ())]:
        for reference in references:
            changed = reference if change is None else STRATA[change](reference)
            row = judge(judges.engine(reference.name), changed)
            row.name = reference.name if change is None else f"{reference.name}, {change}"
            row.trained_on = judges.seen(reference.name)
            rows.append(row)
    print(table(rows))
    for row in rows:
        if row.wrong or row.extra:
            print(f"{row.name}: wrong {row.wrong}, beyond the known ones {row.extra}")
        if row.whole_dice:
            print("", level_table(row), sep="\n")
    weights = {str(folder): trained_on(folder) for folder in arguments.weights}
    answer: dict[str, Any] = {"weights": weights, "rows": [asdict(row) for row in rows]}
    if arguments.crops:
        crops = judge_crops(judges.engine, references, arguments.crops, arguments.seed)
        answer["crops"] = asdict(crops)
        print(report_crops(crops))
    if arguments.out:
        arguments.out.write_text(json.dumps(answer, indent=1))


if __name__ == "__main__":
    main()
