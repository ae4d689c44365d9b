"""Weights files: what is wrong with one, and its digest."""

from __future__ import annotations

import hashlib
from pathlib import Path

from models.engine import EngineUnavailableError


class WeightsError(EngineUnavailableError):
    """A weights file is missing or is not one of this network.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"weights {path.name}: {reason}")
        self.path = path


def digest(*paths: Path) -> str:
    """SHA-256 over the contents of files, in order, in hex."""
    total = hashlib.sha256()
    for path in paths:
        total.update(path.read_bytes())
    return total.hexdigest()
