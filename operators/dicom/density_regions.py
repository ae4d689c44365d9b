"""The regions in which density was measured as a DICOM Segmentation of their own: they overlap the vertebrae."""

from __future__ import annotations

import highdicom as hd
from pydicom import Dataset

from operators.dicom.result_header import private_scheme_item
from operators.dicom.segmentation import segment_label
from operators.dicom.segmentation_object import (
    ObjectForm,
    described,
    encode_segments,
    identify_algorithm,
    renumbered,
    segment_numbers,
    vertebra_tracking_uid,
)
from operators.reading.case import Case
from operators.reading.options import Kind
from operators.reading.reading import Vertebra
from operators.results.identity import ResultIdentity
from operators.terms import codes

FORM = ObjectForm(Kind.DENSITY_REGIONS, 1003, "BONE_DENSITY", "AI bone density regions (research)")
TRACKED = "trabecular ROI"
"""What is tracked: the same in the segments and in the density groups of the report."""


def write_density_regions(case: Case) -> Dataset | None:
    """Encode the density regions, one segment for each vertebral body in which density was measured.

    Args:
        case: With its density regions. ``case.slices`` may lack pixel data.

    Returns:
        The object, not yet written to disk; the same bytes for the same case. None where there is no region.

    Raises:
        PermanentError: The volume's slices do not lie on the source images.
    """
    segments = density_segments(case)
    if case.density_regions is None or not segments:
        return None
    identity = ResultIdentity.of(case.reading)
    result = encode_segments(
        case,
        FORM,
        renumbered(case.density_regions.array, segments),
        [_describe(vertebra, segment, case, identity) for vertebra, segment in described(case, segments)],
    )
    result.CodingSchemeIdentificationSequence = [private_scheme_item()]
    return result


def density_segments(case: Case) -> dict[int, int]:
    """Segment number of each density region by the number of its vertebra."""
    return segment_numbers(case, case.density_regions)


def _describe(vertebra: Vertebra, segment: int, case: Case, identity: ResultIdentity) -> hd.seg.SegmentDescription:
    coding = codes.LEVELS[vertebra.level]
    description = hd.seg.SegmentDescription(
        segment_number=segment,
        segment_label=f"{segment_label(vertebra, case.reading.numbering)} density",
        segmented_property_category=codes.ANATOMICAL_STRUCTURE,
        segmented_property_type=codes.VERTEBRAL_BODY,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=identify_algorithm(case.reading.provenance),
        tracking_uid=vertebra_tracking_uid(identity, vertebra, case, TRACKED),
        tracking_id=f"{vertebra.level} {TRACKED}",
        anatomic_regions=[coding.region or coding.structure],
        display_color=hd.color.CIELabColor.from_rgb(*codes.LEVEL_COLOURS[vertebra.level]),
    )
    # No standard code for cancellous bone: the body as the type, the compartment as its modifier.
    kind = description.SegmentedPropertyTypeCodeSequence[0]
    kind.SegmentedPropertyTypeModifierCodeSequence = [hd.sr.CodedConcept.from_code(codes.TRABECULAR)]
    description.SegmentDescription = "Trabecular middle of the vertebral body, where density is measured"
    return description
