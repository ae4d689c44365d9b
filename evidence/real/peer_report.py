"""Heights and CT numbers of lumbar_3mm beside the report of a peer on the same scan.

    python -m evidence.real.peer_report

The peer is TotalSegmentator's spine report (``peer_report.json`` of the shared data, made on its own mask of
the same CT). Osteon measures twice: on the reference mask, so that only the measuring differs, and on its own
engine's. Heights are Ha, Hm and Hp in mm, HU the mean of the trabecular region (the peer's is the mean and
median of the whole vertebra, arch and cortex included).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from models.anatomy import Level, Region
from models.engine import Numbering, SpineSegmentation, VertebraInstance
from models.engines.registry import ENGINES
from models.vertebrae.evaluation.references import Reference, read_reference
from operators.density.measure import measure_bone_density
from operators.density.results import DENSITY, Density
from operators.fractures.detect import detect_fractures
from operators.fractures.results import DEFORMITY, HEIGHTS, Deformity, Heights
from operators.reading.case import Case
from operators.reading.quantity import Measured
from operators.reading.vertebra import Vertebra
from tests.operators.measured_case import case_of

DATA = Path(os.environ.get("OSTEON_DATA", Path(__file__).parents[3] / "shared" / "data"))
NAME = "lumbar_3mm"
LEVELS = (Level.L1, Level.L2, Level.L3, Level.L4, Level.L5)


def reference_segmentation(reference: Reference) -> SpineSegmentation:
    """The reference masks as an engine would give them; what touches the first or last slice is incomplete."""
    assert reference.bodies is not None
    labels = np.zeros(reference.volume.spatial_shape, np.uint8)
    regions = np.zeros_like(labels)
    instances = []
    order = sorted(set(reference.labels) & set(reference.centres) - {Level.S1}, key=lambda level: level.rank)
    for number, level in enumerate(order, start=1):
        own = reference.labels[level]
        labels[own] = number
        regions[own] = np.where(reference.bodies[own], Region.BODY, Region.POSTERIOR_ELEMENTS)
        ends = np.argwhere(own)
        axis = int(np.argmax(np.abs(reference.volume.affine[2, :3])))
        complete = bool(ends[:, axis].min() > 0 and ends[:, axis].max() < labels.shape[axis] - 1)
        instances.append(VertebraInstance(number, level, 1.0, complete, reference.centres[level]))
    grid = reference.volume
    return SpineSegmentation(grid.with_array(labels), grid.with_array(regions), tuple(instances), Numbering.ANCHORED)


def measured(reference: Reference, segmentation: SpineSegmentation, sex: str) -> Case:
    """The scan with heights, grades and density."""
    thickness = float(max(reference.volume.spacing))
    case = case_of(reference.volume, segmentation, slice_thickness=thickness, sex=sex, age_years=55.0)
    return measure_bone_density(detect_fractures(case))


def numbers(vertebra: Vertebra | None) -> list[str]:
    """Ha, Hm, Hp with their uncertainty, the loss with its grade, and the mean HU; a dash where withheld."""
    if vertebra is None:
        return ["-"] * 5
    heights, deformity, density = vertebra.of(HEIGHTS), vertebra.of(DEFORMITY), vertebra.of(DENSITY)
    three = (heights.anterior, heights.middle, heights.posterior) if isinstance(heights, Heights) else (None,) * 3
    cells = [f"{q.value:.1f}±{q.uncertainty or 0:.1f}" if isinstance(q, Measured) else "-" for q in three]
    loss = deformity.height_loss if isinstance(deformity, Deformity) else None
    grade = deformity.grade if isinstance(deformity, Deformity) else None
    cells.append(f"{loss.value:.0f}±{loss.uncertainty or 0:.0f} g{grade}" if isinstance(loss, Measured) else "-")
    mean = density.mean if isinstance(density, Density) else None
    return [*cells, f"{mean.value:.0f}" if isinstance(mean, Measured) else "-"]


def peer_numbers(results: dict[str, float], level: Level) -> list[str]:
    """The peer's heights, its ratio with its flag (least height over greatest below 0.8), and its mean HU."""
    name = f"vertebrae_{level}"
    three = [results[f"{name}_height_{part}_mm"] for part in ("anterior", "middle", "posterior")]
    ratio = min(three) / max(three)
    flag = " flag" if ratio < 0.8 else ""
    mean, median = results[f"{name}_intensity"], results[f"{name}_intensity_median"]
    return [*(f"{value:.1f}" for value in three), f"{ratio:.2f}{flag}", f"{mean:.0f} ({median:.0f})"]


def main() -> None:
    """Print the three readings of every level side by side."""
    reference = read_reference(DATA, NAME)
    peer = json.loads((DATA / "ct" / NAME / "peer_report.json").read_text())
    sex = peer["metadata"]["PatientSex"]
    readings = {
        "Osteon, reference mask": measured(reference, reference_segmentation(reference), sex),
        "Osteon, own engine": measured(reference, ENGINES.get("osteon").segment(reference.volume), sex),
    }
    print("| level | reading | Ha | Hm | Hp | loss or ratio | HU |\n|---|---|---|---|---|---|---|")
    for level in LEVELS:
        rows = {"peer": peer_numbers(peer["results"], level)}
        for name, case in readings.items():
            rows[name] = numbers(next((v for v in case.reading.vertebrae if v.level is level), None))
        for name, cells in rows.items():
            print(f"| {level} | {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
