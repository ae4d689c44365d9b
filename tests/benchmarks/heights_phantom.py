"""Height, density and false-alarm errors on random digital spines whose truth is their construction.

    python -m tests.benchmarks.heights_phantom --spines 500 --out heights_phantom.json

Every spine differs in size, level, curvature (scoliosis to 40°), pose, cortex, bone density, texture, noise
and slices of 0.7–5 mm. All are intact: a grade of 2 or more is a false alarm. ``--mask coarse`` measures on
masks as a network at 3 mm gives them (resampled, shifted, leaking) instead of the true ones.
``--fractured`` gives every spine one fracture of grade 2 or 3 instead.
"""

from __future__ import annotations

import argparse
import json
import pickle
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from models.anatomy import Level, Region
from models.engine import SpineSegmentation
from operators.detect_fractures import detect_fractures
from operators.height_expectation import GRADED
from operators.measure_bone_density import measure_bone_density
from operators.reading import Deformity, Density, Heights, Measured, Shape, Vertebra
from tests.operators.measured_case import phantom_case
from tests.phantoms.bones import Cortex
from tests.phantoms.column import Curves
from tests.phantoms.spine import Fracture, Pose, SpinePhantom
from tests.phantoms.truth import Phantom, VertebraTruth

SLICES = (0.7, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
BANDS = ((0.0, 1.5), (1.5, 2.5), (2.5, 3.0), (3.0, 5.0))


@dataclass(frozen=True)
class Trial:
    """Parameters of one random spine."""

    seed: int
    fractured: bool = False
    coarse: bool = False
    cache: Path | None = None


def random_spine(trial: Trial) -> tuple[SpinePhantom, float, float]:
    """A spine of six vertebrae, the pixel spacing and the slice spacing, all decided by the seed."""
    rng = np.random.default_rng([trial.seed, 7])
    first = int(rng.integers(Level.T4.rank, Level.L1.rank + 1))
    levels = [x for x in Level if x not in (Level.T13, Level.L6)]
    start = next(i for i, x in enumerate(levels) if x.rank >= first)
    shown = levels[start : start + 5]
    last = min(start + 4, levels.index(Level.L5))
    fractures: dict[Level, Fracture] = {}
    if trial.fractured:
        level = [x for x in shown[1:4] if x in GRADED][int(rng.integers(0, 2))]
        shape = list(Shape)[int(rng.integers(0, 3))]
        fractures[level] = Fracture(shape, float(rng.uniform(0.30, 0.55)))
    phantom = SpinePhantom(
        levels=(shown[0], levels[last]),
        seed=trial.seed,
        size=float(rng.uniform(0.85, 1.12)),
        curves=Curves(
            lordosis=float(rng.uniform(35, 65)),
            kyphosis=float(rng.uniform(25, 60)),
            scoliosis=float(rng.choice([0, 0, 1]) * rng.uniform(-40, 40)),
            apex=shown[2],
            rotation=float(rng.uniform(-10, 10)),
        ),
        pose=Pose(rotation=(float(rng.uniform(-12, 12)), float(rng.uniform(-10, 10)), float(rng.uniform(-10, 10)))),
        cortex=Cortex(body=float(rng.uniform(0.55, 1.1)), hu=float(rng.uniform(750, 950))),
        fractures=fractures,
        trabecular_shift=float(rng.uniform(-80, 40)),
        texture=float(rng.uniform(10, 35)),
        noise=float(rng.uniform(6, 30)),
        blur=float(rng.uniform(0.7, 1.2)),
    )
    return phantom, float(rng.uniform(0.55, 0.95)), float(rng.choice(SLICES))


def coarse_segmentation(phantom: Phantom, seed: int) -> SpineSegmentation:
    """The true masks as a network at 3 mm would give them: blocky, shifted and bulging by about 1 mm."""
    rng = np.random.default_rng([seed, 11])
    true = phantom.segmentation()
    spacing = np.linalg.norm(phantom.volume.affine[:3, :3], axis=0)
    step = np.maximum(1, np.round(3.0 / spacing)).astype(int)
    labels, regions = np.zeros_like(true.labels.array), np.zeros_like(true.regions.array)
    for vertebra in true.vertebrae:
        for region in (Region.POSTERIOR_ELEMENTS, Region.BODY):
            own = (true.labels.array == vertebra.number) & (true.regions.array == region)
            soft = ndimage.gaussian_filter(own.astype(np.float32), 1.2 / spacing)
            soft = ndimage.shift(soft, rng.normal(0, 0.7, 3) / spacing, order=1)
            small = soft[tuple(slice(s // 2, None, s) for s in step)]
            zoomed = _enlarged(small, step, own.shape)
            bump = ndimage.gaussian_filter(rng.normal(0, 1, own.shape).astype(np.float32), 5.0 / spacing)
            inside = zoomed > 0.5 + 0.12 * bump / max(float(bump.std()), 1e-6)
            labels[inside], regions[inside] = vertebra.number, region
    return replace(true, labels=true.labels.with_array(labels), regions=true.regions.with_array(regions))


def _enlarged(small: np.ndarray[Any, Any], step: np.ndarray[Any, Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    grid = np.indices(shape, dtype=np.float32)
    index = [(g - s // 2) / s for g, s in zip(grid, step, strict=True)]
    return np.asarray(ndimage.map_coordinates(small, index, order=1, mode="nearest"))


def built(trial: Trial) -> tuple[Phantom, float]:
    """The phantom of a trial, from the cache where there is one."""
    parameters, pixel, spacing = random_spine(trial)
    path = trial.cache / f"{trial.seed}-{trial.fractured}.pickle" if trial.cache else None
    if path is not None and path.exists():
        with path.open("rb") as file:
            phantom: Phantom = pickle.load(file)
        return phantom, spacing
    phantom = parameters.build(pixel, spacing, field_of_view=(135, 190))
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            pickle.dump(phantom, file)
    return phantom, spacing


def run(trial: Trial) -> list[dict[str, Any]]:
    """Measure one spine; one row per complete vertebra."""
    phantom, spacing = built(trial)
    case = phantom_case(phantom)
    if trial.coarse:
        case = replace(case, segmentation=coarse_segmentation(phantom, trial.seed))
    case = measure_bone_density(detect_fractures(case))
    truths = {v.number: v for v in phantom.vertebrae}
    return [
        {"seed": trial.seed, "slices": spacing, **_row(v, truths[v.number], phantom)}
        for v in case.reading.vertebrae
        if v.complete
    ]


def _row(vertebra: Vertebra, truth: VertebraTruth, phantom: Phantom) -> dict[str, Any]:
    row: dict[str, Any] = {"level": vertebra.level.value, "graded": vertebra.level in GRADED}
    expected = (truth.anterior, truth.middle, truth.posterior)
    if isinstance(vertebra.heights, Heights):
        three = (vertebra.heights.anterior, vertebra.heights.middle, vertebra.heights.posterior)
        values = [q for q in three if isinstance(q, Measured)]
        row["errors"] = [round(q.value - e, 3) for q, e in zip(values, expected, strict=True)]
        row["covered"] = [abs(q.value - e) <= (q.uncertainty or 0) for q, e in zip(values, expected, strict=True)]
    if isinstance(vertebra.deformity, Deformity):
        row["grade"] = vertebra.deformity.grade
        row["loss"] = (
            vertebra.deformity.height_loss.value if isinstance(vertebra.deformity.height_loss, Measured) else None
        )
    if isinstance(vertebra.density, Density) and isinstance(vertebra.density.mean, Measured):
        row["hu_error"] = round(vertebra.density.mean.value - truth.trabecular_hu, 2)
    return row


def summary(rows: list[dict[str, Any]], spines: int) -> dict[str, Any]:
    """Medians, 95th percentiles and false alarms, for bands of slice spacing."""
    out: dict[str, Any] = {"spines": spines, "vertebrae": len(rows)}
    for low, high in BANDS:
        band = [r for r in rows if low < r["slices"] <= high]
        errors = np.abs([e for r in band for e in r.get("errors", [])])
        if not errors.size:
            continue
        hu = np.array([r["hu_error"] for r in band if "hu_error" in r])
        out[f"slices up to {high:g} mm"] = {
            "vertebrae": len(band),
            "heights given": sum("errors" in r for r in band),
            "height error median": round(float(np.median(errors)), 2),
            "height error 95 %": round(float(np.percentile(errors, 95)), 2),
            "bias Ha Hm Hp": [
                round(float(np.median([r["errors"][i] for r in band if "errors" in r])), 2) for i in range(3)
            ],
            "within stated interval": round(float(np.mean([c for r in band for c in r.get("covered", [])])), 3),
            "density given": int(hu.size),
            "HU error median": round(float(np.median(np.abs(hu))), 2) if hu.size else None,
            "HU error 95 %": round(float(np.percentile(np.abs(hu), 95)), 2) if hu.size else None,
            "HU bias": round(float(np.mean(hu)), 2) if hu.size else None,
        }
    alarms = sum(1 for r in rows if r.get("grade", 0) >= 2)
    out["grade 2 or more"] = alarms
    out["grade 2 or more per spine"] = round(alarms / max(spines, 1), 4)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--spines", type=int, default=50)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--mask", choices=("true", "coarse"), default="true")
    parser.add_argument("--fractured", action="store_true")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    trials = [
        Trial(seed, given.fractured, given.mask == "coarse", given.cache)
        for seed in range(given.first, given.first + given.spines)
    ]
    with ProcessPoolExecutor(given.jobs) as pool:
        rows = [row for found in pool.map(run, trials) for row in found]
    result = summary(rows, len(trials))
    print(json.dumps(result, indent=1))
    if given.out:
        given.out.write_text(json.dumps({"summary": result, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
