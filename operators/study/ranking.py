"""Which of several stacks shows a spine best, and what decides: between series, and between the parts of one."""

from __future__ import annotations

import re
from types import MappingProxyType

from pydicom import Dataset

from operators.reading.source import Spectrum
from operators.study.acquisitions import has_contrast, kernel_of
from operators.study.header_values import number
from operators.study.spectrum import spectrum_of
from operators.study.stacks import Stack

_SHARP_KERNELS = re.compile(
    r"^(BONE|LUNG|EDGE|DETAIL|ULTRA|YC|YD|YE|FC3\d|FC5\d|FC8\d|B[6-9]\d|[BHIQ][rlvu]?[6-9]\d|L$|LUNG.*)",
    re.IGNORECASE,
)
"""Names of edge-enhancing kernels; used for ranking alone, never to withhold a number."""
_NUMBERED_KERNEL = re.compile(r"[A-Z][A-Z]?(\d\d)", re.IGNORECASE)
"""Siemens's kernels: the number is their sharpness."""
_LONGEST = 700.0
"""A whole spine with room to spare, mm: more is no better."""
_THIN = 1.5
"""Slices up to this thickness serve heights equally well, mm (docs/science.md §2.11)."""
_SPECTRA = MappingProxyType(
    {
        Spectrum.CONVENTIONAL: 0.0,
        Spectrum.TIN_FILTERED: -0.5,
        Spectrum.PHOTON_COUNTING: -0.5,
        Spectrum.MIXED_ENERGIES: -0.5,
        Spectrum.MONO_ENERGETIC: -0.75,
        Spectrum.UNKNOWN: -1.5,
        Spectrum.CONE_BEAM: -2.0,
        Spectrum.VIRTUAL_NON_CONTRAST: -3.0,
        Spectrum.CALCIUM_SUPPRESSED: -3.0,
        Spectrum.ELECTRON_DENSITY: -3.0,
        Spectrum.SUBTRACTION: -5.0,
        Spectrum.MATERIAL_MAP: -5.0,
    }
)
"""Project's own: what an image of another kind is worth less, in units of 100 mm of coverage."""


def merits(stack: Stack) -> dict[str, float]:
    """What speaks for a stack, by the words in which it is said; 100 mm of coverage count as much as 1 mm of thickness.

    The weights are the project's own.
    """
    header = stack.header
    thickness = max(stack.spacing, number(header, "SliceThickness") or 0.0)
    image_type = header.get("ImageType") or ""
    first = image_type if isinstance(image_type, str) else next(iter(image_type), "")
    return {
        "it covers more of the body": min(stack.extent, _LONGEST) / 100.0,
        "its numbers are nearer to ordinary CT numbers": _SPECTRA[spectrum_of(header)[0]],
        "its slices are thinner": -max(0.0, thickness - _THIN) - thickness / 100.0,
        "its kernel is softer": (-1.0 if is_sharp(kernel_of(header)) else 0.0) - _sharpness(header) / 1000.0,
        "it is not compressed with loss": -1.0 if str(header.get("LossyImageCompression") or "00") == "01" else 0.0,
        "its tube voltage is 120 kV": 0.0 if number(header, "KVP") in (None, 120.0) else -0.5,
        "its pixels are original": -0.5 if str(first).upper() == "DERIVED" else 0.0,
        "it is without contrast": -0.25 if has_contrast(header) else 0.0,
    }


def score(stack: Stack) -> float:
    """How well a spine can be read from a stack; more is better."""
    return round(sum(merits(stack).values()), 6)


def what_decided(best: Stack, other: Stack) -> str:
    """Why one stack serves better than another: the merit in which it is ahead most."""
    own, its = merits(best), merits(other)
    reason = max(own, key=lambda name: own[name] - its[name])
    if own[reason] - its[reason] < 1e-9:
        return "both serve equally, and it is the first"
    return reason


def is_sharp(kernel: str | None) -> bool:
    """Whether a convolution kernel is known to enhance edges."""
    return bool(kernel and _SHARP_KERNELS.match(kernel))


def _sharpness(header: Dataset) -> float:
    match = _NUMBERED_KERNEL.match(kernel_of(header) or "")
    return float(match[1]) if match else 0.0
