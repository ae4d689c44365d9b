"""Mutated studies against the reading side: receiving, selection and loading.

Every outcome must be a reading or a named refusal: no other exception, no case over :data:`LONGEST_S`, memory
within :data:`MOST_MEMORY`. A case is its number alone, so that ``--first N --count 1`` repeats it.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import FrameType

import highdicom as hd
import numpy as np
from pydicom import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from operators.reading.case import Job
from operators.reading.errors import PermanentError
from operators.reading.provenance import Provenance
from operators.study.load import load_volume
from operators.study.receive import receive_study
from operators.study.select import select_series
from tests.operators import ct_files
from tests.phantoms.ct_series import write_enhanced_ct

LONGEST_S = 60
MOST_MEMORY = 8 << 30
"""Address space of the command, bytes."""
SLICES = 18
BY = Provenance(pipeline="0", engine="none", engine_version="0", engine_digest="0")
Files = dict[str, bytes]
Mutation = Callable[[bytearray, np.random.Generator], None]
_PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)
SYNTAXES = (*_PLAIN, JPEGLSLossless, RLELossless)
_NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
_TEXTS = (
    b"",
    b" ",
    b"\\",
    b"NAN",
    b"1e999",
    b"-1",
    b"0",
    b"999999999999",
    b"\xff\xfe\x00",
    b"\x1b$B",
    b"1\\2\\3\\4\\5\\6\\7",
    b"A" * 300,
)


@cache
def bases() -> tuple[Files, ...]:
    """Small whole studies, by file name: one for every way to store them that is read."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for syntax in SYNTAXES:
            where = Path(folder) / str(syntax)
            where.mkdir()
            for index in range(SLICES):
                _stored(index, syntax, where / f"{index:02d}.dcm")
            found.append({path.name: path.read_bytes() for path in sorted(where.iterdir())})
        affine = np.array([[0, 0, 1.0, -8], [0, 1.0, 0, -8], [-2.5, 0, 0, 100], [0, 0, 0, 1]])
        volume = hd.Volume(np.full((SLICES, 16, 16), 40, np.float32), affine, coordinate_system="PATIENT")
        (path,) = write_enhanced_ct(volume, Path(folder) / "enhanced")
        found.append({path.name: path.read_bytes()})
    return tuple(found)


def _stored(index: int, syntax: UID, path: Path) -> None:
    dataset = ct_files.plain_slice(index)
    reference = Dataset()
    reference.ReferencedSOPInstanceUID = "1.2.3"
    inner = Dataset()
    inner.ReferencedImageSequence = [reference]
    dataset.RequestAttributesSequence = [inner]
    if syntax.is_encapsulated:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, enforce_file_format=True)


def flip_bytes(content: bytearray, rng: np.random.Generator) -> None:
    """Other values for a few bytes anywhere."""
    for place in rng.integers(0, len(content), int(rng.integers(1, 12))):
        content[place] = int(rng.integers(0, 256))


def flip_header(content: bytearray, rng: np.random.Generator) -> None:
    """Other values for a few bytes behind the preamble."""
    for place in rng.integers(128, min(len(content), 1600), int(rng.integers(1, 8))):
        content[place] = int(rng.integers(0, 256))


def cut(content: bytearray, rng: np.random.Generator) -> None:
    """The end is missing."""
    del content[int(rng.integers(0, len(content))) :]


def drop(content: bytearray, rng: np.random.Generator) -> None:
    """A piece in the middle is missing."""
    start = int(rng.integers(0, len(content)))
    del content[start : start + int(rng.integers(1, 64))]


def double(content: bytearray, rng: np.random.Generator) -> None:
    """A piece stands there twice."""
    start = int(rng.integers(0, len(content)))
    content[start:start] = content[start : start + int(rng.integers(1, 400))]


def other_length(content: bytearray, rng: np.random.Generator) -> None:
    """A number in the header becomes a hostile one; many of them are lengths."""
    width = int(rng.choice([2, 4]))
    place = int(rng.integers(132, max(133, min(len(content), 1600) - width)))
    number = int(rng.choice(_NUMBERS)) & (256**width - 1)
    content[place : place + width] = number.to_bytes(width, "little")


