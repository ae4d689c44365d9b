"""The regions in which density was measured, as a mask of the case and as a SEG object of their own."""

from __future__ import annotations

from operators.biomarker import MaskForm, Topic
from operators.density.terms import TRABECULAR
from operators.reading.options import Kind
from operators.terms import codes

DENSITY_REGIONS = Kind.DENSITY_REGIONS
"""Name of the mask: uint8, the vertebra's number inside its region."""

REGION = Topic("trabecular ROI", codes.ANATOMICAL_STRUCTURE, codes.VERTEBRAL_BODY)
"""What is tracked: the same in the segments and in the findings."""

REGIONS_OBJECT = MaskForm(
    kind=DENSITY_REGIONS,
    topic=REGION,
    series_number=1003,
    content_label="BONE_DENSITY",
    description="AI bone density regions (research)",
    # No standard code for cancellous bone: the body as the type, the compartment as its modifier.
    property_type=codes.VERTEBRAL_BODY,
    modifier=TRABECULAR,
    label="density",
    segment_description="Trabecular middle of the vertebral body, where density is measured",
)
