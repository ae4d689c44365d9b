"""Angles of the spine by two methods on label maps of real people, and beside the truth on phantoms.

    python -m evidence.curvature [--spines …] [--phantoms N]

The second method knows nothing of endplates or frames: the direction of the line through the centres of the two
neighbouring bodies, in the planes of the scanner. It shares the masks with the first one and nothing else.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evidence.evidence import table
from evidence.real.cases import DATA, reference_case
from models.anatomy import Level, Region
from models.engine import Numbering
from models.engines.labelmap import LabelMap, read_label_map
from models.label_ids import CORD_ID, ID_OF, RIB_IDS, SACRUM_ID
from models.vertebrae.evaluation.references import read_volume
from models.volume.orientation import Oriented
from operators.curvature.geometry import forward_tilt
from operators.curvature.measure import measure
from operators.curvature.results import Coronal, CoronalCurve, NoCurve, Plate, SagittalAngle
from operators.curvature.spine import Measurable, Spine, look_at
from operators.reading.case import Case
from operators.reading.quantity import Measured, Withheld
from tests.operators.curvature.spines import built, case_with_sacrum, true_angles
from tests.operators.measured_case import case_of
from tests.phantoms.anatomy.column import Curves
from tests.phantoms.spine import Pose, SpinePhantom

LABEL_MAPS = ("s0004", "s0327", "s0012", "s0328")
CT = "chest_2p5mm"
ANGLES = ("kyphosis", "kyphosis_from_t5", "lordosis", "thoracolumbar")
BONE_HU, SOFT_HU = 300.0, 40.0


def label_case(name: str, data: Path = DATA) -> Case:
    """A label map as a case: bodies split from arches as for label maps of other networks, the image painted.

    The names are those of the data set and count as sure. The image serves the vertebrae's left-right axis only.
    """
    volume = read_volume(data / "labels" / f"{name}_labels.nii.gz").to_patient_orientation("FPL")
    oriented = Oriented.of(volume)
    ids = np.ascontiguousarray(oriented.volume.array).astype(np.int64)
    ids[~np.isin(ids, [*ID_OF.values(), SACRUM_ID, *RIB_IDS, CORD_ID])] = 0
    certain = np.full(ids.shape, 255, np.uint8)
    found = read_label_map(volume, oriented, LabelMap(ids.astype(np.uint8), certain, oriented.grid))
    bone = (found.labels.array > 0) | (found.regions.array == Region.SACRUM)
    painted = volume.with_array(np.where(bone, BONE_HU, SOFT_HU).astype(np.float32))
    return case_of(painted, replace(found, numbering=Numbering.ANCHORED))


def centres(spine: Spine) -> dict[Level, NDArray[np.float64]]:
    """Centre of every body's mask, LPS mm."""
    return {
        one.vertebra.level: one.body.mask.points.mean(axis=0)
        for one in spine.found.values()
        if isinstance(one, Measurable)
    }


def tangent(found: Mapping[Level, NDArray[np.float64]], level: Level) -> float:
    """How far the line through the neighbours' centres leans forward, degrees in the scanner's sagittal plane."""
    order = list(found)
    place = order.index(level) if level in found else -1
    if not 0 < place < len(order) - 1:
        return float("nan")
    way = found[order[place - 1]] - found[order[place + 1]]
    return float(np.degrees(np.arctan2(-way[1], way[2])))


def middle_tilt(spine: Spine, level: Level) -> float:
    """How far a body leans forward by its two endplates, degrees."""
    planes = [spine.plate(level, plate) for plate in Plate]
    tilts = [
        forward_tilt(plane.normal, spine.axes)
        for plane in planes
        if not isinstance(plane, Withheld) and spine.axes is not None
    ]
    return float(np.mean(tilts)) if len(tilts) == 2 else float("nan")


def said(angle: SagittalAngle) -> str:
    """An angle for the table."""
    if isinstance(angle.angle, Withheld):
        return angle.angle.code
    ends = f" (to {angle.lower})" if angle.fallback else ""
    return f"{angle.angle.value:.1f} ± {angle.angle.uncertainty:.1f}{ends}"


