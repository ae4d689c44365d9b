"""Typed places for what the biomarkers found: on a vertebra, or on the spine as a whole.

The lowest room cannot know the biomarkers' types, and a reading that another version wrote may hold others. So
results are stored by name, and a :class:`Slot` gives name and type back together: ``vertebra.of(HEIGHTS)`` is
``Heights | Withheld | None``. A result that does not fit its type any more is withheld by itself; the rest of
the reading is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from pydantic import Field, SerializeAsAny, ValidationError, field_validator

from operators.reading.quantity import Frozen, Withheld
from operators.reading.reasons import Reason

R = TypeVar("R", bound=Frozen)


@dataclass(frozen=True)
class Slot(Generic[R]):
    """The name under which a result is stored, and its type.

    Attributes:
        name: Key in ``reading.json``; never used for another type once published.
        type: Of the result; frozen.
    """

    name: str
    type: type[R]

    def read(self, stored: Frozen) -> R | Withheld:
        """The stored result as its own type; withheld where another version stored something else."""
        if isinstance(stored, self.type | Withheld):
            return stored
        content = stored.content if isinstance(stored, Stored) else stored.model_dump(mode="json")
        try:
            if content.get("kind") == "withheld":
                return Withheld.model_validate(content)
            return self.type.model_validate(content)
        except ValidationError:
            sentence = f"The stored result {self.name!r} was written by another version of Osteon."
            return Withheld(code=Reason.OTHER_VERSION, reason=sentence)


class Stored(Frozen):
    """A result as it lies in a file, before anybody has asked for it by its slot."""

    content: Mapping[str, Any]


class WithResults(Frozen):
    """What carries results of biomarkers.

    Attributes:
        results: By the name of their slot; asked for with :meth:`of`.
    """

    results: Mapping[str, SerializeAsAny[Frozen]] = Field(default_factory=dict)

    @field_validator("results", mode="before")
    @classmethod
    def _wrapped(cls, given: object) -> object:
        if not isinstance(given, Mapping):
            return given
        return {name: value if isinstance(value, Frozen) else Stored(content=value) for name, value in given.items()}

    def of(self, slot: Slot[R]) -> R | Withheld | None:
        """The result in a slot; withheld with its reason, or None where its biomarker has not run."""
        stored = self.results.get(slot.name)
        return None if stored is None else slot.read(stored)

    def with_result(self, slot: Slot[R], result: R | Withheld | None) -> Self:
        """The same with a result in a slot, in place of an earlier one; None empties the slot."""
        others = {name: value for name, value in self.results.items() if name != slot.name}
        return self.model_copy(update={"results": others if result is None else {**others, slot.name: result}})

    def with_slots(self, slots: Iterable[Slot[Any]]) -> Self:
        """The same with everything that is stored read as the types of these slots."""
        known = {slot.name: slot for slot in slots}
        read = {name: known[name].read(value) if name in known else value for name, value in self.results.items()}
        return self.model_copy(update={"results": read})
