"""Measurement groups of the report: one per vertebra, per fracture and per density region.

Every group carries a drawing on one of the images and at most four numbers: without the drawing OHIF shows
no group of the report at all (OHIF/Viewers#3390), and of more numbers it shows only the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import highdicom as hd
from pydicom import Dataset

from models.engine import Numbering
from operators import codes
from operators.case import Case
from operators.identity import ResultIdentity
from operators.reading import Deformity, Density, Heights, Measured, Vertebra
from operators.report_findings import (
    deformity_of,
    density_measured,
    fracture_of,
    fracture_phrase,
    grade_of,
)
from operators.report_items import (
    algorithm,
    append_items,
    code_item,
    count,
    finding_site,
    measurement,
    reasons,
    text_item,
)
from operators.report_regions import CaseRegions, image_region, outline_item
from operators.write_segmentation import segment_numbers, vertebra_tracking_uid

Group: TypeAlias = (
    hd.sr.MeasurementsAndQualitativeEvaluations
    | hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations
    | hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations
)


@dataclass(frozen=True)
class ReportContext:
    """What the groups of one report have in common.

    Attributes:
        case: The finished case.
        segmentation: The SEG object that the groups refer to, where there is one.
    """

    case: Case
    segmentation: Dataset | None
    identity: ResultIdentity = field(init=False)
    regions: CaseRegions = field(init=False)
    segments: dict[int, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "identity", ResultIdentity.of(self.case.reading))
        object.__setattr__(self, "regions", CaseRegions(self.case))
        object.__setattr__(self, "segments", segment_numbers(self.case) if self.segmentation is not None else {})

    def tracking(self, vertebra: Vertebra, concept_name: str) -> hd.sr.TrackingIdentifier:
        """Tracking identifier of one thing at one level; each kind of group has its own."""
        return hd.sr.TrackingIdentifier(
            uid=vertebra_tracking_uid(self.identity, vertebra, self.case, concept_name),
            identifier=f"{vertebra.level} {concept_name}",
        )

    def algorithm(self) -> hd.sr.AlgorithmIdentification:
        """What read the study."""
        return algorithm(self.case.reading.provenance)


def vertebra_groups(context: ReportContext, vertebra: Vertebra) -> list[Group]:
    """All groups of one vertebra: itself, and its density region where there is a value."""
    groups = [_vertebra_group(context, vertebra)]
    density = density_measured(vertebra)
    if density is not None:
        groups.append(_density_group(context, vertebra, density))
    return groups


def fracture_group(context: ReportContext, vertebra: Vertebra) -> Group:
    """A fracture (TID 1410): grade, height loss and shape, drawn on the key slice."""
    deformity = deformity_of(vertebra)
    if deformity is None or deformity.grade is None:
        msg = f"{vertebra.level} has no grade and therefore no fracture group"
        raise ValueError(msg)
    numbers = [count(codes.GENANT_NUMBER, deformity.grade, "{grade}")]
    if isinstance(deformity.height_loss, Measured):
        numbers.append(measurement(codes.HEIGHT_LOSS, deformity.height_loss))
    group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=context.tracking(vertebra, "vertebral fracture"),
        referenced_region=image_region(context.regions.vertebra(vertebra)),
        finding_category=codes.ABNORMAL_STRUCTURE,
        finding_type=codes.COMPRESSION_FRACTURE,
        finding_sites=[finding_site(vertebra)],
        algorithm_id=context.algorithm(),
        measurements=numbers,
    )
    append_items(group, _grade_items(vertebra))
    append_items(group, [text_item(f"Vertebral fracture: {fracture_phrase(vertebra)}."), *_notes(deformity)])
    return group


def _vertebra_group(context: ReportContext, vertebra: Vertebra) -> Group:
    region = context.regions.vertebra(vertebra)
    segment = context.segments.get(vertebra.number)
    tracking = context.tracking(vertebra, "vertebra")
    coding = codes.LEVELS[vertebra.level]
    numbers = _height_numbers(vertebra)
    group: Group
    if segment is None or context.segmentation is None:
        group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking,
            referenced_region=image_region(region),
            finding_category=codes.ANATOMICAL_STRUCTURE,
            finding_type=coding.structure,
            finding_sites=[finding_site(vertebra)],
            algorithm_id=context.algorithm(),
            measurements=numbers,
        )
    else:
        group = hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking,
            referenced_segment=hd.sr.ReferencedSegment(
                sop_class_uid=context.segmentation.SOPClassUID,
                sop_instance_uid=context.segmentation.SOPInstanceUID,
                segment_number=segment,
                source_series=hd.sr.SourceSeriesForSegmentation(context.case.reading.source.series_uid),
            ),
            finding_category=codes.ANATOMICAL_STRUCTURE,
            finding_type=coding.structure,
            finding_sites=[finding_site(vertebra)],
            algorithm_id=context.algorithm(),
            measurements=numbers,
        )
        append_items(group, [outline_item(region, codes.ILLUSTRATION_OF_ROI)])
    append_items(group, _level_items(context, vertebra))
    append_items(group, _grade_items(vertebra))
    append_items(group, _withheld_items(vertebra))
    deformity = deformity_of(vertebra)
    append_items(group, [] if deformity is None else _notes(deformity))
    return group


def _density_group(context: ReportContext, vertebra: Vertebra, density: Density) -> Group:
    regions = context.regions.density(vertebra)
    rows = (
        (codes.MEAN_ATTENUATION, density.mean, codes.MEAN, None),
        (codes.DEVIATION_OF_ATTENUATION, density.deviation, codes.STANDARD_DEVIATION, None),
        (codes.MEDIAN_ATTENUATION, density.median, codes.MEDIAN, None),
        (codes.VOLUME, density.volume, None, codes.SUM_OF_VOXELS),
    )
    numbers = [
        measurement(name, value, derivation, method)
        for name, value, derivation, method in rows
        if isinstance(value, Measured)
    ]
    tracking = context.tracking(vertebra, "trabecular ROI")
    group: Group
    if regions:
        group = hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking,
            referenced_regions=[image_region(region) for region in regions],
            finding_category=codes.ANATOMICAL_STRUCTURE,
            finding_type=codes.VERTEBRAL_BODY,
            finding_sites=[finding_site(vertebra)],
            algorithm_id=context.algorithm(),
            measurements=numbers,
        )
    else:
        group = hd.sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking,
            finding_category=codes.ANATOMICAL_STRUCTURE,
            finding_type=codes.VERTEBRAL_BODY,
            finding_sites=[finding_site(vertebra)],
            algorithm_id=context.algorithm(),
            measurements=numbers,
        )
        append_items(group, [outline_item(context.regions.vertebra(vertebra), codes.SOURCE_OF_MEASUREMENT)])
    values = (density.mean, density.deviation, density.median, density.volume)
    append_items(group, reasons(codes.EXCLUDED_DENSITY, "Density", values))
    return group


def _height_numbers(vertebra: Vertebra) -> list[hd.sr.Measurement]:
    heights = vertebra.heights
    rows = []
    if isinstance(heights, Heights):
        rows = [
            (codes.HEIGHT_ANTERIOR, heights.anterior),
            (codes.HEIGHT_MIDDLE, heights.middle),
            (codes.HEIGHT_POSTERIOR, heights.posterior),
        ]
    if isinstance(vertebra.deformity, Deformity):
        rows.append((codes.HEIGHT_LOSS, vertebra.deformity.height_loss))
    return [measurement(name, value) for name, value in rows if isinstance(value, Measured)]


def _grade_items(vertebra: Vertebra) -> list[hd.sr.CodeContentItem]:
    items = [code_item(codes.COMPRESSION_FRACTURE, fracture_of(vertebra).code)]
    deformity, grade = deformity_of(vertebra), grade_of(vertebra)
    if deformity is not None and grade is not None:
        items.append(code_item(codes.GENANT, codes.GENANT_GRADES[grade]))
        if deformity.shape is not None and grade:
            items.append(code_item(codes.MORPHOLOGY, codes.SHAPES[deformity.shape]))
    return items


def _withheld_items(vertebra: Vertebra) -> list[hd.sr.CodeContentItem]:
    heights, deformity, density = vertebra.heights, vertebra.deformity, vertebra.density
    height_values: Sequence[object] = [heights]
    if isinstance(heights, Heights):
        height_values = [heights.anterior, heights.middle, heights.posterior]
    loss = deformity.height_loss if isinstance(deformity, Deformity) else deformity
    items = reasons(codes.EXCLUDED_HEIGHTS, "Heights", height_values)
    items += reasons(codes.EXCLUDED_GRADE, "Height loss and grade", [loss])
    if density_measured(vertebra) is None:
        items += reasons(codes.EXCLUDED_DENSITY, "Density", [density.mean if isinstance(density, Density) else density])
    return items


def _level_items(context: ReportContext, vertebra: Vertebra) -> list[Dataset]:
    """What has to be known of the name: how sure it is, what else it may be, whether all of it is seen."""
    doubt = f"Level {vertebra.level}, confidence {vertebra.confidence:.2f}"
    items: list[Dataset] = []
    if vertebra.alternative is not None:
        name = codes.LEVELS[vertebra.alternative].name
        doubt = f"Level {vertebra.level} or {vertebra.alternative}, confidence {vertebra.confidence:.2f}"
        items.append(code_item(codes.ALTERNATIVE_LEVEL, name))
    if context.case.reading.numbering is Numbering.AMBIGUOUS:
        doubt += "; the numbering of this spine is ambiguous, the level is a hypothesis"
    if not vertebra.complete:
        items.append(code_item(codes.EXCLUDED, codes.EXCLUSIONS["incomplete"]))
        doubt += "; cut by the border of the images"
    return [*items, text_item(f"{doubt}.")]


def _notes(deformity: Deformity) -> list[hd.sr.TextContentItem]:
    return [text_item(deformity.note)] if deformity.note else []
