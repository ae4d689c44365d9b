"""What fails today and is to be mended: an entry goes when its test passes, and both tables are empty in the end.

The tests named here are expected to fail, strictly: one that passes fails the run until its entry is taken out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

NOT_CARRIED: Mapping[str, tuple[str, ...]] = {}
"""By kind of fact, the encodings that do not carry all of them today, and should."""

CONTRADICTIONS: frozenset[str] = frozenset()
"""The cases of :mod:`tests.agreement.test_contradictions` that fail today."""

KNOWN_FAILING: frozenset[str] = CONTRADICTIONS | {
    f"{encoding}: {kind}" for kind, encodings in NOT_CARRIED.items() for encoding in encodings
}


def case(name: str, *values: Any) -> Any:
    """A parameter of a test under its name, expected to fail where it is known to."""
    marks = (
        (pytest.mark.xfail(strict=True, raises=AssertionError, reason="listed in KNOWN_FAILING"),)
        if name in KNOWN_FAILING
        else ()
    )
    _NAMED.append(name)
    return pytest.param(*values, id=name, marks=marks)


def named() -> frozenset[str]:
    """The names of all cases so far."""
    return frozenset(_NAMED)


_NAMED: list[str] = []
