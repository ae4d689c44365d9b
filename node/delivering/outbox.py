"""Finished readings as folders that are whole or absent.

A reading lies in ``outbox/<reading>/`` and never changes. While it is made it lies in
``work/<reading>/``, one ``attempt-…/`` per attempt.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom import dcmread

from node.durable import sync
from operators.reading.document_reference import DocumentReference
from operators.reading.errors import RetriableError


class Outbox:
    """The work and outbox folders.

    Args:
        work, finished: Their roots, on one file system; made if missing.
    """

    def __init__(self, work: Path, finished: Path) -> None:
        self._work = work
        self._finished = finished
        work.mkdir(parents=True, exist_ok=True)
        finished.mkdir(parents=True, exist_ok=True)

    def has(self, reading: str) -> bool:
        """Whether a reading is finished."""
        return self.folder(reading).is_dir()

    @contextmanager
    def attempt(self, reading: str) -> Iterator[Path]:
        """A fresh folder for the results of one attempt; what is left of it at the end is removed.

        Raises:
            OSError: It cannot be made (disk full).
        """
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
                sync(path)
            if not self.has(reading):
                attempt.rename(target)
            sync(self._finished)
        except OSError as error:
            sentence = f"the results could not be stored ({os.strerror(error.errno or 0)}); free some space"
            raise RetriableError("outbox-not-writable", sentence) from error
        return target

    def folder(self, reading: str) -> Path:
        """Where a finished reading lies."""
        return self._finished / reading

    def reports(self, reading: str | None) -> tuple[DocumentReference, ...]:
        """The structured reports of a finished reading, for a later one to name; none where it is not there."""
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
        """Remove what was only needed while reading."""
        shutil.rmtree(self._work / reading, ignore_errors=True)
