"""Which earlier reading belongs to the same patient, without the patient's id on disk.

Beside the outbox lies one folder per patient, named by a keyed hash of Patient ID and its issuer, with one empty
file per reading whose name is the time of its study and the reading's name. The key is a random salt that never
leaves the machine: without it the names say nothing, and ids cannot be tried out.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from node.delivering.outbox import Outbox
from node.receiving.dataset import NotADatasetError, stored_values
from operators.reading.errors import RetriableError

_SALT = ".salt"
_READING = "reading.json"  # as operators.study.send calls it, which the node does not load
_DATE, _TIME, _PATIENT, _ISSUER = 0x00080020, 0x00080030, 0x00100020, 0x00100021
_TAGS = frozenset({_DATE, _TIME, _PATIENT, _ISSUER})


@dataclass(frozen=True)
class _Subject:
    """Whose study it is, as a hash, and when it was made, ``YYYYMMDDHHMMSS``."""

    key: str
    time: str


class Priors:
    """Finds and remembers the readings of a patient.

    Args:
        folder: Where the hashes lie; made if missing, readable by this user only.
        outbox: Where the readings lie.
    """

    def __init__(self, folder: Path, outbox: Outbox) -> None:
        self._folder = folder
        self._outbox = outbox
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._salt = _salt(folder)

    def before(self, study: Path) -> Path | None:
        """``reading.json`` of the newest earlier study of the same patient.

        Args:
            study: Folder with the files of the study that is about to be read.

        Returns:
            None where there is none, or where the study does not say whose it is and when it was made.
        """
        subject = self._subject(study)
        if subject is None or not (self._folder / subject.key).is_dir():
            return None
        earlier: list[tuple[str, float, str]] = []
        for entry in (self._folder / subject.key).iterdir():
            time, _, name = entry.name.partition("_")
            if time < subject.time:
                earlier.append((time, entry.stat().st_mtime, name))
        readings = (self._outbox.folder(name) / _READING for _, _, name in sorted(earlier, reverse=True))
        return next((path for path in readings if path.is_file()), None)

    def remember(self, study: Path, reading: str) -> None:
        """Note whose reading this is.

        Raises:
            RetriableError: It could not be written (disk full).
        """
        subject = self._subject(study)
        if subject is None:
            return
        try:
            own = self._folder / subject.key
            own.mkdir(exist_ok=True, mode=0o700)
            (own / f"{subject.time}_{reading}").touch()
        except OSError as error:
            sentence = f"the patient's readings could not be noted ({os.strerror(error.errno or 0)}); free some space"
            raise RetriableError("outbox-not-writable", sentence) from error

    def _subject(self, study: Path) -> _Subject | None:
        """Whose study it is, by its first instance that can be understood."""
        files = (path for path in sorted(study.iterdir()) if path.is_file()) if study.is_dir() else ()
        for file in files:
            try:
                return self._subject_of(stored_values(file, _TAGS))
            except NotADatasetError:
                continue
        return None

    def _subject_of(self, head: Mapping[int, str]) -> _Subject | None:
        patient, issuer, date = (head.get(tag, "").strip() for tag in (_PATIENT, _ISSUER, _DATE))
        if not patient or not re.fullmatch(r"\d{8}", date):
            return None
        digits = re.sub(r"\D", "", head.get(_TIME, "").split(".")[0])
        message = json.dumps([patient, issuer]).encode()
        key = hmac.new(self._salt, message, hashlib.sha256).hexdigest()
        return _Subject(key, date + digits[:6].ljust(6, "0"))


def _salt(folder: Path) -> bytes:
    """The salt of this folder; the first process makes it, whole or not at all."""
    path = folder / _SALT
    if not path.exists():
        aside = folder / f"{_SALT}-{secrets.token_hex(8)}"
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            # Of two processes that start together the slower one must not replace the salt.
            os.link(aside, path)
        except FileExistsError:
            pass
        finally:
            aside.unlink()
    return path.read_bytes()
