"""Which facts of the readings an encoding carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.agreement.facts import Fact
from tests.agreement.said import Said


@dataclass(frozen=True)
class Told:
    """One reading: its facts, and what each encoding says, by the encoding's name."""

    facts: tuple[Fact, ...]
    encodings: Mapping[str, tuple[Said, ...]]


def missing(told: Mapping[str, Told], encoding: str, kind: str) -> list[str]:
    """The facts of a kind that an encoding does not carry, each after the name of its reading."""
    return [
        f"{name}: {fact}"
        for name, reading in told.items()
        for fact in reading.facts
        if fact.kind == kind and not any(said.says(fact) for said in reading.encodings[encoding])
    ]


def kinds_in(told: Mapping[str, Told]) -> frozenset[str]:
    """The kinds of fact that the readings have."""
    return frozenset(fact.kind for reading in told.values() for fact in reading.facts)
