"""A growing pool of samples on disk: one process draws them while another one trains.

    python -m models.vertebrae.training.pool DATA POOL --minutes 60 [--without BODY …] [--teacher WEIGHTS]

With a teacher, CTs that have no label map of the whole spine are bodies too: its networks outline their vertebrae.

Each file holds one volume at 3 mm and the crops at 1.5 mm that were cut from it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from models.vertebrae.training.atlas import Atlas, file_digest, prepare_atlases
from models.vertebrae.training.synthesis import REAL_SHARE, CoarseSample, FineSample, Synthesiser
from models.vertebrae.training.teacher import taught
from models.vertebrae.training.verse import MAPS as VERSE_MAPS
from models.vertebrae.training.verse import PAIR_MASK
from models.vertebrae.training.verse import PAIRS as VERSE_PAIRS
from models.vertebrae.weights import COARSE_FILE, FINE_FILE

LABEL_MAPS = ("s0004", "s0012", "s0327", "s0328")
"""Bodies without CT that the networks train on."""
PAIRS = ("chest_2p5mm",)
"""Bodies with CT and labels that the networks train on."""
TAUGHT = ("lumbar_3mm", "s0015", "s0029", "thorax_1p5mm")
"""Bodies with CT whose labels a teacher makes, see :mod:`models.vertebrae.training.teacher`."""
WEIGHTS = {
    "s0004": 3.0,
    "s0012": 2.0,
    "s0327": 3.0,
    "s0328": 2.0,
    "chest_2p5mm": 3.0,
    "lumbar_3mm": 1.5,
    "s0015": 2.0,
    "s0029": 3.0,
    "thorax_1p5mm": 2.0,
    "gl003": 3.0,
    "gl017": 3.0,
    "gl108": 3.0,
    "verse004": 2.0,
    "verse009": 3.0,
    "verse010": 1.0,
    "verse005": 1.5,
    "verse008": 1.5,
}
"""How often each body is drawn: those with more of the spine, and the necks, more often."""
FINE_CROPS = 3
"""Vertebrae that are cropped from one volume."""
COARSE_KEYS = ("hu", "regions", "levels", "phase", "offset")


@dataclass(frozen=True)
class PoolFile:
    """The arrays of one file.

    Attributes:
        coarse: Arrays of :class:`models.vertebrae.training.synthesis.CoarseSample` by name.
        fine_hu: ``(crops, z, y, x)`` int16.
        fine_classes: The same shape, uint8.
        fine_centres: ``(crops, 3)``, voxels.
    """

    coarse: dict[str, npt.NDArray[np.generic]]
    fine_hu: npt.NDArray[np.int16]
    fine_classes: npt.NDArray[np.uint8]
    fine_centres: npt.NDArray[np.float32]


def write_sample(path: Path, coarse: CoarseSample, fine: list[FineSample]) -> None:
    """Write one sample; the name appears only when the file is whole."""
    arrays = {key: getattr(coarse, key).numpy() for key in COARSE_KEYS}
    arrays["fine_hu"] = np.stack([f.hu.numpy() for f in fine]) if fine else np.zeros((0, 1, 1, 1), np.int16)
    arrays["fine_classes"] = np.stack([f.classes.numpy() for f in fine]) if fine else np.zeros((0, 1, 1, 1), np.uint8)
    arrays["fine_centres"] = np.array([f.centre for f in fine], np.float32).reshape(-1, 3)
    part = path.with_suffix(".part")
    with part.open("wb") as stream:
        np.savez(stream, **arrays)
    part.rename(path)


def read_sample(path: Path) -> PoolFile:
    """Read what :func:`write_sample` wrote."""
    with np.load(path) as data:
        return PoolFile(
            {key: data[key] for key in COARSE_KEYS}, data["fine_hu"], data["fine_classes"], data["fine_centres"]
        )


def data_digests(data: Path, without: Collection[str] = (), teacher: Path | None = None) -> dict[str, str]:
    """SHA-256 of every file that the pool is drawn from, the teacher's weights and the known centres among them."""
    files = [f"labels/{name}_labels.nii.gz" for name in LABEL_MAPS if name not in without]
    files += [f"ct/{name}/{kind}.nii.gz" for name in PAIRS if name not in without for kind in ("ct", "labels")]
    files += [f"labels_verse/{file}.nii.gz" for name, file in VERSE_MAPS.items() if name not in without]
    files += [f"ct/{name}/{kind}.nii.gz" for name in VERSE_PAIRS if name not in without for kind in ("ct", PAIR_MASK)]
    digests = {}
    if teacher is not None:
        files += [f"ct/{name}/ct.nii.gz" for name in TAUGHT if name not in without]
        files += ["truth_centroids.json"]
        digests = {f"teacher/{name}": file_digest(teacher / name) for name in (COARSE_FILE.name, FINE_FILE.name)}
    return {name: file_digest(data / name) for name in files} | digests


