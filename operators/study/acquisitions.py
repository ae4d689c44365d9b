"""Which images of one grid were acquired together: by what the scanner did, and by when.

Images with another voltage, kernel, contrast or spectrum never make one volume. Acquisition number, time
and phase tell acquisitions of the same place apart, and do not part what adjoins: a scan in blocks, or one
whose every slice has its own number, is one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset

from operators.reading.source import Spectrum
from operators.study.grid import Slice, last_digit
from operators.study.header_values import number, valid_date, valid_time
from operators.study.spectrum import spectrum_of

_PAUSE = 5.0
"""Shortest pause between two acquisitions, s; within one, slices follow each other faster, or evenly."""
_MUCH_LONGER = 4.0
"""A pause is also this many times longer than what usually lies between two slices."""
_MANY = 3
"""An acquisition number that stands on fewer than this many slices, on average, counts slices."""


_LEAST_OF_PASS = 10
"""Slices that every pass over the body has at least: fewer are strays."""
_GAPLESS = 1.2
"""Spacing, in slice thicknesses, up to which a pass leaves no gaps for another to fill: old scanners took every second
slice first."""
_NAMED_BY = ("SeriesDescription", "SeriesNumber", "IrradiationEventUID", "AcquisitionUID")
"""What else tells acquisitions apart that an archive or an export has put under one Series Instance UID."""


@dataclass(frozen=True)
class Circumstances:
    """How an image was acquired, as far as its header says it; the values as a person reads them.

    Attributes:
        voltage: ``120 kV``.
        contrast: ``contrast`` or empty.
        kernel: ``kernel B30f``.
        spectrum: ``virtual non-contrast``, with the energy where there is one; empty for conventional images.
        thickness: ``slices of 5 mm``, of one reconstruction.
    """

    voltage: str
    contrast: str
    kernel: str
    spectrum: str
    thickness: str

    @classmethod
    def of(cls, header: Dataset) -> Circumstances:
        """Those of an image."""
        kvp, kernel, thickness = number(header, "KVP"), kernel_of(header), number(header, "SliceThickness")
        spectrum, energy = spectrum_of(header)
        said = "" if spectrum is Spectrum.CONVENTIONAL else str(spectrum)
        return cls(
            voltage="" if kvp is None else f"{kvp:g} kV",
            contrast="contrast" if has_contrast(header) else "",
            kernel=f"kernel {kernel}" if kernel else "",
            spectrum=f"{said} {energy:g} keV" if energy is not None else said,
            thickness="" if thickness is None else f"slices of {thickness:.3g} mm",
        )

    def beside(self, other: Circumstances) -> str:
        """What tells this from another, in words: ``80 kV, contrast``; empty where nothing does."""
        pairs = (
            (self.voltage, other.voltage, "voltage not recorded"),
            (self.contrast, other.contrast, "no contrast recorded"),
            (self.kernel, other.kernel, "kernel not recorded"),
            (self.spectrum, other.spectrum, "conventional"),
            (self.thickness, other.thickness, "thickness not recorded"),
        )
        return ", ".join(own or nothing for own, its, nothing in pairs if own != its)


def has_contrast(header: Dataset) -> bool:
    """Whether a header names a contrast agent; that it names none proves nothing."""
    return bool(header.get("ContrastBolusAgent") or header.get("ContrastBolusAgentSequence"))


def kernel_of(header: Dataset) -> str | None:
    """Convolution kernel as text; Siemens writes several values, the first is the kernel's name."""
    value = header.get("ConvolutionKernel")
    if value is None or value == "":
        return None
    return str(value) if isinstance(value, str) else str(next(iter(value), "")) or None


def order_of_acquisition(header: Dataset) -> tuple[float, float, float]:
    """Sorts images by when they were acquired: by number, then time, then instance."""
    seconds = _seconds(header)
    return (
        number(header, "AcquisitionNumber") or 0.0,
        0.0 if seconds is None else seconds,
        number(header, "InstanceNumber") or 0.0,
    )


def split_by_circumstances(slices: Iterable[Slice]) -> list[list[Slice]]:
    """Images that were acquired in the same way."""
    groups: dict[Circumstances, list[Slice]] = defaultdict(list)
    for one in slices:
        groups[Circumstances.of(one.header)].append(one)
    return list(groups.values())


