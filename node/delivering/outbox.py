"""Finished readings as folders that are whole or absent, and studies frozen for their reading.

A reading lies in ``outbox/<reading>/`` and never changes. While it is made it lies in
``work/<reading>/``: ``study/`` with links to the instances as they were when the study settled (slices
that arrive later belong to another reading), and one ``attempt-…/`` per attempt.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydicom import dcmread

from node.receiving.inbox import sync_folder
from operators.reading.document_reference import DocumentReference
from operators.reading.errors import RetriableError

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK})


class Outbox:
    """Folders of readings in work and of finished readings.

    Args:
        work, finished: Their roots, on one file system; made if missing.
    """

    def __init__(self, work: Path, finished: Path) -> None:
        self._work = work
        self._finished = finished
        work.mkdir(parents=True, exist_ok=True)
        finished.mkdir(parents=True, exist_ok=True)

    def freeze(self, reading: str, files: Sequence[Path]) -> Path:
        """Set the instances of a settled study apart; a second call changes nothing.

        Returns:
            The folder that holds them.
        """
        folder = self.frozen(reading)
        if folder.is_dir() or self.folder(reading).is_dir():
            return folder
        aside = self._work / f".{uuid.uuid4().hex}"
        aside.mkdir()
        for file in files:
            _link(file, aside / file.name)
        sync_folder(aside)
        folder.parent.mkdir(exist_ok=True)
        aside.rename(folder)
        sync_folder(folder.parent)
        return folder

    def frozen(self, reading: str) -> Path:
        """Folder of the instances that :meth:`freeze` set apart."""
        return self._work / reading / "study"

    @contextmanager
    def attempt(self, reading: str) -> Iterator[Path]:
        """Open a fresh folder for the results of one attempt, and remove what is left of it at the end."""
        folder = self._work / reading / f"attempt-{uuid.uuid4().hex[:8]}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, reading: str, attempt: Path) -> Path:
        """Make the results of an attempt the results of the reading.

        A reading that is already there stays: it was made from the same instances by the same software.

        Raises:
            RetriableError: They could not be written (disk full).
        """
        target = self.folder(reading)
        try:
            for path in (*attempt.rglob("*"), attempt):
                _sync(path)
            if not target.is_dir():
                attempt.rename(target)
            sync_folder(self._finished)
        except OSError as error:
            sentence = f"the results could not be stored ({os.strerror(error.errno or 0)}); free some space"
            raise RetriableError("outbox-not-writable", sentence) from error
        return target

    def folder(self, reading: str) -> Path:
        """Folder of a finished reading."""
        return self._finished / reading

    def reports(self, reading: str | None) -> tuple[DocumentReference, ...]:
        """Structured reports of a finished reading, for a later one to name; none where the reading is missing."""
        if reading is None:
            return ()
        heads = [dcmread(path, stop_before_pixels=True) for path in sorted(self.folder(reading).glob("sr*.dcm"))]
        return tuple(
            DocumentReference(
                sop_class_uid=str(head.SOPClassUID),
                sop_instance_uid=str(head.SOPInstanceUID),
                series_uid=str(head.SeriesInstanceUID),
                study_uid=str(head.StudyInstanceUID),
            )
            for head in heads
        )

    def tidy(self, reading: str) -> None:
        """Remove the files that only the reading needed; the received instances stay in the inbox."""
        shutil.rmtree(self._work / reading, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(source, target)
        _sync(target)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
