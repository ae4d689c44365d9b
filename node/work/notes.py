"""Small files that say up to where each study was handed on, and which studies nobody can look at.

By them a start does not read the whole inbox again. A lost one costs a look at the study's files: their digest leads
to the same workflow. A note has the modification time of the folder that it was made from, so that one look through
both folders tells which studies have unread instances, without opening a file.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

from node.durable import write_json


class Note(TypedDict):
    """What is noted on disk of a study that was handed on."""

    mark: int
    at: str
    reading: str


class Notes:
    """The notes on all studies.

    Args:
        work: The work folder.
        make: False for somebody who only looks, perhaps as another user.
    """

    def __init__(self, work: Path, *, make: bool = True) -> None:
        self._folder = work / "settled"
        self._troubles = work / "troubles"
        if make:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._troubles.mkdir(parents=True, exist_ok=True)

    def load(self, study: str) -> Note | None:
        """The note on a study, if there is one that can be understood."""
        try:
            found = json.loads(self._path(study).read_text())
            return Note(mark=int(found["mark"]), at=str(found["at"]), reading=str(found["reading"]))
        except (FileNotFoundError, KeyError, TypeError, ValueError):
            return None

    def marks(self) -> dict[str, int]:
        """Up to which mark each study was handed on, as far as it can be told without opening the notes."""
        if not self._folder.is_dir():
            return {}
        with os.scandir(self._folder) as entries:
            return {
                entry.name.removesuffix(".json"): entry.stat().st_mtime_ns
                for entry in entries
                if not entry.name.startswith(".")
            }

    def save(self, study: str, note: Note) -> None:
        """Note a study durably.

        Raises:
            OSError: The disk is full; the former note is still there.
        """
        write_json(self._path(study), note)
        self.date(study, note)
        self.settle_trouble(study)

    def date(self, study: str, note: Note) -> None:
        """Give a note the time of the folder that it was made from."""
        os.utime(self._path(study), ns=(note["mark"], note["mark"]))

    def is_handed_on(self, study: str, mark: int) -> bool:
        """Whether a study was handed on up to this mark; asks the note itself and puts its time right."""
        note = self.load(study)
        if note is None or note["mark"] != mark:
            return False
        with suppress(OSError):  # whoever asks for the status may not write here
            self.date(study, note)
        return True

    def save_trouble(self, study: str, sentence: str) -> None:
        """Note why a study could not be looked at.

        Raises:
            OSError: The disk is full.
        """
        write_json(self._troubles / f"{study}.json", {"sentence": sentence})

    def settle_trouble(self, study: str) -> None:
        """Forget why a study could not be looked at."""
        (self._troubles / f"{study}.json").unlink(missing_ok=True)

    def trouble(self, study: str) -> str | None:
        """Why a study could not be looked at; None where it could."""
        try:
            return str(json.loads((self._troubles / f"{study}.json").read_text())["sentence"])
        except FileNotFoundError:
            return None

    def _path(self, study: str) -> Path:
        return self._folder / f"{study}.json"
