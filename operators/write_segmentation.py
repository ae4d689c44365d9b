"""The vertebrae as a DICOM Segmentation: one coded segment each, on the grid of the CT that was read."""

from __future__ import annotations

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from models.engine import Numbering
from operators import codes
from operators.case import Case
from operators.identity import ResultIdentity
from operators.options import Kind
from operators.reading import Provenance, Vertebra
from operators.result_header import (
    MANUFACTURER,
    algorithm_parameters,
    equipment,
    finish,
    plain,
    source_headers,
)
from operators.source_frames import source_frames

SERIES_NUMBER = 1001
SERIES_DESCRIPTION = "AI vertebrae (research)"


def write_segmentation(case: Case) -> Dataset | None:
    """Encode the instance map as a BINARY segmentation.

    Args:
        case: With a segmentation and the vertebrae of its reading. ``case.slices`` may lack pixel data.

    Returns:
        The object, not yet written to disk; the same bytes for the same case. None where there is no voxel
        to send: an empty segmentation says nothing that a report cannot say better.

    Raises:
        PermanentError: The volume's slices do not lie on the source images.
    """
    segments = segment_numbers(case)
    if case.segmentation is None or not segments:
        return None
    frames = source_frames(case)
    identity = ResultIdentity.of(case.reading)
    by_number = {vertebra.number: vertebra for vertebra in case.reading.vertebrae}
    result = hd.seg.Segmentation(
        source_images=source_headers(case),
        pixel_array=_renumbered(case, segments)[np.argsort([frame.place for frame in frames])],
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _describe(by_number[number], segment, case, identity) for number, segment in segments.items()
        ],
        series_instance_uid=identity.series_uid(Kind.SEGMENTATION),
        series_number=SERIES_NUMBER,
        sop_instance_uid=identity.instance_uid(Kind.SEGMENTATION),
        instance_number=1,
        content_label="VERTEBRAE",
        content_description=SERIES_DESCRIPTION,
        series_description=SERIES_DESCRIPTION,
        content_qualification=hd.ContentQualificationValues.RESEARCH,
        omit_empty_frames=True,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **equipment(case),
    )
    result.BodyPartExamined = "SPINE"
    result.ContentCreatorName = None  # Type 2: present, and no person made it
    _set_dimension_uid(result, identity.dimension_uid(Kind.SEGMENTATION))
    finish(result, case)
    return result


def segment_numbers(case: Case) -> dict[int, int]:
    """Segment number of each vertebra by its number in the instance map.

    Segments are numbered 1…N without gaps, as viewers expect them; a vertebra without a voxel has none.
    """
    if case.segmentation is None:
        return {}
    # Slice by slice: over the whole volume numpy would count on a copy of eight times its size.
    counts = np.zeros(256, dtype=np.int64)
    for plane in case.segmentation.labels.array:
        counts += np.bincount(plane.ravel(), minlength=256)
    present = [v.number for v in case.reading.vertebrae if counts[v.number]]
    return {number: segment for segment, number in enumerate(dict.fromkeys(present), start=1)}


def segment_label(vertebra: Vertebra, numbering: Numbering) -> str:
    """The level, with a question mark where the numbering is only a hypothesis.

    It is the only text that some viewers show of a segment, so the doubt has to stand in it.
    """
    return f"{vertebra.level}?" if numbering is Numbering.AMBIGUOUS else str(vertebra.level)


def vertebra_tracking_uid(identity: ResultIdentity, vertebra: Vertebra, case: Case, concept: str) -> str:
    """Tracking UID of one vertebra; a level found twice gets two of them."""
    twins = [v.number for v in case.reading.vertebrae if v.level is vertebra.level]
    turn = twins.index(vertebra.number)
    return identity.tracking_uid(vertebra.level, f"{concept} {turn + 1}" if turn else concept)


def _renumbered(case: Case, segments: dict[int, int]) -> NDArray[np.uint8]:
    if case.segmentation is None:
        msg = "a case without segmentation has no labels"
        raise ValueError(msg)
    table = np.zeros(256, dtype=np.uint8)
    table[list(segments)] = list(segments.values())
    renumbered: NDArray[np.uint8] = table[case.segmentation.labels.array]
    return renumbered


def _describe(vertebra: Vertebra, segment: int, case: Case, identity: ResultIdentity) -> hd.seg.SegmentDescription:
    coding = codes.LEVELS[vertebra.level]
    description = hd.seg.SegmentDescription(
        segment_number=segment,
        segment_label=segment_label(vertebra, case.reading.numbering),
        segmented_property_category=codes.ANATOMICAL_STRUCTURE,
        segmented_property_type=coding.structure,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=_identify_algorithm(case.reading.provenance),
        tracking_uid=vertebra_tracking_uid(identity, vertebra, case, "vertebra"),
        tracking_id=f"{vertebra.level} vertebra",
        anatomic_regions=[coding.region] if coding.region else None,
        display_color=hd.color.CIELabColor.from_rgb(*codes.LEVEL_COLOURS[vertebra.level]),
    )
    text = "Whole vertebra"
    if vertebra.alternative is not None:
        text += f"; level may be {vertebra.alternative}"
    if not vertebra.complete:
        text += "; cut by the border of the images"
    description.SegmentDescription = text
    return description


def _identify_algorithm(by: Provenance) -> hd.AlgorithmIdentificationSequence:
    return hd.AlgorithmIdentificationSequence(
        name=plain(by.engine)[:64],
        family=codes.ARTIFICIAL_INTELLIGENCE,
        version=plain(by.engine_version)[:64],
        source=MANUFACTURER,
        parameters=dict(algorithm_parameters(by)),
    )


def _set_dimension_uid(result: Dataset, uid: str) -> None:
    """Replace the random UID that highdicom gives to the dimensions."""
    for item in (*result.DimensionOrganizationSequence, *result.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