def said_coronal(coronal: Coronal) -> str:
    """The coronal finding for the table."""
    if isinstance(coronal, CoronalCurve):
        bulge = f"{coronal.upper}–{coronal.lower}, apex {coronal.apex}, {coronal.convex}"
        return f"{coronal.angle.value:.1f} ± {coronal.angle.uncertainty:.1f} ({bulge})"
    return f"none, {coronal.first}–{coronal.last}" if isinstance(coronal, NoCurve) else coronal.code


def real_row(name: str) -> list[str]:
    """One spine by both methods."""
    drawn = name in LABEL_MAPS
    case = label_case(name) if drawn else reference_case(name)
    reading, spine = measure(case, masks_only=drawn), look_at(case, masks_only=drawn)
    middles = centres(spine)
    both = []
    for upper, lower, sign in ((Level.T5, Level.T11, 1), (Level.L1, Level.L4, -1)):
        plates = sign * (middle_tilt(spine, upper) - middle_tilt(spine, lower))
        line = sign * (tangent(middles, upper) - tangent(middles, lower))
        both.append("–" if np.isnan(plates + line) else f"{plates:.1f} / {line:.1f}")
    return [name, *(said(getattr(reading, angle)) for angle in ANGLES), *both, said_coronal(reading.coronal)]


def random_spine(seed: int) -> SpinePhantom:
    """A spine with curves and a pose drawn at random."""
    rng = np.random.default_rng(seed)
    curves = Curves(
        sacral_slope=float(rng.uniform(25, 45)),
        lordosis=float(rng.uniform(35, 65)),
        kyphosis=float(rng.uniform(25, 65)),
        scoliosis=float(rng.choice([0.0, rng.uniform(12, 35)])),
        apex=Level.T12,
        rotation=float(rng.uniform(0, 10)),
    )
    x, y, z = (float(rng.uniform(-8, 8)) for _ in range(3))
    return SpinePhantom(levels=(Level.T4, Level.S1), seed=seed, curves=curves, pose=Pose(rotation=(x, y, z)))


def phantom_errors(seed: int, slices: float) -> list[tuple[float, float]]:
    """Error and uncertainty of every sagittal angle of one phantom, degrees."""
    parameters = random_spine(seed)
    phantom = built(parameters, pixel=min(1.0, slices), slices=slices)
    truth = true_angles(phantom, parameters.pose.matrix.T)
    reading = measure(case_with_sacrum(phantom))
    errors = []
    for name in ANGLES:
        angle = getattr(reading, name)
        if isinstance(angle.angle, Measured) and not angle.fallback:
            errors.append((angle.angle.value - truth[name], angle.angle.uncertainty or 0.0))
    return errors


def phantom_row(slices: float, count: int) -> list[str]:
    """Errors over some phantoms at one slice distance."""
    pairs = np.array([pair for seed in range(count) for pair in phantom_errors(seed, slices)])
    error, interval = np.abs(pairs[:, 0]), pairs[:, 1]
    inside = f"{np.count_nonzero(error <= interval)} of {len(error)}"
    return [
        f"{slices:g} mm", str(len(error)), f"{pairs[:, 0].mean():+.2f}", f"{np.sqrt((error**2).mean()):.2f}",
        f"{error.max():.2f}", f"{interval.mean():.1f}", inside,
    ]  # fmt: skip


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--spines", nargs="*", default=[*LABEL_MAPS, CT])
    parser.add_argument("--phantoms", type=int, default=4, help="random phantoms at each slice distance")
    given = parser.parse_args()
    header = (
        "spine", "T4–T12", "T5–T12", "L1–S1", "T10–L2", "T5–T11 by plates / tangents", "L1–L4 by plates / tangents",
        "coronal",
    )  # fmt: skip
    if given.spines:
        print(table(header, [real_row(name) for name in given.spines]), flush=True)
    header = ("slices", "angles", "mean error", "root mean square", "largest", "mean ±", "within ±")
    if given.phantoms:
        # After every line, so that a run that is stopped has shown something.
        rows = []
        for slices in (3.0, 2.5, 1.5, 1.0):
            rows.append(phantom_row(slices, given.phantoms))
            print("\n" + table(header, rows), flush=True)


if __name__ == "__main__":
    main()