def other_value(content: bytearray, rng: np.random.Generator) -> None:
    """The value of an explicit element of text or numbers is another, with its length put right."""
    places = [
        place
        for place in range(140, min(len(content), 2500) - 8)
        if content[place + 4 : place + 6] in (b"DS", b"IS", b"CS", b"UI", b"LO", b"PN", b"DA", b"TM", b"AS", b"US")
    ]
    if places:
        place = int(rng.choice(places))
        length = int.from_bytes(content[place + 6 : place + 8], "little")
        value = _TEXTS[int(rng.integers(0, len(_TEXTS)))]
        value += b" " * (len(value) % 2)
        content[place + 6 : place + 8 + length] = len(value).to_bytes(2, "little") + value


def nest(content: bytearray, rng: np.random.Generator) -> None:
    """Sequences of undefined length within each other, up to thousands deep, and seldom closed."""
    depth = int(rng.choice([3, 60, 2000]))
    begin = b"\x40\x00\x75\x02SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    place = int(rng.integers(140, max(141, min(len(content), 1200))))
    content[place:place] = begin * depth


MUTATIONS: tuple[Mutation, ...] = (
    flip_bytes,
    flip_header,
    cut,
    drop,
    double,
    other_length,
    other_value,
    nest,
)


def mutated(number: int) -> Files:
    """Study number ``number``: one of the bases, in which one to all files are mutated once or several times."""
    rng = np.random.default_rng(number)
    files = dict(bases()[int(rng.integers(0, len(bases())))])
    how_many = int(rng.choice([1, 2, len(files)]))
    shared = [MUTATIONS[int(i)] for i in rng.integers(0, len(MUTATIONS), int(rng.integers(1, 4)))]
    seed = int(rng.integers(0, 2**32))
    for name in rng.permutation(sorted(files))[:how_many].tolist():
        content = bytearray(files[name])
        # Where all files are mutated they are so alike, or the series would always fall apart.
        own = np.random.default_rng(seed if how_many == len(files) else rng.integers(0, 2**32))
        for mutation in shared:
            if len(content) > 200:
                mutation(content, own)
        files[name] = bytes(content)
    return files


def outcome(number: int, folder: Path) -> str:
    """Read study ``number``: ``reading``, or the code of the refusal.

    Raises:
        Exception: Anything else, which is a defect; an error that says to try again, too.
        TimeoutError: It takes longer than :data:`LONGEST_S`.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in mutated(number).items():
        (folder / name).write_bytes(content)
    job = Job(study=folder, out=folder, at=datetime(2026, 1, 2, tzinfo=UTC))
    try:
        with _limited(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            load_volume(job, select_series(receive_study(folder)), BY)
    except PermanentError as error:
        return error.code
    return "reading"


@contextmanager
def _limited() -> Iterator[None]:
    def stop(_: int, __: FrameType | None) -> None:
        msg = f"not done after {LONGEST_S} s"
        raise TimeoutError(msg)

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def main() -> int:
    """Run a range of cases and say what came of them; 1 where one is a defect."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    outcomes: Counter[str] = Counter()
    defects, slowest, begun = [], 0.0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(given.first, given.first + given.count):
            start = time.monotonic()
            if start - begun > given.seconds:
                break
            try:
                outcomes[outcome(number, Path(folder) / "study")] += 1
            except Exception as error:  # noqa: BLE001 -- every kind of it is what is looked for
                defects.append(number)
                outcomes[f"DEFECT {type(error).__name__}"] += 1
                traceback.print_exc()
            slowest = max(slowest, time.monotonic() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{outcomes.total()} studies, slowest {slowest:.1f} s, peak {peak:.0f} MB, defects: {defects or 'none'}")
    for name, count in outcomes.most_common():
        print(f"{count:8d}  {name}")
    return 1 if defects else 0


if __name__ == "__main__":
    sys.exit(main())
