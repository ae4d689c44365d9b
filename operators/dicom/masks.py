"""The regions that biomarkers measured in, each kind as a DICOM Segmentation of its own: they overlap the vertebrae."""

from __future__ import annotations

from collections.abc import Iterator

import highdicom as hd
from pydicom import Dataset

from operators.biomarker import MaskForm
from operators.dicom.result_header import private_scheme_item
from operators.dicom.segmentation import segment_label
from operators.dicom.segmentation_object import (
    ObjectForm,
    described,
    encode_segments,
    identify_algorithm,
    renumbered,
    segment_numbers,
)
from operators.reading.case import Case
from operators.reading.vertebra import Vertebra
from operators.registered import BIOMARKERS
from operators.results.identity import ResultIdentity
from operators.results.tracking import vertebra_tracking_uid
from operators.terms import codes
from operators.terms.colours import LEVEL_COLOURS


def mask_forms() -> Iterator[MaskForm]:
    """The SEG objects that the registered biomarkers add to that of the vertebrae."""
    return (form for one in BIOMARKERS for form in one.masks)


def write_mask(case: Case, form: MaskForm) -> Dataset | None:
    """Encode one kind of region, one segment for each vertebra that has one.

    Args:
        case: With its masks. ``case.slices`` may lack pixel data.
        form: Which kind.

    Returns:
        The object, not yet written to disk; the same bytes for the same case. None where there is no region.

    Raises:
        PermanentError: The volume's slices do not lie on the source images.
    """
    mask = case.masks.get(form.kind)
    segments = segment_numbers(case, mask)
    if mask is None or not segments:
        return None
    identity = ResultIdentity.of(case.reading)
    result = encode_segments(
        case,
        ObjectForm(form.kind, form.series_number, form.content_label, form.description),
        renumbered(mask.array, segments),
        [_describe(vertebra, segment, case, form, identity) for vertebra, segment in described(case, segments)],
    )
    result.CodingSchemeIdentificationSequence = [private_scheme_item()]
    return result


def _describe(
    vertebra: Vertebra, segment: int, case: Case, form: MaskForm, identity: ResultIdentity
) -> hd.seg.SegmentDescription:
    coding = codes.LEVELS[vertebra.level]
    description = hd.seg.SegmentDescription(
        segment_number=segment,
        segment_label=f"{segment_label(vertebra, case.reading.numbering)} {form.label}",
        segmented_property_category=codes.ANATOMICAL_STRUCTURE,
        segmented_property_type=form.property_type,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=identify_algorithm(case.reading.provenance),
        tracking_uid=vertebra_tracking_uid(identity, vertebra, case, form.topic.name),
        tracking_id=f"{vertebra.level} {form.topic.name}",
        anatomic_regions=[coding.region or coding.structure],
        display_color=hd.color.CIELabColor.from_rgb(*LEVEL_COLOURS[vertebra.level]),
    )
    if form.modifier is not None:
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [hd.sr.CodedConcept.from_code(form.modifier)]
    description.SegmentDescription = form.segment_description
    return description
