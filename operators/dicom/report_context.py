"""What the groups of one report have in common, and how a group at one vertebra is put together.

Every group carries a drawing on one of the images and at most four numbers: without the drawing OHIF shows
no group of the report at all (OHIF/Viewers#3390), and of more numbers it shows only the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import highdicom as hd
from pydicom import Dataset
from pydicom.sr.coding import Code

from models.anatomy import Level
from operators.dicom.density_regions import density_segments
from operators.dicom.report_items import algorithm, append_items, concept, finding_site
from operators.dicom.segmentation import vertebra_segments
from operators.dicom.segmentation_object import vertebra_tracking_uid
from operators.reading.case import Case
from operators.reading.options import Kind
from operators.reading.reading import Vertebra
from operators.results.identity import ResultIdentity
from operators.results.outlines import CaseRegions, Region, image_region, outline_item
from operators.terms import codes

Group: TypeAlias = (
    hd.sr.MeasurementsAndQualitativeEvaluations
    | hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations
    | hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations
)

MOST_NUMBERS = 4
"""In one group: OHIF shows five lines, and the last is the finding site."""

_VERTEBRAE = (Kind.SEGMENTATION, Kind.LABELMAP)
"""Objects whose segments are the vertebrae, numbered alike; the first that there is is referred to."""


@dataclass(frozen=True)
class Topic:
    """What a group is about.

    Attributes:
        name: What is tracked at the level, as in ``vertebra``; every kind of group has its own.
        category, finding: Coded category and type.
    """

    name: str
    category: Code
    finding: Code


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
    _vertebrae: Mapping[int, int] = field(init=False)
    _densities: Mapping[int, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "identity", ResultIdentity.of(self.case.reading))
        object.__setattr__(self, "regions", CaseRegions(self.case))
        object.__setattr__(self, "_vertebrae", vertebra_segments(self.case))
        object.__setattr__(self, "_densities", density_segments(self.case))

    @property
    def referenced(self) -> tuple[Kind, ...]:
        """Kinds of the SEG objects that the groups refer to."""
        vertebrae = [kind for kind in _VERTEBRAE if kind in self.segmentations][:1]
        return (*vertebrae, *(kind for kind in (Kind.DENSITY_REGIONS,) if kind in self.segmentations))

    def vertebra_segment(self, vertebra: Vertebra) -> hd.sr.ReferencedSegment | None:
        """Reference to the segment of a whole vertebra, where there is one."""
        kind = next((kind for kind in _VERTEBRAE if kind in self.segmentations), None)
        return self._segment(kind, self._vertebrae.get(vertebra.number))

    def density_segment(self, vertebra: Vertebra) -> hd.sr.ReferencedSegment | None:
        """Reference to the segment of a density region, where there is one."""
        return self._segment(Kind.DENSITY_REGIONS, self._densities.get(vertebra.number))

    def _segment(self, kind: Kind | None, number: int | None) -> hd.sr.ReferencedSegment | None:
        found = None if kind is None else self.segmentations.get(kind)
        if found is None or number is None:
            return None
        return hd.sr.ReferencedSegment(
            sop_class_uid=found.SOPClassUID,
            sop_instance_uid=found.SOPInstanceUID,
            segment_number=number,
            source_series=hd.sr.SourceSeriesForSegmentation(self.case.reading.source.series_uid),
        )

    def tracking(self, vertebra: Vertebra, concept_name: str) -> hd.sr.TrackingIdentifier:
        """Tracking identifier of one thing at one level; each kind of group has its own."""
        return hd.sr.TrackingIdentifier(
            uid=vertebra_tracking_uid(self.identity, vertebra, self.case, concept_name),
            identifier=f"{vertebra.level} {concept_name}",
        )

    def algorithm(self) -> hd.sr.AlgorithmIdentification:
        """What read the study."""
        return algorithm(self.case.reading.provenance)

    def group(
        self,
        vertebra: Vertebra,
        topic: Topic,
        numbers: Sequence[hd.sr.Measurement],
        regions: Sequence[Region],
        segment: hd.sr.ReferencedSegment | None = None,
    ) -> Group:
        """A group at one vertebra.

        Args:
            vertebra: Where.
            topic: What it is about.
            numbers: At most :data:`MOST_NUMBERS`.
            regions: Where it was measured or found, the most telling first; at least one.
            segment: The segment that was measured, where there is one: then the first region illustrates it.

        Raises:
            ValueError: There are too many numbers, or no region.
        """
        if len(numbers) > MOST_NUMBERS or not regions:
            msg = (
                f"a group has {len(numbers)} numbers and {len(regions)} regions: at most 4 and at least 1 are possible"
            )
            raise ValueError(msg)
        common: dict[str, Any] = {
            "tracking_identifier": self.tracking(vertebra, topic.name),
            "finding_category": topic.category,
            "finding_type": topic.finding,
            "finding_sites": [finding_site(vertebra)],
            "algorithm_id": self.algorithm(),
            "measurements": list(numbers) or None,
        }
        if segment is not None:
            group = hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **common)
            append_items(group, [outline_item(regions[0], codes.ILLUSTRATION_OF_ROI)])
            return group
        if len(regions) > 1:
            return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
                referenced_regions=[image_region(region) for region in regions], **common
            )
        return hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            referenced_region=image_region(regions[0]), **common
        )

    def spine_group(
        self, name: str, finding: Code, numbers: Sequence[hd.sr.Measurement], levels: Sequence[Level], away: int = -3
    ) -> Group:
        """A group on the spine or several levels of it (TID 1501), drawn at the middle one of ``levels``.

        Args:
            name: What is tracked.
            finding: Coded type.
            numbers: At most :data:`MOST_NUMBERS`.
            levels: Those that it rests on; without one, the middle of all vertebrae is drawn, or the images.
            away: Slices from that vertebra's middle, as in :meth:`CaseRegions.vertebra`; one for each group.
        """
        uid_name = "summary" if name == "Spine summary" else name
        group = hd.sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=hd.sr.TrackingIdentifier(
                uid=self.identity.tracking_uid("spine", uid_name), identifier=name
            ),
            finding_category=codes.ANATOMICAL_STRUCTURE,
            finding_type=finding,
            finding_sites=[hd.sr.FindingSite(anatomic_location=concept(codes.SPINE))],
            algorithm_id=self.algorithm(),
            measurements=list(numbers) or None,
        )
        vertebrae = self.case.reading.vertebrae
        among = [vertebra for vertebra in vertebrae if vertebra.level in levels] or vertebrae
        region = self.regions.vertebra(among[len(among) // 2], away) if among else self.regions.whole_image()
        append_items(group, [outline_item(region, codes.SOURCE_OF_MEASUREMENT)])
        return group
