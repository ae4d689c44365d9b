"""Processor time of each step of the graph but the network, and the ratio to another commit's.

    python -m evidence.speed.step_shares [--ct torso|lumbar|phantom] [--usual] [--against COMMIT]

The torso is a CT of 280 slices of 512 × 512 made from ``ct/s0029`` of the shared data, ``lumbar`` the CT of the demo
in its own matrix, ``phantom`` a digital spine with a fracture. Each is written once as a DICOM series, its vertebrae
are found once, and both are kept in ``.cache/step_shares``; then the whole graph reads it with every kind of result,
or with ``--usual`` the three objects that a site gets without asking.

Processor seconds of all threads are counted, not time on the clock, because machines are shared; the least of all
repeats is taken for every step. With ``--against`` a worktree of that commit is made, reads the same files in turns
with this one, is compared with it file by file, and is removed.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import highdicom as hd
import numpy as np
from scipy import ndimage

from evidence.speed.step_times import store_masks
from models.anatomy import Level
from models.engines.registry import ENGINES
from models.vertebrae.evaluation.references import read_volume
from operators.fractures.results import Shape
from tests.conftest import ROOT
from tests.demo import write_lumbar_series
from tests.phantoms.ct_series import CTHeader, write_ct_series
from tests.phantoms.spine import Fracture, SpinePhantom
from tests.samples import lumbar_sample

CACHE = ROOT / ".cache" / "step_shares"
TORSO_SHAPE = (280, 512, 512)
TORSO_SPACING = (2.0, 0.88, 0.88)
NETWORK = "SegmentVertebrae"
"""The one step whose time is not that of Osteon's own code here."""


def write_study(name: str, folder: Path, data: Path) -> None:
    """Write one of the CTs as a DICOM series."""
    if name == "lumbar":
        write_lumbar_series(lumbar_sample(), folder)
    elif name == "phantom":
        spine = SpinePhantom(levels=(Level.T11, Level.L4), fractures={Level.L2: Fracture(Shape.WEDGE, 0.35)})
        write_ct_series(spine.build(pixel_spacing=1.0, slice_spacing=2.0).volume, folder, CTHeader(seed=name))
    else:
        write_ct_series(torso(data / "ct" / "s0029" / "ct.nii.gz"), folder, CTHeader(seed=name))


def torso(file: Path) -> hd.Volume:
    """A torso on the grid of a usual scan; nothing comes from outside of the CT but air."""
    source = read_volume(file).to_patient_orientation("HPL")
    steps = np.array(TORSO_SPACING) / np.array(source.spacing)
    offset = (np.array(source.spatial_shape) - np.array(TORSO_SHAPE) * steps) / 2
    array = ndimage.affine_transform(
        source.array.astype(np.float32), steps, offset, TORSO_SHAPE, order=1, mode="constant", cval=-1024.0
    )
    array += np.random.default_rng(0).normal(0, 15, TORSO_SHAPE).astype(np.float32)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]]) * np.array(TORSO_SPACING)
    return hd.Volume(np.rint(np.clip(array, -1024, 3071)), affine, coordinate_system="PATIENT")


def prepared(name: str, data: Path) -> tuple[Path, Path]:
    """The study and the masks of one of the CTs, made once."""
    folder = CACHE / name
    study, masks = folder / "study", folder / "masks.npz"
    if not masks.exists():
        from evidence.speed.step_times import AT
        from operators.reading.job import Job
        from operators.study.load import load_volume
        from operators.study.provenance import provenance_of
        from operators.study.receive import receive_study
        from operators.study.select import select_series

        write_study(name, study, data)
        engine = ENGINES.get("osteon")
        job = Job(study=study, out=folder, at=AT)
        case = load_volume(job, select_series(receive_study(study)), provenance_of(engine))
        store_masks(engine.segment(case.volume), masks)
    return study, masks


@contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """The files of a commit beside this one's, for as long as they are needed."""
    with tempfile.TemporaryDirectory(prefix="step_shares.") as scratch:
        root = Path(scratch) / "tree"
        subprocess.run(["git", "worktree", "add", "--detach", "--quiet", root, commit], cwd=ROOT, check=True)
        try:
            yield root
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", root], cwd=ROOT, check=True)


