"""Spectrum that the CT numbers of a series rest on: limits of density hold for conventional images only.

Read from the standard's own attributes (PS3.3, multi-energy CT) and, since most scanners still write
single-frame CT without them, from the words that vendors use in Image Type, filter, model and description.
A series that says nothing counts as conventional: nothing in its pixels would show it otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydicom import Dataset

from operators.reading.source import Spectrum

_MAPS = frozenset({"MAT_SPECIFIC", "MAT_FRACTIONAL", "MAT_VALUE_BASED", "EFF_ATOMIC_NUM", "ELECTRON_DENSITY"})
"""Values 4 of Image Type of multi-energy images that are no attenuation (PS3.3 C.8.15.2.1.1.5)."""
_REMOVED = frozenset({"MAT_REMOVED", "MAT_MODIFIED"})
"""Values 4 of Image Type of images without one material: virtual non-contrast, virtual non-calcium."""
_MONO = "VMI"
_WORDS_MAP = re.compile(
    r"\b(IODINE|WATER\((IODINE|HAP)\)|FAT MAP|Z ?EFF|EFF(ECTIVE)? ?Z|RHO/?Z|URIC|CALCIUM SUPP)", re.I
)
_WORDS_NON_CONTRAST = re.compile(r"\b(VNC|VUE|TNC|VNCA|PURE ?CALCIUM|VIRTUAL (NON|UN)[- ]?\w+)\b", re.I)
_WORDS_MONO = re.compile(r"\bMONO(?:E|\+|PLUS|CHROM\w*|ENERGETIC)?\b[^0-9]{0,12}(\d{2,3})?(?= ?KEV|\b)", re.I)
_WORDS_TIN = re.compile(r"(\bTIN\b|\bSN ?\d{2,3}\b|\bSN[ _-]?FILTER)", re.I)
_COUNTING_MODELS = re.compile(r"NAEOTOM", re.I)
_MIXED = frozenset({"DET_AB", "DUAL", "MIXED", "AVERAGE_KV"})
_ENERGY_RANGE = (30.0, 250.0)


def spectrum_of(header: Dataset) -> tuple[Spectrum, float | None]:
    """Kind of a series' CT numbers and, for a virtual mono-energetic image, its keV where they are said.

    Args:
        header: Of one instance; a multi-frame one is searched in its functional groups too.
    """
    kinds = {str(value).upper() for value in header.get("ImageType") or []}
    description = str(header.get("SeriesDescription") or "")
    energy = _number(_find(header, "MonoenergeticEnergyEquivalent"))
    mono = _WORDS_MONO.search(description)
    if kinds & _MAPS or _WORDS_MAP.search(description):
        return Spectrum.MATERIAL_MAP, None
    if kinds & _REMOVED or "VNC" in kinds or _WORDS_NON_CONTRAST.search(description):
        return Spectrum.VIRTUAL_NON_CONTRAST, None
    if _MONO in kinds or energy is not None or mono:
        said = energy if energy is not None else _number(mono.group(1) if mono else None)
        return Spectrum.MONO_ENERGETIC, said
    if _is_counting(header):
        return Spectrum.PHOTON_COUNTING, None
    filters = " ".join(str(_find(header, name) or "") for name in ("FilterType", "FilterMaterial"))
    if _WORDS_TIN.search(filters) or _WORDS_TIN.search(description):
        return Spectrum.TIN_FILTERED, None
    if kinds & _MIXED or str(_find(header, "MultienergyCTAcquisition") or "").upper() == "YES":
        return Spectrum.MIXED_ENERGIES, None
    return Spectrum.CONVENTIONAL, None


def _is_counting(header: Dataset) -> bool:
    detector = str(_find(header, "MultienergyDetectorType") or "").upper()
    return detector == "PHOTON_COUNTING" or bool(
        _COUNTING_MODELS.search(str(header.get("ManufacturerModelName") or ""))
    )


def _find(header: Dataset, keyword: str) -> object:
    """First value of an attribute in the data set or in a sequence of it, at any depth."""
    return next(_values(header, keyword, depth=4), None)


def _values(dataset: Dataset, keyword: str, depth: int) -> Iterator[object]:
    if keyword in dataset and dataset.get(keyword) not in (None, ""):
        yield dataset.get(keyword)
    if depth:
        for name in _WHERE:
            for item in list(dataset.get(name) or [])[:1]:
                yield from _values(item, keyword, depth - 1)


_WHERE = (
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "MultienergyCTAcquisitionSequence",
    "MultienergyCTXRayDetectorSequence",
    "MultienergyCTXRaySourceSequence",
    "MultienergyCTProcessingSequence",
    "MultienergyCTCharacteristicsSequence",
    "CTXRayDetailsSequence",
    "CTImageFrameTypeSequence",
)
"""Sequences that hold the attributes in multi-energy and enhanced CT."""


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if _ENERGY_RANGE[0] <= number <= _ENERGY_RANGE[1] else None
