"""What a header says of its pixels, as words that are split in one way wherever they come from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from types import MappingProxyType

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][A-Za-z])|(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])|(?<=[A-Z])(?=[A-Z][a-z]{2})")
_BREAK = re.compile(r"[^A-Z0-9.+]+|\.(?!\d)|(?<!\d)\.")
_DEPTH = 4


class Where(StrEnum):
    """Groups of attributes in which the same word means the same."""

    IMAGE_TYPE = "Image Type"
    TEXT = "a description of the series or its derivation"
    PROTOCOL = "Protocol Name"
    DERIVATION = "Derivation Code Sequence"
    RESCALE_TYPE = "Rescale Type"
    KERNEL = "Convolution Kernel"
    FILTER = "Filter Type or Material"
    DEVICE = "the device's names, or a description of the study"
    DETECTOR = "Multi-energy Detector Type"
    ACQUISITION = "Multi-energy CT Acquisition"


_ATTRIBUTES = MappingProxyType(
    {
        Where.IMAGE_TYPE: ("ImageType", "FrameType", "VolumeBasedCalculationTechnique"),
        Where.TEXT: ("SeriesDescription", "DerivationDescription", "ImageComments", "FrameComments"),
        Where.PROTOCOL: ("ProtocolName",),
        Where.RESCALE_TYPE: ("RescaleType",),
        Where.KERNEL: ("ConvolutionKernel",),
        Where.FILTER: ("FilterType", "FilterMaterial"),
        Where.DEVICE: ("Manufacturer", "ManufacturerModelName", "StudyDescription", "SeriesDescription"),
        Where.DETECTOR: ("MultienergyDetectorType",),
        Where.ACQUISITION: ("MultienergyCTAcquisition",),
    }
)
_TAGS = MappingProxyType({where: tuple(map(Tag, keywords)) for where, keywords in _ATTRIBUTES.items()})
_SEQUENCES = tuple(
    Tag(keyword)
    for keyword in (
        "SharedFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence",
        "MultienergyCTAcquisitionSequence",
        "MultienergyCTXRayDetectorSequence",
        "MultienergyCTXRaySourceSequence",
        "MultienergyCTProcessingSequence",
        "MultienergyCTCharacteristicsSequence",
        "CTXRayDetailsSequence",
        "CTImageFrameTypeSequence",
        "CTReconstructionSequence",
        "PixelValueTransformationSequence",
    )
)
"""Where the attributes lie in multi-energy and enhanced CT."""


def words(text: str) -> str:
    """Words in capitals with single blanks between them.

    Words end at anything but letters and digits, at a capital after a small letter, and between letters and
    digits: ``VirtualNonContrast[HU]`` is ``VIRTUAL NON CONTRAST HU``, ``CT_SOM5 MIP`` is ``CT SOM 5 MIP``,
    ``40keV`` is ``40 KEV``.
    """
    return " ".join(_BREAK.sub(" ", _CAMEL.sub(" ", text).upper()).split())


def said(header: Dataset) -> dict[Where, tuple[str, ...]]:
    """What a header says, by where it says it; each value as :func:`words`.

    Args:
        header: Of one instance; the functional groups of a multi-frame one are searched too.
    """
    levels = _levels(header)
    found = {where: tuple(words(text) for tag in tags for text in _texts(levels, tag)) for where, tags in _TAGS.items()}
    codes = (text for item in header.get("DerivationCodeSequence") or [] for text in texts(item, "CodeValue"))
    return {**found, Where.DERIVATION: tuple(codes)}


def texts(header: Dataset, keyword: str) -> tuple[str, ...]:
    """All values of an attribute as text, one value or several, in the data set or in a sequence of it."""
    return tuple(_texts(_levels(header), Tag(keyword)))


def _texts(levels: Iterable[Dataset], tag: BaseTag) -> Iterator[str]:
    for level in levels:
        if tag in level:
            value = level[tag].value
            several = value if isinstance(value, MultiValue | list | tuple) else [value]
            yield from (str(one).strip() for one in several if one not in (None, ""))


def _levels(header: Dataset, depth: int = _DEPTH) -> list[Dataset]:
    """The data set and the first items of its sequences, in which attributes of CT may lie."""
    inner = [list(header[tag].value or [])[:1] for tag in _SEQUENCES if tag in header] if depth else []
    return [header, *(level for items in inner for item in items for level in _levels(item, depth - 1))]
