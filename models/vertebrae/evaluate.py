"""Judge the engine on CTs that it was not trained on, and write the table of the model card.

python -m models.vertebrae.evaluate DATA [--crops 40] [--out table.json]
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import numpy.typing as npt

from models.anatomy import Level, Region
from models.engine import Numbering, SpineSegmentation, VertebraEngine
from models.vertebrae.engine import VertebraNetwork
from models.vertebrae.references import HELD_OUT, Reference, read_reference

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
        seconds: Wall clock of ``segment``.
        peak_gib: Peak memory of this process until then.
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
    seconds: float = 0.0
    peak_gib: float = 0.0


def dice(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    """Dice of two masks; 1 when both are empty."""
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 2.0 * np.count_nonzero(first & second) / total if total else 1.0


def match(reference: Reference, result: SpineSegmentation, row: Row) -> None:
    """Fill in which of the true centres were found and named."""
    centres = np.array([vertebra.centroid for vertebra in result.vertebrae]).reshape(-1, 3)
    errors, used = [], set()
    row.wanted = len(reference.centres)
    for level, centre in reference.centres.items():
        if not len(centres):
            continue
        distances = np.linalg.norm(centres - np.array(centre), axis=1)
        nearest = int(distances.argmin())
        if distances[nearest] > NEAR:
            continue
        used.add(nearest)
        row.found += 1
        errors.append(float(distances[nearest]))
        given = result.vertebrae[nearest].level
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
        if reference.bodies is not None and np.any(reference.bodies & mask):
            body = own & np.isin(result.regions.array, (int(Region.BODY), int(Region.SACRUM)))
            row.body_dice[str(level)] = dice(body, mask & reference.bodies)
    return row


@dataclass
class CropCount:
    """What became of random short fields of view."""

    right: int = 0
    withheld: int = 0
    wrong: int = 0
    failures: list[str] = field(default_factory=list)


def random_crop(reference: Reference, rng: np.random.Generator) -> tuple[hd.Volume, list[Level]]:
    """A part of the volume along the body with three to seven known vertebrae whole in it.

    Returns:
        The part, and the vertebrae whose centres lie at least 10 mm within it.
    """
    turned = reference.volume.to_patient_orientation("HPL")
    order = sorted(reference.centres, key=lambda level: -reference.centres[level][2])
    count = int(rng.integers(3, min(7, len(order)) + 1))
    first = int(rng.integers(0, len(order) - count + 1))
    top = reference.centres[order[first]][2] + rng.uniform(16.0, 28.0)
    bottom = reference.centres[order[first + count - 1]][2] - rng.uniform(16.0, 28.0)
    rows = turned.affine[2, 3] + turned.affine[2, 0] * np.arange(turned.spatial_shape[0])
    inside = np.flatnonzero((rows >= bottom) & (rows <= top))
    part = turned[int(inside[0]) : int(inside[-1]) + 1]
    within = [level for level in order if bottom + 10.0 < reference.centres[level][2] < top - 10.0]
    return part, within


def judge_crops(engine: VertebraEngine, references: list[Reference], count: int, seed: int) -> CropCount:
    """Run the engine on random crops and count those named right, withheld and wrong."""
    rng = np.random.default_rng(seed)
    total = CropCount()
    for _ in range(count):
        reference = references[int(rng.integers(len(references)))]
        part, within = random_crop(reference, rng)
        result = engine.segment(part)
        row = Row(reference.name)
        centres = {level: reference.centres[level] for level in within}
        match(Reference(reference.name, part, centres, {}, None), result, row)
        if row.wrong and result.numbering in (Numbering.AMBIGUOUS, Numbering.NONE):
            total.withheld += 1
        elif row.wrong:
            total.wrong += 1
        elif result.numbering in (Numbering.AMBIGUOUS, Numbering.NONE) or row.found < row.wanted:
            total.withheld += 1
        else:
            total.right += 1
            continue
        text = f"{reference.name} {within[0]}–{within[-1]}: {row.numbering} {row.margin:.1f}"
        total.failures.append(f"{text}, {row.found}/{row.wanted} found, wrong {', '.join(row.wrong) or 'none'}")
    return total


def _mean(values: dict[str, float]) -> str:
    return f"{np.mean(list(values.values())):.3f}" if values else "–"


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| CT | found | named | centre error mm | whole Dice | body Dice | numbering | margin | s | GiB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row.name} | {row.found}/{row.wanted} | {row.named}/{row.wanted} | {row.error_mm:.1f} "
            f"| {_mean(row.whole_dice)} | {_mean(row.body_dice)} | {row.numbering} | {row.margin:.1f} "
            f"| {row.seconds:.1f} | {row.peak_gib:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--ct", nargs="*", default=list(HELD_OUT))
    parser.add_argument("--crops", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--coarse-only", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    engine = VertebraNetwork(fine=not arguments.coarse_only)
    references = [read_reference(arguments.data, name) for name in arguments.ct]
    rows = [judge(engine, reference) for reference in references]
    print(table(rows))
    for row in rows:
        if row.wrong or row.extra:
            print(f"{row.name}: wrong {row.wrong}, beyond the known ones {row.extra}")
        if row.whole_dice:
            print(row.name, "whole", {k: round(v, 3) for k, v in row.whole_dice.items()})
            print(row.name, "body", {k: round(v, 3) for k, v in row.body_dice.items()})
    answer: dict[str, Any] = {"digest": engine.digest, "rows": [asdict(row) for row in rows]}
    if arguments.crops:
        crops = judge_crops(engine, references, arguments.crops, arguments.seed)
        answer["crops"] = asdict(crops)
        print(f"crops: right {crops.right}, withheld {crops.withheld}, wrong {crops.wrong}")
        print("\n".join(crops.failures))
    if arguments.out:
        arguments.out.write_text(json.dumps(answer, indent=1))


if __name__ == "__main__":
    main()
