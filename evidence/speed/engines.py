"""Our engine against TotalSegmentator's networks: the same CT, the same cores, the same run.

    python -m evidence.speed.engines [DATA] [--repeats 3] [--windows 2] [--full]

The CT is a torso of 300 slices of 512 × 512, made from ``ct/s0029`` where the shared data lie (a real
torso gives our engine its 18 vertebrae to outline), else a built body. Ours is timed from the volume to
the instances. Of theirs only the network is timed, with random weights (they decide no time): model 292
(vertebrae, 1.5 mm) and model 297 (all structures, 3 mm), in windows of 128³ with half of each shared, as
nnU-Net does it; resampling and writing come on top there. One window takes seconds and a torso has
dozens, so that by default some windows are timed, the fastest counts, and the time of all of them is
calculated; ``--full`` runs them all. Everything computes as it is fastest: theirs in bfloat16 too,
where the processor has it. Other work on the machine disturbs: repeat, and the minimum is taken.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import numpy as np
import torch
from scipy import ndimage

from models.compute import Compute
from models.engines.plain_unet import PlainUNet, UNetPlan
from models.engines.sliding import Shape, window_count
from models.vertebrae.engine import VertebraNetwork
from models.vertebrae.evaluation.references import read_volume
from tests.conftest import ROOT

SHAPE = (300, 512, 512)
SPACING = (2.0, 0.88, 0.88)
WINDOW: Shape = (128, 128, 128)
BODY_ABOVE = -500.0
PLANS = {"vertebrae, 1.5 mm (model 292)": (1.5, 6, 27), "all, 3 mm (model 297)": (3.0, 5, 118)}
"""Spacing, stages and classes of TotalSegmentator's networks."""


def torso(data: Path) -> hd.Volume:
    """300 slices of 512 × 512."""
    file = data / "ct" / "s0029" / "ct.nii.gz"
    rng = np.random.default_rng(0)
    if not file.exists():
        y, x = np.mgrid[:512, :512] - 256.0
        plane = np.where((y / 150) ** 2 + (x / 220) ** 2 < 1, 40.0, -1000.0)
        array = np.broadcast_to(plane, SHAPE) + rng.normal(0, 15, SHAPE)
        return _volume(array)
    source = read_volume(file).to_patient_orientation("HPL")
    steps = np.array(SPACING) / np.array(source.spacing)
    offset = (np.array(source.spatial_shape) - np.array(SHAPE) * steps) / 2
    array = ndimage.affine_transform(
        source.array.astype(np.float32), steps, offset, SHAPE, order=1, mode="constant", cval=-1024.0
    )
    return _volume(array + rng.normal(0, 15, SHAPE).astype(np.float32))


def _volume(array: np.ndarray) -> hd.Volume:
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = *SPACING, 1.0
    return hd.Volume(np.clip(array, -1024, 3071).astype(np.float32), affine, coordinate_system="PATIENT")


def fastest(task: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Least wall-clock and least processor seconds of some runs."""
    wall, processor = [], []
    for _ in range(repeats):
        started, used = time.perf_counter(), time.process_time()
        task()
        wall.append(time.perf_counter() - started)
        processor.append(time.process_time() - used)
    return min(wall), min(processor)


def body_shape(volume: hd.Volume, spacing: float) -> Shape:
    """Voxels of the body's box at a spacing: what has to be covered with windows."""
    solid = volume.array > BODY_ABOVE
    sides = []
    for axis, own in enumerate(volume.spacing):
        rows = np.flatnonzero(solid.any(axis=tuple(a for a in range(3) if a != axis)))
        sides.append(int(np.ceil((rows[-1] - rows[0] + 1) * own / spacing)))
    return sides[0], sides[1], sides[2]


def their_network(stages: int, classes: int) -> PlainUNet:
    """TotalSegmentator's network with random weights."""
    features = tuple(min(32 * 2**stage, 320) for stage in range(stages))
    strides = ((1, 1, 1), *((2, 2, 2),) * (stages - 1))
    plan = UNetPlan(features, ((3, 3, 3),) * stages, strides, (2,) * stages, (2,) * (stages - 1))
    return PlainUNet(plan, classes).eval().requires_grad_(False)


def say(line: str) -> None:
    """Print at once: a run takes minutes and is watched."""
    print(line, flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=ROOT.parent / "shared" / "data")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--windows", type=int, default=2)
    parser.add_argument("--full", action="store_true")
    arguments = parser.parse_args()
    compute = Compute.here()
    cores = len(os.sched_getaffinity(0))
    say(f"{cores} cores, {torch.get_num_threads()} threads, {compute.device}, {compute.precision or torch.float32}")
    volume = torso(arguments.data)
    engine = VertebraNetwork(compute)
    found: list[int] = []
    wall, processor = fastest(lambda: found.append(len(engine.segment(volume).vertebrae)), arguments.repeats)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    say(f"ours: {wall:.1f} s wall, {processor:.1f} s processor, {found[-1]} vertebrae, {peak:.2f} GiB")
    for name, (spacing, stages, classes) in PLANS.items():
        network = their_network(stages, classes).to(compute.device)
        count = window_count(body_shape(volume, spacing), WINDOW)
        asked = count if arguments.full else arguments.windows
        image = torch.zeros((1, 1, *WINDOW), device=compute.device)

        def ask(network: PlainUNet = network, image: torch.Tensor = image) -> None:
            with torch.inference_mode(), compute.autocast():
                network(image).float().cpu()

        if arguments.full:
            theirs, used = fastest(lambda ask=ask, count=count: [ask() for _ in range(count)], 1)
        else:
            theirs, used = (count * seconds for seconds in fastest(ask, asked))
        how = "measured" if arguments.full else f"from the fastest of {asked} windows"
        say(f"TotalSegmentator {name}: {theirs:.1f} s wall, {used:.1f} s processor, {count} windows, {how}")
        say(f"  ratio to ours: {theirs / wall:.1f} by wall clock, {used / processor:.1f} by processor time")


if __name__ == "__main__":
    main()
