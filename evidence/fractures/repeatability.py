"""Heights and CT numbers of real vertebrae, scanned again in other ways.

    python -m evidence.fractures.repeatability

The CTs are the L3 crop (1.5 mm) and the lumbar spine (3 mm) of the shared data, with their reference masks. They
are rotated, shifted by half a voxel, made noisier and resampled, image and masks alike, and measured every time.
Goals: heights within 0.5 mm and CT numbers within 3 HU of the original's.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import highdicom as hd
import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from evidence.evidence import table, write_section
from evidence.real.cases import Figures, measured, reference_case
from models.anatomy import Level
from operators.reading.case import Case
from tests.operators.measured_case import case_of

Array = np.ndarray[Any, Any]
GOAL_MM, GOAL_HU = 0.5, 3.0
CTS = ("l3_crop", "lumbar_3mm")


@dataclass(frozen=True)
class Rescan:
    """Another way of scanning.

    Attributes:
        name: For the table.
        spacing: Of slices, rows, columns in mm; None for the original's.
        rotation: Degrees about the axes of patient space.
        shift: In voxels of the original.
        noise: HU.
    """

    name: str
    spacing: tuple[float, float, float] | None = None
    rotation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift: float = 0.0
    noise: float = 0.0


RESCANS = (
    Rescan("rotated 10° about x", rotation=(10, 0, 0)),
    Rescan("rotated 10° about y", rotation=(0, 10, 0)),
    Rescan("rotated 10° about z", rotation=(0, 0, 10)),
    Rescan("half a voxel further", shift=0.5),
    Rescan("20 HU of noise", noise=20.0),
    Rescan("1 mm", spacing=(1.0, 1.0, 1.0)),
    Rescan("slices of 2 mm", spacing=(2.0, 1.5, 1.5)),
    Rescan("slices of 3 mm", spacing=(3.0, 1.5, 1.5)),
)


def rescanned(case: Case, how: Rescan) -> Case:
    """The case on another grid: the image averaged over the new voxels, the masks by nearest neighbour."""
    old, size = case.volume.affine, np.array(case.volume.spatial_shape)
    edges = np.linalg.norm(old[:3, :3], axis=0)
    spacing = edges if how.spacing is None else np.array(how.spacing)
    turn = Rotation.from_rotvec(np.radians(how.rotation)).as_matrix()
    shape = np.maximum(2, np.round(size * edges / spacing)).astype(int)
    new = np.eye(4)
    new[:3, :3] = turn @ (old[:3, :3] / edges) * spacing
    centre = old[:3, :3] @ ((size - 1) / 2) + old[:3, 3] + how.shift * edges
    new[:3, 3] = centre - new[:3, :3] @ ((shape - 1) / 2)
    back = np.linalg.inv(old) @ new

    def resampled(array: Array, order: int, places: Sequence[Array]) -> hd.Volume:
        source = array.astype(np.float32)
        parts = [
            ndimage.affine_transform(
                source, back[:3, :3], back[:3, :3] @ place + back[:3, 3], tuple(shape), order=order, mode="nearest"
            )
            for place in places
        ]
        return hd.Volume(np.mean(parts, axis=0), new, coordinate_system="PATIENT")

    coarser = bool((spacing > 1.01 * edges).any())
    within = [np.array([a, b, c]) for a in (-0.25, 0.25) for b in (-0.25, 0.25) for c in (-0.25, 0.25)]
    image = resampled(case.volume.array, 3, within if coarser else [np.zeros(3)])
    grain = np.random.default_rng(0).normal(0.0, how.noise, image.shape) if how.noise else 0.0
    assert case.segmentation is not None
    labels = resampled(case.segmentation.labels.array, 0, [np.zeros(3)])
    regions = resampled(case.segmentation.regions.array, 0, [np.zeros(3)])
    segmentation = replace(case.segmentation, labels=labels.astype(np.uint8), regions=regions.astype(np.uint8))
    return case_of(image.with_array((image.array + grain).astype(np.float32)), segmentation)


def applicable(case: Case) -> list[Rescan]:
    """Rescans that make no voxel out of nothing: finer slices than the original's say nothing new."""
    edge = float(case.reading.source.slice_spacing)
    return [how for how in RESCANS if how.spacing is None or how.spacing[0] >= edge or how.spacing[0] == 1.0]


def differences(first: Figures, again: Figures) -> tuple[Array, float]:
    """Of the three heights and of the CT number; NaN where either is withheld."""
    return again.heights - first.heights, again.hu - first.hu


def line(how: Rescan, first: dict[Level, Figures], again: dict[Level, Figures]) -> tuple[object, ...]:
    """One line of the table: how many vertebrae, and how far apart."""
    apart = [differences(first[level], again[level]) for level in first if level in again]
    heights = np.abs(np.concatenate([h for h, _ in apart]))
    hu = np.abs(np.array([d for _, d in apart]))
    known = np.isfinite(np.concatenate([f.heights for f in first.values()]))
    lost = int(known.sum() - np.isfinite(heights).sum())
    heights, hu = heights[np.isfinite(heights)], hu[np.isfinite(hu)]
    if not heights.size:
        return how.name, 0, lost, "–", "–", "–", "–", "–", "–"
    return (
        how.name,
        heights.size,
        lost,
        f"{np.median(heights):.2f}",
        f"{heights.max():.2f}",
        f"{(heights <= GOAL_MM).sum()} of {heights.size}",
        f"{np.median(hu):.1f}" if hu.size else "–",
        f"{hu.max():.1f}" if hu.size else "–",
        f"{(hu <= GOAL_HU).sum()} of {hu.size}" if hu.size else "–",
    )


def _known(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else "–"


HEADER = (
    "scanned again", "heights", "withheld now", "median mm", "largest mm", "within 0.5 mm", "HU median",
    "HU largest", "within 3 HU",
)  # fmt: skip


def main() -> None:
    """Write one table per CT."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cts", nargs="*", default=list(CTS))
    given = parser.parse_args()
    parts = [
        "Image and reference masks scanned again in other ways; differences to the original's values. Goals: heights "
        "within 0.5 mm, CT numbers within 3 HU. A resampled image is blurred by the resampling as no real second scan "
        "would be.",
    ]
    for name in given.cts:
        case = reference_case(name)
        first = measured(case)
        edges = " × ".join(f"{e:g}" for e in np.linalg.norm(case.volume.affine[:3, :3], axis=0).round(2))
        parts.append(f"### {name} ({edges} mm)")
        original = [(x.value, *(_known(h, 2) for h in f.heights), _known(f.hu, 1)) for x, f in first.items()]
        parts.append(table(("original", "Ha mm", "Hm mm", "Hp mm", "HU"), original))
        lines = [line(how, first, measured(rescanned(case, how))) for how in applicable(case)]
        parts.append(table(HEADER, lines))
    text = "\n\n".join(parts)
    print(text)
    write_section("repeatability", "Repeatability", "python -m evidence.fractures.repeatability", text)


if __name__ == "__main__":
    main()
