"""A term of the private scheme: a code together with its definition, so that documents cannot differ from code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import NamedTuple, Self

from pydicom.sr.coding import Code


class CodingScheme(NamedTuple):
    """What Coding Scheme Identification Sequence says of a private scheme (PS3.3 C.12.1.1.1)."""

    designator: str
    uid: str
    name: str
    version: str
    organization: str


OSTEON_SCHEME = CodingScheme(
    designator="99OSTEON",
    uid="2.25.305539105597973941784014528097923444902",
    name="Osteon private codes",
    version="1",
    organization="Osteon project",
)


class Term(Code):
    """A code of the private scheme with its definition.

    A code never changes its meaning: retire it and add another.

    Attributes:
        definition: What it means exactly, for the conformance statement.
    """

    definition: str

    def __new__(
        cls, value: str, scheme_designator: str, meaning: str, scheme_version: str | None = None, definition: str = ""
    ) -> Self:
        """A term; takes what :class:`Code` takes, so that it can be copied."""
        term = super().__new__(cls, value, scheme_designator, meaning, scheme_version)
        term.definition = definition
        return term


def private(value: str, meaning: str, definition: str) -> Term:
    """A term of the private scheme.

    Args:
        value: Code value, at most 16 characters (VR SH).
        meaning: Code meaning, at most 64 characters (VR LO).
        definition: For documents; begins with "Question:" where the term asks for a coded answer.

    Raises:
        ValueError: One of them is missing or too long.
    """
    if not 0 < len(value) <= 16 or not 0 < len(meaning) <= 64 or not definition.strip():
        msg = f"term {value!r} ({meaning!r}): value of 1-16, meaning of 1-64 characters and a definition are needed"
        raise ValueError(msg)
    return Term(value, OSTEON_SCHEME.designator, meaning, definition=definition)


def codes_of(module: ModuleType) -> Iterator[Code]:
    """Every code among the constants of a module, and in its tables, in the order in which they stand there."""
    for value in vars(module).values():
        yield from _codes_in(value)


def terms_of(module: ModuleType) -> tuple[Term, ...]:
    """Every private term among the constants of a module, each once, in the order in which they stand there."""
    return tuple(dict.fromkeys(code for code in codes_of(module) if isinstance(code, Term)))


def _codes_in(value: object) -> Iterator[Code]:
    if isinstance(value, Code):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _codes_in(one)
    elif isinstance(value, tuple):
        for one in value:
            yield from _codes_in(one)
