"""What the CT numbers of a series rest on: the limits of bone density hold for conventional images only.

A series that says nothing of itself counts as conventional: nothing in its pixels would show it otherwise.
One that says something that nobody here knows does not.
"""

from __future__ import annotations

from functools import lru_cache

from pydicom import Dataset

from operators.reading.reasons import Reason
from operators.reading.source import Spectrum
from operators.study.number_rules import INNOCENT_CODES, INNOCENT_WORDS, RULES, NoSection
from operators.study.problem import Problem
from operators.study.words import Where, said, texts

_ENERGY_RANGE = (30.0, 250.0)
_PROBLEMS = {
    NoSection.LOCALIZER: Problem(Reason.LOCALIZER, "it is a localizer"),
    NoSection.PROJECTION: Problem(Reason.PROJECTION, "its pixels are a projection or a rendering, not a cross-section"),
    NoSection.SCREEN: Problem(Reason.SECONDARY_CAPTURE, "it is a picture of a screen"),
}
_HOUNSFIELD = frozenset({"HU", "HOUNSFIELD", "HOUNSFIELD UNIT", "HOUNSFIELD UNITS"})
_Said = tuple[tuple[Where, tuple[str, ...]], ...]


def no_section(header: Dataset) -> Problem | None:
    """Why the pixels of an instance are no cross-section of a body; None where they are."""
    means, _ = _first_rule(_frozen(header))
    return _PROBLEMS[means] if isinstance(means, NoSection) else None


def spectrum_of(header: Dataset) -> tuple[Spectrum, float | None]:
    """The kind of a series' CT numbers and, for a virtual mono-energetic image, its keV where they are said.

    Args:
        header: Of one instance; a multi-frame one is searched in its functional groups too.
    """
    found = _frozen(header)
    means, energy = _first_rule(found)
    said_energy = next(iter(texts(header, "MonoenergeticEnergyEquivalent")), None)
    if said_energy and means in (None, Spectrum.MONO_ENERGETIC):
        return Spectrum.MONO_ENERGETIC, _energy(said_energy)
    if isinstance(means, Spectrum):
        return means, energy
    return (Spectrum.UNKNOWN, None) if _is_unknown(dict(found)) else (Spectrum.CONVENTIONAL, None)


def _frozen(header: Dataset) -> _Said:
    return tuple(said(header).items())


@lru_cache(maxsize=256)  # the thousand slices of a series say the same
def _first_rule(found: _Said) -> tuple[NoSection | Spectrum | None, float | None]:
    by_place = dict(found)
    for rule in RULES:
        for where in rule.where:
            for text in by_place[where]:
                if match := rule.pattern.search(text):
                    return rule.means, _energy(match.groupdict().get("kev"))
    return None, None


def _is_unknown(found: dict[Where, tuple[str, ...]]) -> bool:
    """Whether a derived image is derived in a way, or rescaled to a unit, that nobody here knows."""
    kinds, rescaled = found[Where.IMAGE_TYPE], found[Where.RESCALE_TYPE]
    if any(unit not in _HOUNSFIELD for unit in rescaled):
        return True
    if kinds[:1] != ("DERIVED",):
        return False
    known = all(
        word in INNOCENT_WORDS or not word.isalpha() or len(word) < 3 for kind in kinds[2:] for word in kind.split()
    )
    return not (rescaled and known and INNOCENT_CODES.issuperset(found[Where.DERIVATION]))


def _energy(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if _ENERGY_RANGE[0] <= number <= _ENERGY_RANGE[1] else None
