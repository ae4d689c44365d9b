"""What a validator has against an object."""

from __future__ import annotations

from tests.peers.validators import Findings


def complaints(found: Findings) -> tuple[str, ...]:
    """Errors and warnings, without what the allow-list names."""
    return (*found.errors, *found.warnings)
