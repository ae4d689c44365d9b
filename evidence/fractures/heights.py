"""Height, density and false-alarm errors on random digital spines whose truth is their construction.

    python -m evidence.fractures.heights --intact 500 --fractured 200

Every spine differs in size, level, curvature (half of them scoliotic, to 40°), pose, cortex, bone density,
texture, noise and slices of 0.7–5 mm. On intact spines a grade of 2 or more is a false alarm; a fractured one
has one fracture of 20–55 %. Rows are kept as the run goes on: it can be stopped and continued. ``--mask
coarse`` measures on masks as a network at 3 mm gives them (resampled, shifted, leaking) and writes nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from evidence.evidence import KEPT, Row, RowFile, measured_by, measuring_digest, table, write_section
from evidence.fractures.random_spines import Trial, built, coarse_segmentation, random_spine
from operators.density.measure import measure_bone_density
from operators.density.results import DENSITY, Density
from operators.fractures.detect import detect_fractures
from operators.fractures.grading import grade_of
from operators.fractures.results import DEFORMITY, HEIGHTS, Deformity, Heights
from operators.reading.quantity import Measured
from operators.reading.vertebra import Vertebra
from operators.terms.levels import GRADED
from tests.operators.measured_case import phantom_case
from tests.phantoms.truth import Phantom, VertebraTruth

BANDS = ((0.0, 1.5), (1.5, 2.5), (2.5, 3.0), (3.0, 5.0))
GRADES = (1, 2, 3)


def measured(trial: Trial, kept: Path) -> Row:
    """Measure one spine; the row holds one entry per complete vertebra."""
    spine = random_spine(trial)
    phantom = built(trial, kept)
    started = time.process_time()
    case = phantom_case(phantom)
    if trial.coarse:
        case = replace(case, segmentation=coarse_segmentation(phantom, trial.seed))
    case = measure_bone_density(detect_fractures(case))
    truths = {v.number: v for v in phantom.vertebrae}
    broken = spine.fracture
    return {
        "seed": trial.seed,
        "fractured": trial.fractured,
        "slices": spine.spacing,
        "scoliosis": round(spine.parameters.curves.scoliosis, 1),
        "seconds": round(time.process_time() - started, 2),
        "fracture": None if broken is None else [broken[0].value, broken[1].shape.value, round(broken[1].loss, 3)],
        "vertebrae": [_entry(v, truths[v.number], phantom) for v in case.reading.vertebrae if v.complete],
    }


def _entry(vertebra: Vertebra, truth: VertebraTruth, phantom: Phantom) -> Row:
    entry: Row = {"level": vertebra.level.value, "graded": vertebra.level in GRADED}
    expected = (truth.anterior, truth.middle, truth.posterior)
    if isinstance(vertebra.of(HEIGHTS), Heights):
        three = (vertebra.of(HEIGHTS).anterior, vertebra.of(HEIGHTS).middle, vertebra.of(HEIGHTS).posterior)
        values = [q for q in three if isinstance(q, Measured)]
        entry["errors"] = [round(q.value - e, 3) for q, e in zip(values, expected, strict=True)]
        entry["covered"] = [abs(q.value - e) <= (q.uncertainty or 0) for q, e in zip(values, expected, strict=True)]
    if isinstance(vertebra.of(DEFORMITY), Deformity):
        loss = vertebra.of(DEFORMITY).height_loss
        entry["grade"] = vertebra.of(DEFORMITY).grade
        entry["probability"] = vertebra.of(DEFORMITY).probability
        entry["loss"] = loss.value if isinstance(loss, Measured) else None
    if isinstance(vertebra.of(DENSITY), Density) and isinstance(vertebra.of(DENSITY).mean, Measured):
        entry["hu_error"] = round(vertebra.of(DENSITY).mean.value - truth.trabecular_hu, 2)
    return entry


def run(trials: Sequence[Trial], rows: RowFile, kept: Path, seconds: float) -> list[Row]:
    """Measure the trials that have no row yet, for at most ``seconds``; all rows of the trials."""
    wanted = {(t.seed, t.fractured) for t in trials}
    known = {(row["seed"], row["fractured"]): row for row in rows.rows()}
    until = time.monotonic() + seconds
    for trial in trials:
        if (trial.seed, trial.fractured) in known or time.monotonic() > until:
            continue
        row = measured(trial, kept)
        rows.add(row)
        known[(trial.seed, trial.fractured)] = row
    return [row for key, row in known.items() if key in wanted]


def _percent(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / whole:.0f} %)" if whole else "–"


def _spread(values: Sequence[float]) -> tuple[str, str]:
    """Median and 95th percentile of absolute values."""
    if not len(values):
        return "–", "–"
    absolute = np.abs(values)
    return f"{np.median(absolute):.2f}", f"{np.percentile(absolute, 95):.2f}"


def accuracy_table(rows: Sequence[Row]) -> str:
    """Errors of intact spines by band of slice spacing."""
    lines = []
    for low, high in BANDS:
        band = [row for row in rows if low < row["slices"] <= high]
        entries = [entry for row in band for entry in row["vertebrae"]]
        errors = [e for entry in entries for e in entry.get("errors", [])]
        biases = [[entry["errors"][i] for entry in entries if "errors" in entry] for i in range(3)]
        covered = [c for entry in entries for c in entry.get("covered", [])]
        hu = [entry["hu_error"] for entry in entries if "hu_error" in entry]
        lines.append(
            (
                f"{low or 0.7:g}–{high:g} mm" if low == 0 else f"> {low:g}–{high:g} mm",
                len(band),
                f"{sum('errors' in entry for entry in entries)} of {len(entries)}",
                *_spread(errors),
                " / ".join(f"{np.median(b):+.2f}" if b else "–" for b in biases),
                f"{100 * np.mean(covered):.0f} %" if covered else "–",
                f"{len(hu)} of {len(entries)}",
                *_spread(hu),
                f"{np.mean(hu):+.1f}" if hu else "–",
            )
        )
    header = (
        "slices", "spines", "bodies with heights", "height error, median mm", "95th percentile mm",
        "bias Ha / Hm / Hp, mm", "within its interval", "bodies with density", "HU error, median",
        "95th percentile HU", "bias HU",
    )  # fmt: skip
    return table(header, lines)


def alarm_table(rows: Sequence[Row]) -> str:
    """Grades of 2 and more on intact spines."""
    lines = []
    groups = (
        ("all", rows),
        *(
            (f"slices > {low:g}–{high:g} mm", [row for row in rows if low < row["slices"] <= high])
            for low, high in BANDS
        ),
        ("scoliosis of 20° or more", [row for row in rows if abs(row["scoliosis"]) >= 20]),
    )
    for name, group in groups:
        graded = [entry for row in group for entry in row["vertebrae"] if entry.get("grade") is not None]
        alarms = sum(entry["grade"] >= 2 for entry in graded)
        mild = sum(entry["grade"] == 1 for entry in graded)
        share = f"{alarms / len(group):.3f}" if group else "–"
        lines.append((name, len(group), len(graded), alarms, share, mild))
    return table(("intact spines", "spines", "graded bodies", "grade ≥ 2", "per spine", "grade 1"), lines)


def fracture_table(rows: Sequence[Row]) -> str:
    """What became of the one fracture of every fractured spine, by its true grade."""
    lines = []
    for grade in GRADES:
        broken = [row for row in rows if grade_of(row["fracture"][2]) == grade]
        found = [
            entry
            for row in broken
            for entry in row["vertebrae"]
            if entry["level"] == row["fracture"][0] and entry.get("grade") is not None
        ]
        apart = [entry["loss"] / 100 - row["fracture"][2] for row in broken for entry in _own(row)]
        lines.append(
            (
                f"grade {grade}",
                len(broken),
                _percent(sum(entry["grade"] >= 1 for entry in found), len(broken)),
                _percent(sum(entry["grade"] >= 2 for entry in found), len(broken)),
                _percent(sum(entry["grade"] == grade for entry in found), len(broken)),
                len(broken) - len(found),
                f"{100 * np.median(apart):+.1f}" if apart else "–",
            )
        )
    header = ("true grade", "fractures", "graded ≥ 1", "graded ≥ 2", "same grade", "withheld", "loss − truth, median %")
    others = [
        entry
        for row in rows
        for entry in row["vertebrae"]
        if entry["level"] != row["fracture"][0] and entry.get("grade") is not None
    ]
    beside = sum(entry["grade"] >= 2 for entry in others)
    return (
        table(header, lines)
        + f"\n\nOf their {len(others)} intact neighbours {beside} were graded 2 or more "
        + f"({beside / max(len(rows), 1):.3f} per spine)."
    )


def _own(row: Row) -> list[Row]:
    return [e for e in row["vertebrae"] if e["level"] == row["fracture"][0] and e.get("loss") is not None]


def report(rows: Sequence[Row], planned: int) -> str:
    """The section of the document."""
    intact = [row for row in rows if not row["fractured"]]
    broken = [row for row in rows if row["fractured"]]
    thin = [e for row in intact if row["slices"] <= 1.5 for x in row["vertebrae"] for e in x.get("errors", [])]
    seconds = np.mean([row["seconds"] for row in rows])
    return "\n\n".join(
        [
            f"{len(rows)} of {planned} planned random spines of five vertebrae (T4–L5), true masks: {len(intact)} "
            f"intact, {len(broken)} fractured; measuring takes {seconds:.1f} s of one core per spine. Goals: height "
            "error median ≤ 0.3 mm and 95th percentile ≤ 1 mm at slices of 1.5 mm or less (here "
            f"{' and '.join(_spread(thin))} mm), density within 2 HU, at most 0.05 grades of 2 or more per intact "
            "spine. Truth is the construction of the phantom.",
            accuracy_table(intact),
            alarm_table(intact),
            fracture_table(broken) if broken else "No fractured spines were measured.",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--intact", type=int, default=500)
    parser.add_argument("--fractured", type=int, default=200)
    parser.add_argument("--mask", choices=("true", "coarse"), default="true")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after this time; run again to continue")
    parser.add_argument("--report", action="store_true", help="measure nothing; report the rows of the newest code")
    parser.add_argument("--render-only", action="store_true", help="only render the spines that are missing")
    given = parser.parse_args()
    coarse = given.mask == "coarse"
    # One fractured spine after every few intact ones, so that a run that is stopped has some of both.
    trials = [Trial(seed, False, coarse) for seed in range(given.intact)]
    trials += [Trial(seed, True, coarse) for seed in range(given.fractured)]
    trials.sort(key=lambda t: t.seed / max(given.fractured if t.fractured else given.intact, 1))
    kept = KEPT / "spines"
    if given.render_only:
        for trial in trials:
            built(trial, kept)
        return
    current = measuring_digest()
    file = RowFile(KEPT / f"phantoms-{given.mask}.jsonl", current)
    if given.report:
        file = file.newest()
        rows = file.rows()
    else:
        rows = run(trials, file, kept, 60 * given.minutes)
    text = report(rows, len(trials)) + "\n\n" + measured_by(file, current)
    print(text)
    if not coarse:
        write_section("phantoms", "Phantoms", "python -m evidence.fractures.heights", text)


if __name__ == "__main__":
    main()