def keep_digests(file: Path, digests: dict[str, str]) -> None:
    """Write what a pool is drawn from beside it.

    Raises:
        ValueError: The pool was begun with other data: its list would deny what its samples show.
    """
    if file.exists():
        known = json.loads(file.read_text())
        changed = sorted(name for name in known.keys() | digests.keys() if known.get(name) != digests.get(name))
        if changed:
            msg = f"{file.parent} was begun with other data ({', '.join(changed)}): take another folder"
            raise ValueError(msg)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(digests, indent=1))


def fill_pool(
    data: Path,
    pool: Path,
    minutes: float,
    seed: int,
    keep: int,
    without: Collection[str] = (),
    teacher: Path | None = None,
) -> int:
    """Draw samples until the time is over or the pool is full.

    Args:
        data: The data folder.
        pool: The pool folder; made if missing. A pool that exists is continued.
        minutes: Wall-clock time to draw for.
        seed: Seed of the first sample; sample n has seed ``seed + n``.
        keep: Most files in the pool.
        without: Bodies to leave out, so that the network can be judged on them.
        teacher: Folder of the weights that outline the bodies of ``TAUGHT``; None leaves these out.

    Raises:
        ValueError: ``without`` names a body that there is not, or all of them, or the pool was begun with other data.
        models.vertebrae.training.teacher.TeachingError: The teacher misses vertebrae of one of its CTs.

    Returns:
        How many samples the pool holds.
    """
    torch.set_num_threads(1)
    every = [*LABEL_MAPS, *PAIRS, *VERSE_MAPS, *VERSE_PAIRS, *(TAUGHT if teacher else ())]
    unknown = set(without) - set(WEIGHTS)
    if unknown or set(every) <= set(without):
        msg = f"cannot leave out {', '.join(sorted(unknown)) or 'all bodies'}: there are {', '.join(every)}"
        raise ValueError(msg)
    maps, pairs, learners, verse_maps, verse_pairs = (
        [n for n in names if n in every and n not in without]
        for names in (LABEL_MAPS, PAIRS, TAUGHT, VERSE_MAPS, VERSE_PAIRS)
    )
    lessons = {name: partial(taught, data, name, teacher) for name in learners if teacher}
    keep_digests(pool / "data.json", data_digests(data, without, teacher))
    paths = prepare_atlases(data, pool / "atlas", maps, pairs, lessons, verse_maps, verse_pairs)
    atlases = [Atlas.load(path) for path in paths]
    spine_only = (*TAUGHT, *VERSE_PAIRS)
    makers = [Synthesiser(atlas, 1.0 if atlas.name in spine_only else REAL_SHARE) for atlas in atlases]
    weights = np.array([WEIGHTS[maker.atlas.name] for maker in makers])
    deadline = time.monotonic() + 60.0 * minutes
    number = 0
    while time.monotonic() < deadline and number < keep:
        path = pool / f"{seed + number:08d}.npz"
        number += 1
        if path.exists():
            continue
        choice = np.random.default_rng((seed + number, 7)).choice(len(makers), p=weights / weights.sum())
        coarse, fine = makers[int(choice)].draw(seed + number, fine_crops=FINE_CROPS)
        write_sample(path, coarse, fine)
    return len(list(pool.glob("*.npz")))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("pool", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=int, default=4000)
    parser.add_argument("--without", nargs="*", default=[], metavar="BODY", help="bodies to leave out")
    parser.add_argument("--teacher", type=Path, metavar="WEIGHTS", help="weights that outline CTs without labels")
    arguments = parser.parse_args()
    count = fill_pool(
        arguments.data,
        arguments.pool,
        arguments.minutes,
        arguments.seed,
        arguments.keep,
        arguments.without,
        arguments.teacher,
    )
    print(f"{count} samples in {arguments.pool}")


if __name__ == "__main__":
    main()
