"""Processor seconds of every step of the graph over one study, as JSON: the part of step_shares that runs per commit.

    PYTHONPATH=COMMIT python -P evidence/speed/step_times.py STUDY MASKS OUT [--repeats 3]

A file of its own that needs nothing of this folder, so that it can be run against the packages of any commit. The
vertebrae come from a file: what a network takes is not asked. The pipeline's version is left out of the results,
so that those of two commits can be compared byte by byte.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from operators import runtime

runtime.prepare()  # before the SDK: it links the CUDA runtime even where there is no GPU

import highdicom as hd  # noqa: E402
import numpy as np  # noqa: E402

from models.anatomy import Anchor, Level  # noqa: E402
from models.engine import Numbering, SpineSegmentation, VertebraInstance  # noqa: E402
from operators.application import read_study  # noqa: E402
from operators.reading.options import Kind, ReadingOptions  # noqa: E402
from operators.study import provenance  # noqa: E402

try:
    from models.engines.registry import ENGINES
    from operators.reading.job import Job

    register = ENGINES.register
except ImportError:  # commits up to 8a1deb4
    from models.engine import register_engine as register
    from operators.reading.case import Job

AT = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
GRAPH = "(graph)"
"""Everything before the first step: composing the graph, loading small networks."""


class StoredEngine:
    """Answers with masks from a file."""

    name, version, digest = "stored", "1", "0" * 64

    def __init__(self, file: Path) -> None:
        with np.load(file) as stored:
            self.labels, self.regions = stored["labels"], stored["regions"]
            told = json.loads(str(stored["told"]))
        self.found = SpineSegmentation(
            labels=None,
            regions=None,
            vertebrae=tuple(_instance(one) for one in told["vertebrae"]),
            numbering=Numbering(told["numbering"]),
            anchors=tuple(Anchor(anchor) for anchor in told["anchors"]),
            margin=told["margin"],
        )

    def segment(self, volume: hd.Volume) -> SpineSegmentation:
        """The stored masks on the grid of the volume."""
        return replace(self.found, labels=volume.with_array(self.labels), regions=volume.with_array(self.regions))


def store_masks(found: SpineSegmentation, file: Path) -> None:
    """Write what an engine found for :class:`StoredEngine`."""
    vertebrae = [{**vars(one), "centroid": list(one.centroid)} for one in found.vertebrae]
    told = {"vertebrae": vertebrae, "numbering": found.numbering, "anchors": found.anchors, "margin": found.margin}
    np.savez_compressed(file, labels=found.labels.array, regions=found.regions.array, told=json.dumps(told))


def _instance(stored: dict[str, object]) -> VertebraInstance:
    alternative = stored["alternative"]
    return VertebraInstance(
        **{
            **stored,
            "level": Level(stored["level"]),
            "alternative": alternative and Level(alternative),
            "centroid": tuple(stored["centroid"]),
        }
    )


def processor_seconds() -> float:
    """Of all threads of this process and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def run(study: Path, out: Path, options: ReadingOptions) -> list[tuple[str, float, float]]:
    """Processor and wall seconds of every step of one run, in their order."""
    marks = [(GRAPH, processor_seconds(), time.perf_counter())]
    read_study(
        Job(study=study, out=out, at=AT, engine="stored", options=options),
        lambda step: marks.append((step, processor_seconds(), time.perf_counter())),
    )
    marks.append(("", processor_seconds(), time.perf_counter()))
    pairs = itertools.pairwise(marks)
    return [(name, after[1] - used, after[2] - began) for (name, used, began), after in pairs]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("masks", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--usual", action="store_true", help="SEG and SR only, as a site gets them without asking")
    parser.add_argument("--all-options", action="store_true")
    arguments = parser.parse_args()
    provenance.pipeline_version = lambda: "0"
    engine = StoredEngine(arguments.masks)
    register("stored", lambda: engine)
    more = {"internal_calibration": True, "comparator": True} if arguments.all_options else {}
    options = ReadingOptions(**more) if arguments.usual else ReadingOptions(kinds=tuple(Kind), **more)
    least: dict[str, tuple[float, float]] = {}
    for _ in range(arguments.repeats):
        for name, used, took in run(arguments.study, arguments.out, options):
            before = least.get(name, (float("inf"), float("inf")))
            least[name] = min(before[0], used), min(before[1], took)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"steps": least, "peak_gib": peak}))


if __name__ == "__main__":
    main()
