"""Which weights judge which CT: those that have not seen it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from models.vertebrae.belief import Belief
from models.vertebrae.engine import VertebraNetwork
from models.vertebrae.evaluation.references import trained_on


def what_was_seen(folder: Path, judged: list[str]) -> str:
    """A line on which bodies some weights were trained on, and which of the CTs that they judge are among them."""
    bodies = trained_on(folder)
    if bodies is None:
        return f"{folder}: not known what trained on (no data.json); figures count as held out only if you know."
    seen = [name for name in judged if name in bodies]
    rest = f"judged although trained on: {', '.join(seen)}" if seen else "none of them is judged by it"
    return f"{folder} trained on: {', '.join(bodies)}; {rest}"


class Judges:
    """Of several weights, for every CT the first that has not seen it, else the first.

    Args:
        folders: Of the weights, each with what says what it was trained on (:func:`trained_on`).
        fine: Whether outlines are judged too.
        belief: What scores are worth; by default as fitted for the weights that are shipped.
    """

    def __init__(self, folders: Sequence[Path], fine: bool = True, belief: Belief | None = None) -> None:
        self._seen = {folder: trained_on(folder) for folder in folders}
        self._engines = {folder: VertebraNetwork(fine=fine, folder=folder, belief=belief) for folder in folders}

    def folder(self, ct: str) -> Path:
        """Which weights judge a CT."""
        unseen = (folder for folder, seen in self._seen.items() if seen is not None and ct not in seen)
        return next(unseen, next(iter(self._seen)))

    def engine(self, ct: str) -> VertebraNetwork:
        """The engine that judges a CT."""
        return self._engines[self.folder(ct)]

    def seen(self, ct: str) -> bool | None:
        """Whether the weights that judge a CT were trained on it; None where that is not known."""
        seen = self._seen[self.folder(ct)]
        return None if seen is None else ct in seen

    def described(self, cts: list[str]) -> list[str]:
        """A line for each of the weights."""
        return [
            f"{what_was_seen(folder, [ct for ct in cts if self.folder(ct) == folder])}; weights {engine.digest[:12]}"
            for folder, engine in self._engines.items()
        ]
