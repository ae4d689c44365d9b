"""Values that several steps need of one study, worked out when the first of them asks and kept with the case."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple, cast

Given = TypeVarTuple("Given")
Value = TypeVar("Value")


class Once:
    """Memory of what functions gave for the parts of one case.

    A value is found again by its function and by the very objects that the function was given (numbers and texts by
    value), so that it is never that of an earlier reading or of other masks. The parts of a case are values that nobody
    changes, and the functions must depend on nothing else.
    """

    def __init__(self) -> None:
        # What was given is kept beside the value: the identity of an object that is gone may be given to another.
        self._kept: dict[tuple[object, ...], tuple[tuple[object, ...], object]] = {}

    def __call__(self, work: Callable[[*Given], Value], *given: *Given) -> Value:
        """What ``work`` gives for ``given``; it is called for the first request only."""
        parts = cast(tuple[object, ...], given)
        key = (work, *(_name(part) for part in parts))
        if key not in self._kept:
            self._kept[key] = parts, work(*given)
        return cast(Value, self._kept[key][1])


def _name(part: object) -> tuple[str, object]:
    """What tells one argument from another."""
    return ("value", part) if part is None or isinstance(part, (int, float, str)) else ("object", id(part))
