"""Received instances as files, safe from the moment on which their receipt is acknowledged.

Layout below the inbox folder::

    arriving/<node>/
                 being written; what lies here was never acknowledged
    studies/<Study Instance UID>/<SOP Instance UID>.dcm
    conflicts/<Study Instance UID>/<SOP Instance UID>.<digest>.dcm
                 same SOP Instance UID as another instance, different content
    own-results/<Study Instance UID>/<SOP Instance UID>.dcm
                 objects that Osteon made and somebody routed back
    quarantine/<Study Instance UID>/<SOP Instance UID>.dcm
                 instances that were acknowledged and turned out to be broken

Nothing is held in memory: what lies here is found again at every start.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from node.durable import sync
from node.receiving.dataset import Identity, same_content

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
"""Digits and dots, so that a UID is always safe as a file name. Leading zeros are against PS3.5 9.1
but do occur."""


def is_uid(text: str) -> bool:
    """Whether ``text`` can be used as a UID (and so as a file name)."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


class Receipt(StrEnum):
    """Fate of a received instance; each of them means that the instance is safely on disk."""

    STORED = "stored"
    REPEATED = "repeated"
    CONFLICT = "conflict"
    OWN_RESULT = "own-result"


@dataclass(frozen=True)
class Arrivals:
    """The instances of one study that have been received so far.

    Attributes:
        files: All of them, sorted by name.
        times: When each was written, seconds since the epoch.
        mark: Changes whenever an instance is added.
    """

    files: tuple[Path, ...]
    times: tuple[float, ...]
    mark: int


class Inbox:
    """Folder of received instances.

    Args:
        folder: Its root.
        node: Which node writes; several may share the folder.
        make: False for somebody who only looks, perhaps as another user.
    """

    def __init__(self, folder: Path, node: str = "osteon", *, make: bool = True) -> None:
        self._arriving = folder / "arriving" / node
        self._studies = folder / "studies"
        self._conflicts = folder / "conflicts"
        self._own = folder / "own-results"
        self._quarantine = folder / "quarantine"
        if make:
            for part in (self._arriving, self._studies, self._conflicts, self._own, self._quarantine):
                part.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def forget_unacknowledged(self) -> int:
        """Remove files that were half written when the last receiver ended; their senders repeat them.

        To be called before the receiver accepts anything.
        """
        older = (path for path in self._arriving.parent.iterdir() if path.is_file())  # of 8a1deb4 and before
        leftovers = [*self._arriving.iterdir(), *older]
        for path in leftovers:
            path.unlink()
        return len(leftovers)

    def free_bytes(self) -> int:
        """Free space of the file system."""
        return shutil.disk_usage(self._folder).free

    def put(self, identity: Identity, parts: Sequence[bytes]) -> Receipt:
        """Store one instance durably.

        Args:
            identity: Its UIDs, all of which pass :func:`is_uid`.
            parts: The file's bytes, in pieces.

        Raises:
            OSError: It could not be written; nothing of it remains.
        """
        aside = self._arriving / uuid.uuid4().hex
        try:
            _write(aside, parts)
            if identity.is_own_result:
                return self._put_aside(aside, self._own / identity.study, f"{identity.instance}.dcm")
            target = self._studies / identity.study / f"{identity.instance}.dcm"
            if _publish(aside, target):
                return Receipt.STORED
            if same_content(aside, target):
                return Receipt.REPEATED
            name = f"{identity.instance}.{_digest(aside)[:16]}.dcm"
            _publish(aside, self._conflicts / identity.study / name)
            return Receipt.CONFLICT
        finally:
            aside.unlink(missing_ok=True)

    @staticmethod
    def _put_aside(aside: Path, folder: Path, name: str) -> Receipt:
        _publish(aside, folder / name)
        return Receipt.OWN_RESULT

    def studies(self) -> Iterator[str]:
        """Study Instance UIDs of all received studies."""
        return _folders(self._studies)

    def marks(self) -> dict[str, int]:
        """The :attr:`Arrivals.mark` of every study, by a look at the folders and at no file."""
        if not self._studies.is_dir():
            return {}
        with os.scandir(self._studies) as entries:
            return {entry.name: entry.stat().st_mtime_ns for entry in entries if entry.is_dir()}

    def holds(self, study: str) -> bool:
        """Whether anything of a study is there."""
        return (self._studies / study).is_dir()

    def mark(self, study: str) -> int:
        """Mark of a study (:attr:`Arrivals.mark`), without a look at its files."""
        return (self._studies / study).stat().st_mtime_ns

    def arrivals(self, study: str) -> Arrivals:
        """The instances of a study."""
        mark = self.mark(study)  # before the listing: an instance added meanwhile is seen next time
        with os.scandir(self._studies / study) as entries:
            found = sorted((entry.name, entry.stat().st_mtime) for entry in entries)
        return Arrivals(
            files=tuple(self._studies / study / name for name, _ in found),
            times=tuple(time for _, time in found),
            mark=mark,
        )

    def conflicts(self, study: str) -> int:
        """Number of instances kept beside others of the same SOP Instance UID."""
        return _count(self._conflicts / study)

    def set_aside(self, file: Path) -> None:
        """Move a broken instance out of its study, so that the others can be read without it.

        Raises:
            OSError: The disk is full or read-only; it is still where it was.
        """
        target = self._quarantine / file.parent.name / file.name
        target.parent.mkdir(exist_ok=True)
        file.replace(target)
        sync(target.parent)
        sync(file.parent)

    def broken(self, study: str) -> int:
        """Number of instances in quarantine."""
        return _count(self._quarantine / study)

    def with_broken(self) -> Iterator[str]:
        """Study Instance UIDs of all studies that have instances in quarantine."""
        return _folders(self._quarantine)


def _folders(parent: Path) -> Iterator[str]:
    if not parent.is_dir():
        return
    with os.scandir(parent) as entries:
        yield from sorted(entry.name for entry in entries if entry.is_dir())


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0


def content_digest(study: str, files: Sequence[Path]) -> str:
    """SHA-256 over a study's UID, and the name (SOP Instance UID) and bytes of every instance, hex."""
    total = hashlib.sha256(study.encode())
    for file in sorted(files, key=lambda path: path.name):
        total.update(f"\n{file.name} {_digest(file)}".encode())
    return total.hexdigest()


def _write(path: Path, parts: Sequence[bytes]) -> None:
    with path.open("xb") as file:
        for part in parts:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())


def _publish(aside: Path, target: Path) -> bool:
    """Give a written file its final name, never over another file; False where the name is taken."""
    if not target.parent.is_dir():
        target.parent.mkdir(exist_ok=True)
        sync(target.parent.parent)
    try:
        target.hardlink_to(aside)
    except FileExistsError:
        return False
    sync(target.parent)
    return True


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
