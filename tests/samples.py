"""A real CT that anyone can fetch: the lumbar CT in the source package of TotalSegmentator 2.18.0 (Apache-2.0).

Downloaded once with pip, pinned by its checksum, and kept in the cache folder; nothing of it enters the
repository. The label maps beside it were made by a model: good to about a voxel, not truth.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).parent.parent / ".cache" / "samples"

_PACKAGE = "TotalSegmentator==2.18.0"
_SHA256 = "5d4223ef93973bc36d710869d11e7742ead2c154c72f7f9edcaaadd5b6c4bd03"
_MEMBERS = {
    "ct.nii.gz": "example_ct.nii.gz",
    "vertebrae.nii.gz": "spine_report/test_result/totalseg.nii.gz",
    "bodies.nii.gz": "spine_report/test_result/totalseg_vertebrae_body.nii.gz",
}


class SampleUnavailableError(Exception):
    """The sample is not in the cache and cannot be fetched."""


@dataclass(frozen=True)
class LumbarSample:
    """Non-contrast abdomen at 3 mm, T11 to S1, as NIfTI.

    Attributes:
        ct: HU.
        vertebrae: Reference labels (TotalSegmentator v2 ids: S1 26, L5 27 … L1 31, T12 32, T11 33).
        bodies: Reference mask of the vertebral bodies.
    """

    ct: Path
    vertebrae: Path
    bodies: Path


def lumbar_sample(cache: Path = CACHE) -> LumbarSample:
    """The sample, from the cache or fetched into it.

    Raises:
        SampleUnavailableError: pip cannot reach the package, or its checksum is another one.
    """
    folder = cache / "lumbar_3mm"
    sample = LumbarSample(*(folder / name for name in _MEMBERS))
    if not all((folder / name).exists() for name in _MEMBERS):
        with tempfile.TemporaryDirectory() as scratch:
            _unpack(_download(Path(scratch)), folder)
    return sample


def _download(scratch: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-binary", ":all:", "--dest", str(scratch), _PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    archives = list(scratch.glob("*.tar.gz"))
    if done.returncode != 0 or len(archives) != 1:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        msg = f"{_PACKAGE} cannot be fetched with pip: {last}"
        raise SampleUnavailableError(msg)
    if hashlib.sha256(archives[0].read_bytes()).hexdigest() != _SHA256:
        msg = f"{_PACKAGE} has another checksum than the pinned one; it was not used"
        raise SampleUnavailableError(msg)
    return archives[0]


def _unpack(archive: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as package:
        top = package.getnames()[0].split("/")[0]
        for name, member in _MEMBERS.items():
            source = package.extractfile(f"{top}/tests/reference_files/{member}")
            if source is None:
                msg = f"{_PACKAGE} has no {member}"
                raise SampleUnavailableError(msg)
            aside = folder / f".{name}.part"
            aside.write_bytes(source.read())
            aside.replace(folder / name)
