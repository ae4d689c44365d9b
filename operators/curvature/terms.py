"""Coded terms on the curvature of the spine and on the sizes of its bodies."""

from __future__ import annotations

from pydicom.sr.coding import Code

from operators.terms.term import private

KYPHOSIS = private(
    "KYPH-T4-T12",
    "Thoracic kyphosis T4 to T12",
    "Angle in degrees between the superior endplate of T4 and the inferior endplate of T12 in the sagittal plane of a "
    "patient who lies; bending forward is positive",
)
KYPHOSIS_FROM_T5 = private(
    "KYPH-T5-T12", "Thoracic kyphosis T5 to T12", "As KYPH-T4-T12, from the superior endplate of T5"
)
LORDOSIS = private(
    "LORD-L1-S1",
    "Lumbar lordosis L1 to S1",
    "Angle in degrees between the superior endplates of L1 and S1, as KYPH-T4-T12; bending backward is positive",
)
LORDOSIS_TO_L5 = private(
    "LORD-L1-L5",
    "Lumbar lordosis L1 to L5",
    "As LORD-L1-S1, to the inferior endplate of L5, where S1 is not seen",
)
THORACOLUMBAR = private(
    "TL-T10-L2",
    "Thoracolumbar angle T10 to L2",
    "Angle in degrees between the superior endplate of T10 and the inferior endplate of L2; kyphosis is positive",
)
COBB = private(
    "COBB-COR",
    "Coronal Cobb angle",
    "Angle in degrees between the most tilted endplates about the apex of the largest coronal curve between T4 and L5; "
    "given from 10 degrees",
)
COBB_PRESENT = private("COBB-10", "Coronal curve of 10 degrees", "Question: whether a coronal curve reaches 10 degrees")
COBB_UPPER = private("COBB-UPPER", "Upper end vertebra", "Question: the upper end vertebra of COBB-COR")
COBB_LOWER = private("COBB-LOWER", "Lower end vertebra", "Question: the lower end vertebra of COBB-COR")
COBB_APEX = private("COBB-APEX", "Apical vertebra", "Question: the vertebra at the apex of COBB-COR")
COBB_SIDE = private("COBB-SIDE", "Side of the convexity", "Question: the side to which the curve of COBB-COR bulges")
SIDES = {"left": Code("7771000", "SCT", "Left"), "right": Code("24028007", "SCT", "Right")}

BODY_AREA = private(
    "VBB-AREA",
    "Vertebral body cross-section",
    "Area in cm2 of the body's mask midway between its endplates, without what lies beside the pedicles",
)
BODY_WIDTH = private(
    "VBB-WIDTH", "Vertebral body width", "Left-right extent in mm of VBB-AREA in front of the pedicles"
)
BODY_DEPTH = private("VBB-DEPTH", "Vertebral body depth", "Front-back extent in mm of VBB-AREA")
CANAL_AREA = private("CANAL-AREA", "Spinal canal area", "Area in cm2 of the spinal canal in the plane of VBB-AREA")
CANAL_DIAMETER = private(
    "CANAL-SAG", "Sagittal diameter of the spinal canal", "Front-back extent in mm of CANAL-AREA in its middle"
)

EXCLUDED_CURVE = private(
    "EXCL-CURVE", "Reason why an angle of the spine is withheld", "Question: why an angle of the spine is not given"
)
EXCLUDED_SIZE = private(
    "EXCL-SIZE", "Reason why sizes are withheld", "Question: why the size of a body or of the canal is not given"
)
