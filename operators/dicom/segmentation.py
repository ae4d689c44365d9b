"""The vertebrae as a DICOM Segmentation: one coded segment each, as bit masks or as one label map."""

from __future__ import annotations

import highdicom as hd
from pydicom import Dataset

from models.engine import Numbering
from operators.dicom.segmentation_object import (
    ObjectForm,
    described,
    encode_segments,
    identify_algorithm,
    renumbered,
    segment_numbers,
)
from operators.reading.case import Case
from operators.reading.options import Kind
from operators.reading.vertebra import Vertebra
from operators.results.identity import ResultIdentity
from operators.results.tracking import vertebra_tracking_uid
from operators.terms import codes
from operators.terms.colours import LEVEL_COLOURS

BINARY = ObjectForm(Kind.SEGMENTATION, 1001, "VERTEBRAE", "AI vertebrae (research)")
LABELMAP = ObjectForm(Kind.LABELMAP, 1002, "VERTEBRAE", "AI vertebrae, label map (research)", is_labelmap=True)


def write_segmentation(case: Case, form: ObjectForm = BINARY) -> Dataset | None:
    """Encode the instance map.

    Args:
        case: With a segmentation and the vertebrae of its reading. ``case.slices`` may lack pixel data.
        form: As bit masks, which every archive takes, or as a label map for those that ask for it.

    Returns:
        The object, not yet written to disk; the same bytes for the same case. None where there is no voxel
        to send: an empty segmentation says nothing that a report cannot say better.

    Raises:
        PermanentError: The volume's slices do not lie on the source images.
    """
    segments = vertebra_segments(case)
    if case.segmentation is None or not segments:
        return None
    identity = ResultIdentity.of(case.reading)
    return encode_segments(
        case,
        form,
        renumbered(case.segmentation.labels.array, segments),
        [_describe(vertebra, segment, case, identity) for vertebra, segment in described(case, segments)],
    )


def vertebra_segments(case: Case) -> dict[int, int]:
    """Segment number of each vertebra that has a voxel, by its number in the instance map."""
    return segment_numbers(case, None if case.segmentation is None else case.segmentation.labels)


def segment_label(vertebra: Vertebra, numbering: Numbering) -> str:
    """The level, with a question mark where the numbering is only a hypothesis.

    It is the only text that some viewers show of a segment, so the doubt has to stand in it.
    """
    return f"{vertebra.level}?" if numbering is Numbering.AMBIGUOUS else str(vertebra.level)


def _describe(vertebra: Vertebra, segment: int, case: Case, identity: ResultIdentity) -> hd.seg.SegmentDescription:
    coding = codes.LEVELS[vertebra.level]
    description = hd.seg.SegmentDescription(
        segment_number=segment,
        segment_label=segment_label(vertebra, case.reading.numbering),
        segmented_property_category=codes.ANATOMICAL_STRUCTURE,
        segmented_property_type=coding.structure,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=identify_algorithm(case.reading.provenance),
        tracking_uid=vertebra_tracking_uid(identity, vertebra, case, "vertebra"),
        tracking_id=f"{vertebra.level} vertebra",
        anatomic_regions=[coding.region] if coding.region else None,
        display_color=hd.color.CIELabColor.from_rgb(*LEVEL_COLOURS[vertebra.level]),
    )
    text = "Whole vertebra"
    if vertebra.alternative is not None:
        text += f"; level may be {vertebra.alternative}"
    if not vertebra.complete:
        text += "; cut by the border of the images"
    description.SegmentDescription = text
    return description
