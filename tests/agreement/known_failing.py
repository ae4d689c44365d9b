"""What fails today and is to be mended: an entry goes when its test passes, and the list is empty in the end.

The tests named here are expected to fail, strictly: one that passes fails the run until its entry is taken out.
"""

from __future__ import annotations

from typing import Any

import pytest

KNOWN_FAILING: frozenset[str] = frozenset(
    {
    }
)
"""By the name of a case: ``FHIR: gate`` for a kind of fact that an encoding does not carry, else as its test says."""


def case(name: str, *values: Any) -> Any:
    """A parameter of a test under its name, expected to fail where it is known to."""
    marks = (pytest.mark.xfail(strict=True, reason="listed in KNOWN_FAILING"),) if name in KNOWN_FAILING else ()
    _NAMED.append(name)
    return pytest.param(*values, id=name, marks=marks)


def named() -> frozenset[str]:
    """The names of all cases so far."""
    return frozenset(_NAMED)


_NAMED: list[str] = []
