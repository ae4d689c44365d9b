"""Studies frozen for their reading: the instances as they were when the study settled.

``inputs/<reading>/`` holds links to them. Slices that arrive later belong to another reading. A node of 8a1deb4 or
before froze into ``work/<reading>/study/``; such folders are moved here at the start.
"""

from __future__ import annotations

import errno
import shutil
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from node.durable import sync

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK})
_FORMERLY = "study"
_LEFT_SECONDS = 3600.0


class FrozenInputs:
    """The folder with the inputs of all readings that are not finished.

    Args:
        folder: Its root, on the inbox's file system; made if missing.
        work: Where nodes of 8a1deb4 and before froze studies.
    """

    def __init__(self, folder: Path, work: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._take_over(work)

    def freeze(self, reading: str, files: Sequence[Path]) -> Path:
        """Set the instances of a settled study apart; done again it changes nothing.

        Returns:
            The folder that holds them.

        Raises:
            OSError: The disk is full, or a file is gone.
        """
        folder = self.of(reading)
        if folder.is_dir():
            return folder
        aside = self._folder / f".{uuid.uuid4().hex}"
        aside.mkdir()
        try:
            for file in files:
                _link(file, aside / file.name)
            sync(aside)
            aside.rename(folder)
        except OSError:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        sync(self._folder)
        return folder

    def of(self, reading: str) -> Path:
        """Where :meth:`freeze` puts the instances of a reading."""
        return self._folder / reading

    def release(self, reading: str) -> None:
        """Forget the input of a reading; the received instances stay in the inbox."""
        shutil.rmtree(self.of(reading), ignore_errors=True)

    def _take_over(self, work: Path) -> None:
        for left in (*work.glob(".*"), *self._folder.glob(".*")):  # killed while it was being set apart
            if time.time() - left.stat().st_mtime > _LEFT_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        for former in work.glob(f"*/{_FORMERLY}"):
            if not self.of(former.parent.name).is_dir():
                former.rename(self.of(former.parent.name))
        sync(self._folder)


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(source, target)
        sync(target)
