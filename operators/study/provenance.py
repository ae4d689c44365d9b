"""Names of pipeline, engine, weights and options, so that a change of any changes the UIDs of the results."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

from models.engine import VertebraEngine
from operators.reading.options import DEFAULT, ReadingOptions
from operators.reading.provenance import Provenance

_ROOT = Path(__file__).parents[2]
_NOT_READING = frozenset({"training", "evaluation"})
"""Folders of code that reads no patient: changes there alter no result, and must alter no UID."""


def provenance_of(
    engine: VertebraEngine, options: ReadingOptions = DEFAULT, prior: Path | None = None, second_opinion: str = ""
) -> Provenance:
    """Describe the installed pipeline with an engine, its weights and the site's choices.

    Args:
        engine: That finds the vertebrae.
        options: What the site has decided.
        prior: ``reading.json`` of an earlier study that this one is compared with: another one gives
            another result, which must carry other UIDs.
        second_opinion: SHA-256 of the weights of the biomarkers' own networks, hex.
    """
    return Provenance(
        pipeline=pipeline_version(),
        engine=engine.name,
        engine_version=engine.version,
        engine_digest=engine.digest,
        options=options.digest if prior is None else _with_prior(options.digest, prior),
        second_opinion=second_opinion,
    )


def _with_prior(options: str, prior: Path) -> str:
    """Digest of the choices and of the prior reading; one that is missing counts as empty."""
    content = prior.read_bytes() if prior.is_file() else b""
    return hashlib.sha256(options.encode() + b"\0" + content).hexdigest()


@cache
def pipeline_version() -> str:
    """Osteon's version with a digest of the code that reads, as in ``0.1.0+1f2e3d4c5b6a``.

    The version alone stays the same between two commits, and then two different results would carry the
    same UIDs.
    """
    digest = hashlib.sha256()
    for package in ("models", "operators"):
        for path in sorted((_ROOT / package).rglob("*.py")):
            if _NOT_READING.intersection(path.relative_to(_ROOT).parts):
                continue
            digest.update(path.relative_to(_ROOT).as_posix().encode())
            digest.update(path.read_bytes())
    return f"{version('osteon')}+{digest.hexdigest()[:12]}"
