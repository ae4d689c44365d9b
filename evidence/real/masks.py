"""Heights and CT numbers on the built-in network's masks beside those on reference masks, of real CTs.

    python -m evidence.real.masks [--weights FOLDER …]

Also beside the rival's own report on ``lumbar_3mm``. Goals: heights within 1 mm, CT numbers within 5 HU.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from evidence.evidence import option, table, write_section
from evidence.real.cases import DATA, Figures, measured, reference_case
from models.anatomy import Level
from models.engine import VertebraEngine
from models.vertebrae.evaluation.judges import Judges
from models.vertebrae.weights import FOLDER
from operators.reading.case import Case
from tests.operators.measured_case import case_of

PEER = "lumbar_3mm"
"""The CT with a report of the rival's."""
CTS = (PEER, "chest_2p5mm")
GOAL_MM, GOAL_HU = 1.0, 5.0


def engine_case(case: Case, engine: VertebraEngine) -> Case:
    """The same CT with the masks of an engine."""
    found = engine.segment(case.volume)
    source = case.reading.source
    return replace(case_of(case.volume, found, slice_thickness=source.slice_thickness), slices=case.slices)


def _number(value: float, digits: int = 1, sign: bool = False) -> str:
    if not np.isfinite(value):
        return "–"
    return f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"


def _three(values: np.ndarray, sign: bool = False) -> str:
    return " / ".join(_number(v, 1, sign) for v in values)


def mask_table(reference: Mapping[Level, Figures], network: Mapping[Level, Figures]) -> str:
    """One line per vertebra of the reference."""
    lines = []
    for level, first in reference.items():
        second = network.get(level)
        if second is None:
            lines.append((level.value, _three(first.heights), "not found", "", _number(first.hu), "", "", ""))
            continue
        grades = " → ".join("–" if g is None else str(g) for g in (first.grade, second.grade))
        lines.append(
            (
                level.value,
                _three(first.heights),
                _three(second.heights),
                _three(second.heights - first.heights, True),
                _number(first.hu),
                _number(second.hu),
                _number(second.hu - first.hu, 1, True),
                grades,
            )
        )
    header = (
        "level", "Ha / Hm / Hp, reference mask", "network's mask", "difference, mm", "HU, reference mask",
        "network's mask", "difference", "grade",
    )  # fmt: skip
    return table(header, lines)


def verdict(reference: Mapping[Level, Figures], network: Mapping[Level, Figures]) -> str:
    """How many differences keep the goals."""
    both = [(first, network[level]) for level, first in reference.items() if level in network]
    heights = np.abs([b - a for f, s in both for a, b in zip(f.heights, s.heights, strict=True)])
    heights = heights[np.isfinite(heights)]
    hu = np.abs([s.hu - f.hu for f, s in both])
    hu = hu[np.isfinite(hu)]
    parts = []
    for name, values, goal, unit in (("Heights", heights, GOAL_MM, "mm"), ("CT numbers", hu, GOAL_HU, "HU")):
        if values.size:
            parts.append(
                f"{name}: median difference {np.median(values):.2f}, largest {values.max():.2f} {unit}; "
                f"{(values <= goal).sum()} of {values.size} within {goal:g} {unit}."
            )
        else:
            parts.append(f"{name}: nothing measured on both masks.")
    return " ".join(parts)


def peer_table(reference: Mapping[Level, Figures]) -> str:
    """Beside the rival's own report of ``lumbar_3mm``."""
    peer = json.loads((DATA / "ct" / PEER / "peer_report.json").read_text())["results"]
    lines = []
    for level, own in reference.items():
        key = f"vertebrae_{level.value}"
        if f"{key}_height_anterior_mm" not in peer:
            continue
        chords = [peer[f"{key}_height_{part}_mm"] for part in ("anterior", "middle", "posterior")]
        lines.append(
            (
                level.value,
                _three(own.heights),
                " / ".join(f"{c:g}" for c in chords),
                "–" if own.grade is None else own.grade,
                _number(own.loss, 0),
                f"{100 * peer[f'{key}_height_difference']:.0f}",
                "yes" if peer[f"{key}_height_difference"] > 0.2 else "no",
                _number(own.hu),
                peer[f"{key}_intensity_median"],
            )
        )
    header = (
        "level", "Ha / Hm / Hp, Osteon", "rival", "grade, Osteon", "loss %, Osteon", "rival's difference %",
        "rival flags", "HU, Osteon", "HU median, rival",
    )  # fmt: skip
    return table(header, lines)


WHY = """Why they differ from the rival's own report: its chords end on voxels of its mask, in steps of half a voxel
(1.5 mm on these 3 mm voxels); of all sagittal slices over the middle half of the body it takes the one whose three
chords differ most, in the image's planes, where Osteon takes the median over ±4 mm in the vertebra's own; its
ratio of the least to the greatest chord also flags a lordotic body that is tall in front. Its CT number is the
median of the whole body eroded by 4 mm, vein zone and all; Osteon's is the mean of an elliptic cylinder."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cts", nargs="*", default=list(CTS))
    parser.add_argument("--weights", type=Path, nargs="+", default=[FOLDER], help="folders of coarse.pt and fine.pt")
    given = parser.parse_args()
    judges = Judges(given.weights)
    parts = []
    for name in given.cts:
        engine, seen = judges.engine(name), judges.seen(name)
        case = reference_case(name)
        reference = measured(case)
        network = measured(engine_case(case, engine))
        trained = {True: "the network was trained on this body", False: "held out of training"}
        said = trained[seen] if seen is not None else "whether the network was trained on it is not known"
        parts += [f"### {name}; {said}", f"Engine {engine.name} {engine.version}, weights {engine.digest[:12]}."]
        parts += [mask_table(reference, network), verdict(reference, network)]
        if name == "lumbar_3mm":
            parts += [
                "Beside the rival's own report (`peer_report.json`), on the reference mask:",
                peer_table(reference),
            ]
            parts.append(" ".join(WHY.split()))
        # After every CT, so that a run that is stopped has shown something.
        options = option("weights", given.weights, [FOLDER]) + option("cts", given.cts, CTS)
        write_section("real-masks", "Real masks", f"python -m evidence.real.masks{options}", "\n\n".join(parts))
    print("\n\n".join(parts))


if __name__ == "__main__":
    main()
