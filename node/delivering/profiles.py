"""Result objects for each kind of viewer, and their stand-ins where a peer does not accept one.

A destination names the viewer that looks into it. What each of them shows was tried or read
(docs/dicom_notes.md §0, §4.2): OHIF shows no coded item of a TID 1500 report, so that it gets a page for
people too; Slicer reads segmentations and measurements and nothing else; Weasis draws presentation states but
no report graphics; a plain PACS shows pictures and documents, and at best lists everything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from pydicom.uid import UID
from pynetdicom import sop_class
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import from its own table
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    LabelMapSegmentationStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from operators.reading.options import Kind


class Profile(StrEnum):
    """A named set of result objects."""

    OHIF = "ohif"
    SLICER = "slicer"
    WEASIS = "weasis"
    PLAIN_PACS = "plain-pacs"
    EVERYTHING = "everything"


class ProfileRow(NamedTuple):
    """Objects that a profile sends, and the reason."""

    kinds: tuple[Kind, ...]
    why: str


PROFILES: Mapping[Profile, ProfileRow] = MappingProxyType(
    {
        Profile.OHIF: ProfileRow(
            (Kind.SEGMENTATION, Kind.DENSITY_REGIONS, Kind.REPORT, Kind.PDF),
            "It overlays both segmentations and steps through the report's numbers, but shows no coded item "
            "(absent, grade, reason): the PDF says those. It warns of key objects and ignores presentation states.",
        ),
        Profile.SLICER: ProfileRow(
            (Kind.SEGMENTATION, Kind.DENSITY_REGIONS, Kind.REPORT),
            "dcmqi reads segments voxel for voxel and the measurement groups with their segments; Slicer opens no "
            "PDF, key object or presentation state, and sorts BINARY segments better than a label map.",
        ),
        Profile.WEASIS: ProfileRow(
            (Kind.SEGMENTATION, Kind.DENSITY_REGIONS, Kind.REPORT, Kind.PRESENTATION, Kind.KEY_OBJECTS, Kind.PDF),
            "It shows the report as a tree with links but draws none of its graphics: presentation states do. "
            "Key objects lead to the slices, and the PDF opens beside them.",
        ),
        Profile.PLAIN_PACS: ProfileRow(
            (Kind.SECONDARY_CAPTURE, Kind.TEXT_REPORT, Kind.PDF),
            "A secondary capture opens everywhere, a text report and a PDF nearly everywhere. Segmentations and "
            "measurement reports would be listed there as series that nobody can open.",
        ),
        Profile.EVERYTHING: ProfileRow(
            tuple(Kind),
            "Every object there is, for archives, research and tests. The report comes in three forms and the "
            "vertebrae in two, which is no good in a reading room.",
        ),
    }
)

FALLBACKS: Mapping[Kind, tuple[Kind, ...]] = MappingProxyType(
    {
        Kind.LABELMAP: (Kind.SEGMENTATION,),
        Kind.SEGMENTATION: (Kind.SECONDARY_CAPTURE,),
        Kind.DENSITY_REGIONS: (),  # the report holds their numbers
        Kind.REPORT: (Kind.REPORT_2D, Kind.TEXT_REPORT, Kind.PDF, Kind.SECONDARY_CAPTURE),
        Kind.REPORT_2D: (Kind.TEXT_REPORT, Kind.PDF, Kind.SECONDARY_CAPTURE),
        Kind.TEXT_REPORT: (Kind.PDF, Kind.SECONDARY_CAPTURE),
        Kind.PDF: (Kind.SECONDARY_CAPTURE,),
        Kind.SECONDARY_CAPTURE: (Kind.PDF,),
        Kind.PRESENTATION: (Kind.SECONDARY_CAPTURE,),
        Kind.KEY_OBJECTS: (),  # what they point at is in the report
    }
)
"""Stand-ins for an object that the peer does not accept, the best first."""

SOP_CLASSES: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        Kind.SEGMENTATION: (SegmentationStorage,),
        Kind.DENSITY_REGIONS: (SegmentationStorage,),
        Kind.LABELMAP: (LabelMapSegmentationStorage,),
        Kind.REPORT: (Comprehensive3DSRStorage,),
        Kind.REPORT_2D: (ComprehensiveSRStorage,),
        Kind.TEXT_REPORT: (BasicTextSRStorage,),
        Kind.SECONDARY_CAPTURE: (SecondaryCaptureImageStorage, MultiFrameTrueColorSecondaryCaptureImageStorage),
        Kind.PDF: (EncapsulatedPDFStorage,),
        Kind.KEY_OBJECTS: (KeyObjectSelectionDocumentStorage,),
        Kind.PRESENTATION: (GrayscaleSoftcopyPresentationStateStorage,),
    }
)
"""SOP Classes that an object of a kind may have; a peer is offered those of the files themselves."""


def sop_class_name(uid: str) -> str:
    """Name of a SOP Class or transfer syntax, also of those that are newer than the dictionary."""
    name = str(UID(uid).name)
    if name != uid:
        return name
    found = (key for key, value in vars(sop_class).items() if isinstance(value, UID) and value == uid)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", next(found, uid))


def ordered(kinds: Iterable[Kind]) -> tuple[Kind, ...]:
    """Sort kinds into the order of sending, each once: objects that a report refers to come before it."""
    wanted = set(kinds)
    return tuple(kind for kind in Kind if kind in wanted)


def parse_change(text: str) -> tuple[bool, Kind]:
    """Read an entry of ``objects``: ``+pdf`` adds a kind to the profile, ``-seg`` takes one out.

    Returns:
        Whether it is added, and the kind.

    Raises:
        ValueError: It is no such entry.
    """
    sign, name = text[:1], text[1:]
    if sign not in ("+", "-") or name not in list(Kind):
        msg = f"must be + (add) or - (leave out) and one of {', '.join(Kind)}"
        raise ValueError(msg)
    return sign == "+", Kind(name)


def chosen_kinds(profile: Profile, changes: Iterable[str]) -> tuple[Kind, ...]:
    """Kinds that a destination gets whose peer accepts everything.

    Args:
        profile: Its profile.
        changes: Entries such as ``+pdf`` and ``-seg``, in order.
    """
    kinds = set(PROFILES[profile].kinds)
    for change in changes:
        adds, kind = parse_change(change)
        kinds = kinds | {kind} if adds else kinds - {kind}
    return ordered(kinds)


def with_fallbacks(kinds: Iterable[Kind]) -> tuple[Kind, ...]:
    """Add the stand-ins to some kinds: together they are what a reading must write."""
    wanted = set(kinds)
    return ordered(wanted.union(*(FALLBACKS[kind] for kind in wanted)))