def split_by_acquisition(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Images that were acquired together, and those that adjoin them without lying among them.

    Returns:
        In the order in which they were acquired.
    """
    blocks: dict[tuple[float, ...], list[Slice]] = defaultdict(list)
    for one, key in zip(slices, _keys(slices), strict=True):
        blocks[key].append(one)
    normal, tolerance = slices[0].normal, max(last_digit(slices), 0.02)
    chains: list[list[_Block]] = []
    for _, members in sorted(blocks.items(), key=lambda item: item[0]):
        block = _Block.of(members, normal)
        for chain in chains:
            if not any(block.lies_among(other, tolerance) for other in chain):
                chain.append(block)
                break
        else:
            chains.append([block])
    return [[one for block in chain for one in block.slices] for chain in chains]


@dataclass(frozen=True)
class _Block:
    """Slices with the same number, time and phase, and the stretch from the first to the last, mm."""

    slices: list[Slice]
    low: float
    high: float

    @classmethod
    def of(cls, slices: list[Slice], normal: np.ndarray) -> _Block:
        heights = [float(one.position @ normal) for one in slices]
        return cls(slices, min(heights), max(heights))

    def lies_among(self, other: _Block, tolerance: float) -> bool:
        """Whether two blocks share more than a slice at their ends."""
        shared = min(self.high, other.high) - max(self.low, other.low)
        if min(len(self.slices), len(other.slices)) == 1:
            return shared > -tolerance
        return shared > tolerance


def _keys(slices: Sequence[Slice]) -> list[tuple[float, ...]]:
    """When each slice was acquired, as numbers that sort: number, pause, time point, cardiac phase, other names."""
    headers = [one.header for one in slices]
    columns = [
        _numbers_of_acquisitions(headers),
        _pauses(headers),
        [number(header, "TemporalPositionIdentifier") for header in headers],
        [number(header, "TemporalPositionIndex") for header in headers],
        [number(header, "NominalPercentageOfCardiacPhase") for header in headers],
        *(_places_among(headers, keyword) for keyword in _NAMED_BY),
        _passes(slices),
    ]
    return [tuple(-1.0 if value is None else value for value in row) for row in zip(*columns, strict=True)]


def _passes(slices: Sequence[Slice]) -> list[float | None]:
    """The pass over the body to which each slice belongs: a new one begins where places run back by Instance Number.

    Slices that were numbered in no order, or that lie in the gaps of each other's passes, tell no passes.
    """
    unknown: list[float | None] = [None] * len(slices)
    numbers = [number(one.header, "InstanceNumber") for one in slices]
    known = [each for each in numbers if each is not None]
    if len(set(known)) < len(slices):
        return unknown
    order = np.argsort(known, kind="stable")
    heights = np.array([float(slices[place].position @ slices[0].normal) for place in order.tolist()])
    steps = np.diff(heights)
    usual = float(np.median(steps)) if steps.size else 0.0
    passes = np.concatenate([[0], np.cumsum(steps * np.sign(usual) < 0)])
    thickness = number(slices[0].header, "SliceThickness")
    if passes[-1] == 0 or np.bincount(passes.astype(int)).min() < _LEAST_OF_PASS or not thickness:
        return unknown
    if abs(usual) > _GAPLESS * thickness:
        return unknown
    return [float(passes[place]) for place in np.argsort(order, kind="stable").tolist()]


def _places_among(headers: Sequence[Dataset], keyword: str) -> list[float | None]:
    """The place of a text among all that a series has, by the alphabet."""
    texts = [str(header.get(keyword) or "") for header in headers]
    known = sorted(set(texts))
    if len(known) * _MANY > len(texts):
        return [None] * len(texts)
    return [float(known.index(text)) for text in texts]


def _numbers_of_acquisitions(headers: Sequence[Dataset]) -> list[float | None]:
    numbers = [number(header, "AcquisitionNumber") for header in headers]
    if len(Counter(numbers)) * _MANY > len(numbers):
        return [None] * len(numbers)
    return numbers


def _pauses(headers: Sequence[Dataset]) -> list[float | None]:
    """The number of long pauses before each image."""
    times = [_seconds(header) for header in headers]
    known = np.unique([time for time in times if time is not None])
    if known.size < 2:
        return [None] * len(times)
    steps = np.diff(known)
    usual = float(np.median(steps)) if steps.size > 2 else 0.0
    ends = known[1:][steps > max(_PAUSE, _MUCH_LONGER * usual)]
    return [None if time is None else float(np.searchsorted(ends, time, side="right")) for time in times]


def _seconds(header: Dataset) -> float | None:
    """Seconds from an unknown day on; of the content where nothing is said of the acquisition."""
    both = str(header.get("AcquisitionDateTime") or "")
    kind = "Acquisition" if header.get("AcquisitionTime") else "Content"
    day = both[:8] or valid_date(str(header.get(f"{kind}Date") or ""))
    time = both[8:] or valid_time(str(header.get(f"{kind}Time") or ""))
    try:
        clock = (
            3600 * int(time[:2]) + 60 * int(time[2:4] or 0) + float(time[4:].partition("+")[0].partition("-")[0] or 0)
        )
    except ValueError:
        return None
    months = int(day[:4]) * 372 + int(day[4:6]) * 31 + int(day[6:8]) if day.isdigit() and len(day) == 8 else 0
    return months * 86400.0 + clock