def measure(root: Path, study: Path, masks: Path, out: Path, options: list[str]) -> dict[str, dict[str, list[float]]]:
    """Run the graph of one commit in a process of its own."""
    script = Path(__file__).with_name("step_times.py")
    command = [sys.executable, "-P", script, study, masks, out, *options]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def least(runs: list[dict[str, dict[str, list[float]]]]) -> dict[str, tuple[float, float]]:
    """Least processor and wall seconds of every step."""
    names = dict.fromkeys(name for run in runs for name in run["steps"])
    found = {}
    for name in names:
        pairs = [run["steps"][name] for run in runs if name in run["steps"]]
        found[name] = min(used for used, _ in pairs), min(took for _, took in pairs)
    return found


def table(ours: Mapping[str, tuple[float, float]], theirs: Mapping[str, tuple[float, float]] | None) -> str:
    """The steps as Markdown; ratios below 1 are faster than the other commit."""
    names = [name for name in dict.fromkeys([*ours, *(theirs or {})]) if name != NETWORK]
    whole = sum(ours[name][0] for name in names if name in ours)
    head = "| step | processor s | share | wall s |" + (" other commit s | ratio |" if theirs else "")
    lines = [head, "|---|---:|---:|---:|" + ("---:|---:|" if theirs else "")]

    def line(name: str, own: tuple[float, float] | None, other: float | None) -> str:
        cells = [name, *(f"{own[0]:.2f} {100 * own[0] / whole:.0f}% {own[1]:.2f}".split() if own else ["–"] * 3)]
        if theirs:
            cells.append("–" if other is None else f"{other:.2f}")
            cells.append(f"{own[0] / other:.2f}" if own and other else "–")
        return "| " + " | ".join(cells) + " |"

    for name in names:
        other = None if not theirs or name not in theirs else theirs[name][0]
        lines.append(line(name, ours.get(name), other))
    walls = sum(ours[name][1] for name in names if name in ours)
    others = sum(theirs[name][0] for name in names if name in theirs) if theirs else None
    return "\n".join([*lines, line("**all but the network**", (whole, walls), others)])


def compare(ours: Path, theirs: Path) -> str:
    """Which files of two results differ."""
    names = sorted({path.name for folder in (ours, theirs) for path in folder.iterdir()})
    _, differing, missing = filecmp.cmpfiles(ours, theirs, names, shallow=False)
    if not differing and not missing:
        return f"All {len(names)} files of the results are the same bytes: {', '.join(names)}."
    return f"Of {len(names)} files differ: {', '.join([*differing, *missing])}."


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=ROOT.parent / "shared" / "data")
    parser.add_argument("--ct", choices=("torso", "lumbar", "phantom"), default="torso")
    parser.add_argument("--against", metavar="COMMIT", help="another commit, measured in turns with this one")
    parser.add_argument("--repeats", type=int, default=3, help="runs in one process")
    parser.add_argument("--rounds", type=int, default=2, help="processes for each commit")
    parser.add_argument("--usual", action="store_true", help="SEG and SR only, as a site gets them without asking")
    parser.add_argument("--all-options", action="store_true", help="internal calibration and comparator too")
    parser.add_argument("--keep", type=Path, help="folder in which the results stay, ours/ and theirs/")
    arguments = parser.parse_args()
    study, masks = prepared(arguments.ct, arguments.data)
    switches = {"--usual": arguments.usual, "--all-options": arguments.all_options}
    options = ["--repeats", str(arguments.repeats), *(name for name, chosen in switches.items() if chosen)]
    with tempfile.TemporaryDirectory() as scratch:
        results = (arguments.keep or Path(scratch)).resolve()
        mine, other = results / "ours", results / "theirs"
        if arguments.against is None:
            runs = [measure(ROOT, study, masks, mine, options) for _ in range(arguments.rounds)]
            print(table(least(runs), None))
            return
        runs, their_runs = [], []
        with worktree(arguments.against) as root:
            for _ in range(arguments.rounds):
                their_runs.append(measure(root, study, masks, other, options))
                runs.append(measure(ROOT, study, masks, mine, options))
        print(table(least(runs), least(their_runs)))
        peaks = (max(run["peak_gib"] for run in some) for some in (runs, their_runs))
        print("\nPeak memory {:.2f} GiB, other commit {:.2f} GiB.".format(*peaks))
        print(compare(mine, other))


if __name__ == "__main__":
    main()
