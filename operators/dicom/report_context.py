"""What the groups of one report have in common, and which slice each of them is drawn on."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import highdicom as hd
from pydicom import Dataset

from models.anatomy import Level
from operators.biomarker import VERTEBRA
from operators.dicom.report_items import algorithm
from operators.dicom.segmentation import vertebra_segments
from operators.dicom.segmentation_object import segment_numbers
from operators.reading.case import Case
from operators.reading.options import Kind
from operators.reading.vertebra import Vertebra
from operators.results.identity import ResultIdentity
from operators.results.outlines import CaseRegions, Region
from operators.results.tracking import tracking_uid

_VERTEBRAE = (Kind.SEGMENTATION, Kind.LABELMAP)
"""Objects whose segments are the vertebrae, numbered alike; the first that there is is referred to."""


@dataclass(frozen=True)
class ReportContext:
    """What the groups of one report have in common.

    Attributes:
        case: The finished case.
        segmentations: The SEG objects of the case that there are, by kind; the groups refer to their segments.
    """

    case: Case
    segmentations: Mapping[Kind, Dataset]
    identity: ResultIdentity = field(init=False)
    regions: CaseRegions = field(init=False)
    _segments: Mapping[str, Mapping[int, int]] = field(init=False)
    _taken: dict[str, set[int]] = field(init=False)

    def __post_init__(self) -> None:
        segments = {name: segment_numbers(self.case, mask) for name, mask in self.case.masks.items()}
        object.__setattr__(self, "identity", ResultIdentity.of(self.case.reading))
        object.__setattr__(self, "regions", CaseRegions(self.case))
        object.__setattr__(self, "_segments", {VERTEBRA.name: vertebra_segments(self.case), **segments})
        object.__setattr__(self, "_taken", {})

    @property
    def referenced(self) -> tuple[Kind, ...]:
        """Kinds of the SEG objects that the groups refer to."""
        vertebrae = [kind for kind in _VERTEBRAE if kind in self.segmentations][:1]
        return (*vertebrae, *(kind for kind in Kind if kind in self.case.masks and kind in self.segmentations))

    def segment(self, mask: str | None, vertebra: Vertebra) -> hd.sr.ReferencedSegment | None:
        """Reference to the segment of a mask at a vertebra, where there is one."""
        if mask is None:
            return None
        named = _VERTEBRAE if mask == VERTEBRA.name else (Kind(mask),)
        found = next((self.segmentations[kind] for kind in named if kind in self.segmentations), None)
        number = self._segments.get(mask, {}).get(vertebra.number)
        if found is None or number is None:
            return None
        return hd.sr.ReferencedSegment(
            sop_class_uid=found.SOPClassUID,
            sop_instance_uid=found.SOPInstanceUID,
            segment_number=number,
            source_series=hd.sr.SourceSeriesForSegmentation(self.case.reading.source.series_uid),
        )

    def tracking(self, vertebra: Vertebra | None, name: str, title: str) -> hd.sr.TrackingIdentifier:
        """Tracking identifier of one topic at one place."""
        identifier = title if vertebra is None else f"{vertebra.level} {title}"
        return hd.sr.TrackingIdentifier(uid=tracking_uid(self.case, vertebra, name), identifier=identifier)

    def algorithm(self) -> hd.sr.AlgorithmIdentification:
        """What read the study."""
        return algorithm(self.case.reading.provenance)

    def measured_in(self, mask: str | None, vertebra: Vertebra) -> list[Region]:
        """Outlines of what was measured in, the most telling first; empty where no mask says it."""
        if mask is None or mask == VERTEBRA.name:
            return []
        return self.regions.mask(mask, vertebra)

    def drawn_at(self, vertebra: Vertebra, *, is_main: bool = False) -> Region:
        """The vertebra's outline on a slice that no other group has, as near to its centre as there is one.

        Viewers write the texts of all groups of a slice at once, so that two groups on one slice hide each other.

        Args:
            vertebra: Where.
            is_main: True for the one group that stands for the vertebra itself: it gets the slice at the centre,
                which no other group is given. Nor is the slice on which a region that was measured in is largest.
        """
        planes = self.regions.planes(vertebra)
        if is_main:
            return self.regions.vertebra(vertebra, planes[0])
        measured = [self.regions.mask_planes(mask, vertebra)[:1] for mask in self.case.masks]
        taken = self._taken.setdefault(f"vertebra {vertebra.number}", {planes[0], *itertools.chain(*measured)})
        free = next((plane for plane in planes if plane not in taken), planes[-1])
        taken.add(free)
        return self.regions.vertebra(vertebra, free)

    def drawn_at_spine(self, levels: Sequence[Level]) -> Region:
        """A drawing for a group on the spine: at the middle one of ``levels``, else of all, else the images."""
        vertebrae = self.case.reading.vertebrae
        among = [vertebra for vertebra in vertebrae if vertebra.level in levels] or vertebrae
        if among:
            return self.drawn_at(among[len(among) // 2])
        taken = self._taken.setdefault("images", set())
        taken.add(len(taken))
        return self.regions.whole_image(len(taken) - 1)
