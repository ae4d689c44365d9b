"""The biomarkers of this build, in the order in which they are measured and reported: one line each."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable

from operators.biomarker import Biomarker
from operators.change.biomarker import CHANGE
from operators.curvature.biomarker import BODY_CURVATURE
from operators.density.biomarker import BONE_DENSITY
from operators.fractures.biomarker import FRACTURES
from operators.reading.reading import SpineReading
from operators.terms import codes, frame
from operators.terms.term import Term, terms_of


class BiomarkerError(ValueError):
    """The list of biomarkers contradicts itself; the sentence names both sides."""


def checked(*biomarkers: Biomarker) -> tuple[Biomarker, ...]:
    """The biomarkers, after a look for what must not be.

    Raises:
        BiomarkerError: Two share a name, a slot, a mask or a code; one has a term without a definition, a unit
            that is not in the table of UCUM units, or comes before one that it asks.
    """
    _unique("biomarkers are called", (one.name for one in biomarkers))
    _unique("slots of the spine are called", (slot.name for one in biomarkers for slot in one.spine_slots))
    _unique("slots of a vertebra are called", (slot.name for one in biomarkers for slot in one.vertebra_slots))
    _unique("masks are called", (mask.kind for one in biomarkers for mask in one.masks))
    _unique("terms have the code", (term.value for one in biomarkers for term in one.terms))
    known: set[str] = set()
    for one in biomarkers:
        undefined = [term.value for term in one.terms if not term.definition]
        if undefined:
            msg = f"{one.name}: the term {undefined[0]} has no definition"
            raise BiomarkerError(msg)
        foreign = [unit for unit in one.units if unit not in codes.UNITS]
        if foreign:
            msg = f"{one.name}: the unit {foreign[0]!r} is no UCUM code of operators/terms/codes.py"
            raise BiomarkerError(msg)
        early = [name for name in one.after if name not in known]
        if early:
            msg = f"{one.name} asks for {early[0]}, which is not registered before it"
            raise BiomarkerError(msg)
        known.add(one.name)
    return biomarkers


def _unique(what: str, names: Iterable[str]) -> None:
    twice = [name for name, count in Counter(map(str, names)).items() if count > 1]
    if twice:
        msg = f"two {what} {twice[0]!r}"
        raise BiomarkerError(msg)


BIOMARKERS = checked(
    FRACTURES,
    CHANGE,
    BONE_DENSITY,
    BODY_CURVATURE,
)

PRIVATE_TERMS: tuple[Term, ...] = tuple(
    dict.fromkeys([*terms_of(codes), *terms_of(frame), *(term for one in BIOMARKERS for term in one.terms)])
)
"""The whole private scheme, for code and documents."""


def weights_digest() -> str:
    """SHA-256 of the weights of the biomarkers' own networks: of the one that there is, or over those of all."""
    digests = [digest for one in BIOMARKERS if (digest := one.weights())]
    if len(digests) < 2:
        return "".join(digests)
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def parse_reading(content: bytes | str) -> SpineReading:
    """A ``reading.json`` with the results of every registered biomarker as their own types.

    Raises:
        pydantic.ValidationError: It is no reading.
    """
    reading = SpineReading.model_validate_json(content)
    return reading.with_types(
        spine=(slot for one in BIOMARKERS for slot in one.spine_slots),
        vertebra=(slot for one in BIOMARKERS for slot in one.vertebra_slots),
    )
