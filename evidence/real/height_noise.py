"""What noise does to heights and grades: real CTs with noise added, beside the same CTs without it.

The limit of :func:`operators.quality.ct_numbers.height_noise_gate` rests on this table. The noise is Gaussian with the
texture of a soft kernel; a real low-dose scan has streaks besides.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import highdicom as hd
import numpy as np
from scipy import ndimage

from evidence.evidence import table
from evidence.real.cases import DATA, Figures
from evidence.real.cases import measured as measured_case
from models.anatomy import Level
from models.engine import VertebraEngine
from models.engines.registry import ENGINES
from models.vertebrae.evaluation.references import read_volume
from operators.quality.ct_numbers import body_deviation
from tests.operators.measured_case import case_of

CTS = ("lumbar_3mm", "thorax_1p5mm")
ADDED = (0.0, 60.0, 90.0, 120.0, 160.0)
"""Standard deviations of the added noise, HU."""
TEXTURE_PIXELS = 0.8
"""Standard deviation of the blur that gives the noise its texture."""
HEADER = ("CT", "added HU", "within bodies HU", "vertebrae", "median mm", "largest mm", "grades changed")
"""Largest and median difference of a height to that without noise."""


def with_noise(volume: hd.Volume, deviation: float) -> hd.Volume:
    """A volume of axial slices with noise of this standard deviation, the same at every call."""
    noise = np.random.default_rng(0).normal(0.0, 1.0, volume.spatial_shape).astype(np.float32)
    blurred = ndimage.gaussian_filter(noise, (0.0, TEXTURE_PIXELS, TEXTURE_PIXELS))
    return volume.with_array(volume.array + deviation * blurred / blurred.std())


def measured(volume: hd.Volume, engine: VertebraEngine) -> tuple[dict[Level, Figures], float | None]:
    """Figures by level, by the engine's own masks, and the noise within the bodies."""
    found = engine.segment(volume)
    return measured_case(case_of(volume, found)), body_deviation(volume, found)


def line(
    name: str, added: float, clean: dict[Level, Figures], noisy: dict[Level, Figures], within: float | None
) -> Sequence[object]:
    """One row: what has changed against the image without noise."""
    shared = [level for level in clean if level in noisy]
    apart = np.array([np.abs(noisy[level].heights - clean[level].heights).max() for level in shared])
    apart = apart[np.isfinite(apart)]
    graded = [level for level in shared if clean[level].grade is not None and noisy[level].grade is not None]
    changed = sum(clean[level].grade != noisy[level].grade for level in graded)
    return (
        name,
        f"{added:.0f}",
        "–" if within is None else f"{within:.0f}",
        apart.size,
        f"{np.median(apart):.1f}" if apart.size else "–",
        f"{apart.max():.1f}" if apart.size else "–",
        f"{changed} of {len(graded)}",
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cts", nargs="*", default=list(CTS))
    engine, rows = ENGINES.get("osteon"), []
    for name in parser.parse_args().cts:
        read = read_volume(DATA / "ct" / name / "ct.nii.gz")
        volume = read.astype(np.float32).to_patient_orientation(("F", "P", "L"))
        clean, _ = measured(volume, engine)
        for added in ADDED:
            noisy, within = measured(with_noise(volume, added), engine)
            rows.append(line(name, added, clean, noisy, within))
            print(*rows[-1], flush=True)
    print(table(HEADER, rows))


if __name__ == "__main__":
    main()
