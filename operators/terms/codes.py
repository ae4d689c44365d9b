"""Standard codes that several rooms share: vertebral levels, structure of the report, answers, units.

Standard codes are those of the pydicom dictionary (PS3.16) or of public mapping files, as marked P, M, X, W
or T in docs/dicom_notes.md. Where no standard code exists, a term of the private scheme takes its place
(:mod:`operators.terms.term`): those of the report's frame in :mod:`operators.terms.frame`, those of a biomarker
in its folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from pydicom.sr.coding import Code

from models.anatomy import Level
from operators.terms.term import private

# --- vertebrae ----------------------------------------------------------------------------------------

_LEVEL_CODES = {
    Level.C1: "14806007",
    Level.C2: "39976000",
    Level.C3: "113205007",
    Level.C4: "5329002",
    Level.C5: "36978003",
    Level.C6: "36054005",
    Level.C7: "87391001",
    Level.T1: "64864005",
    Level.T2: "53733008",
    Level.T3: "1626008",
    Level.T4: "73071006",
    Level.T5: "56401006",
    Level.T6: "45296009",
    Level.T7: "62487009",
    Level.T8: "11068009",
    Level.T9: "82687006",
    Level.T10: "7610001",
    Level.T11: "12989004",
    Level.T12: "23215003",
    Level.L1: "66794005",
    Level.L2: "14293000",
    Level.L3: "36470004",
    Level.L4: "11994002",
    Level.L5: "49668003",
    Level.S1: "65985001",
}

VERTEBRA = Code("51282000", "SCT", "Vertebra")
VERTEBRAL_BODY = Code("3572006", "SCT", "Vertebral body")
SPINE = Code("421060004", "SCT", "Spine")
THORACIC_SPINE = Code("122495006", "SCT", "Thoracic spine")
LUMBAR_SPINE = Code("122496007", "SCT", "Lumbar spine")
ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
ABNORMAL_STRUCTURE = Code("49755003", "SCT", "Morphologically Abnormal Structure")


VERTEBRA_L6 = private("VERT-L6", "L6 vertebra", "Sixth lumbar-type vertebra")
VERTEBRA_T13 = private("VERT-T13", "T13 vertebra", "Thirteenth thoracic-type vertebra")


class LevelCoding(NamedTuple):
    """How a level is coded.

    Attributes:
        structure: Code of the vertebra; the generic one where no code for the level exists.
        region: Part of the spine, for levels without a code of their own.
        modifier: Private name of the level, for levels without a code of their own.
    """

    structure: Code
    region: Code | None = None
    modifier: Code | None = None

    @property
    def name(self) -> Code:
        """The most specific single code."""
        return self.modifier or self.structure


LEVELS: Mapping[Level, LevelCoding] = MappingProxyType(
    {level: LevelCoding(Code(value, "SCT", f"{level} vertebra")) for level, value in _LEVEL_CODES.items()}
    | {
        Level.T13: LevelCoding(VERTEBRA, THORACIC_SPINE, VERTEBRA_T13),
        Level.L6: LevelCoding(VERTEBRA, LUMBAR_SPINE, VERTEBRA_L6),
    }
)

# --- structure of the report ----------------------------------------------------------------------------

QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
COMMENT = Code("121106", "DCM", "Comment")
FINDING_SITE = Code("363698007", "SCT", "Finding Site")
ILLUSTRATION_OF_ROI = Code("121200", "DCM", "Illustration of ROI")
SOURCE_OF_MEASUREMENT = Code("121112", "DCM", "Source of Measurement")
IMAGE_REGION = Code("111030", "DCM", "Image Region")
CT_PROCEDURE = Code("25045-6", "LN", "CT unspecified body region")
PROCESSING_SUMMARY = Code("111017", "DCM", "CAD Processing and Findings Summary")
ALL_WITHOUT_FINDINGS = Code("111241", "DCM", "All algorithms succeeded; without findings")
ALL_WITH_FINDINGS = Code("111242", "DCM", "All algorithms succeeded; with findings")
SOME_WITHOUT_FINDINGS = Code("111243", "DCM", "Not all algorithms succeeded; without findings")
SOME_WITH_FINDINGS = Code("111244", "DCM", "Not all algorithms succeeded; with findings")
NONE_SUCCEEDED = Code("111245", "DCM", "No algorithms succeeded; without findings")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")

DIAGNOSTIC_IMAGING_REPORT = Code("18748-4", "LN", "Diagnostic Imaging Report")
FOR_RESEARCH = Code("113009", "DCM", "For Research")
IMPRESSIONS = Code("19005-8", "LN", "Impressions")
IMPRESSION = Code("121073", "DCM", "Impression")
FINDINGS = Code("59776-5", "LN", "Findings")
FINDING = Code("121071", "DCM", "Finding")
PROCEDURE_DESCRIPTIONS = Code("55111-9", "LN", "Current Procedure Descriptions")
PROCEDURE_DESCRIPTION = Code("121065", "DCM", "Procedure Description")
KEY_IMAGES = Code("55113-5", "LN", "Key Images")

IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
MODALITY = Code("121139", "DCM", "Modality")
COMPUTED_TOMOGRAPHY = Code("CT", "DCM", "Computed Tomography")
FRAME_OF_REFERENCE_UID = Code("112227", "DCM", "Frame of Reference UID")
PIXEL_DATA_ROWS = Code("110910", "DCM", "Pixel Data Rows")
PIXEL_DATA_COLUMNS = Code("110911", "DCM", "Pixel Data Columns")
HORIZONTAL_SPACING = Code("111026", "DCM", "Horizontal Pixel Spacing")
VERTICAL_SPACING = Code("111066", "DCM", "Vertical Pixel Spacing")
SLICE_THICKNESS = Code("112225", "DCM", "Slice Thickness")
SLICE_SPACING = Code("112226", "DCM", "Spacing between slices")
STUDY_INSTANCE_UID = Code("110180", "DCM", "Study Instance UID")
KVP = Code("113733", "DCM", "KVP")
CONTRAST_ADMINISTERED = Code("122086", "DCM", "Contrast administered")
YES = Code("373066001", "SCT", "Yes")
SOURCE = Code("260753009", "SCT", "Source")

# --- findings and measurements --------------------------------------------------------------------------

COMPRESSION_FRACTURE = Code("42942008", "SCT", "Compression fracture of vertebral column")
LOW_BONE_DENSITY = Code("449781000", "SCT", "Bone density below reference range")
PRESENT = Code("52101004", "SCT", "Present")
ABSENT = Code("272519000", "SCT", "Absent")
UNDETERMINED = Code("373068000", "SCT", "Undetermined")

MEAN_ATTENUATION = Code("112181", "DCM", "Mean Attenuation Coefficient")
DEVIATION_OF_ATTENUATION = Code("112183", "DCM", "Standard Deviation of Attenuation Coefficient")
MEDIAN_ATTENUATION = Code("112182", "DCM", "Median Attenuation Coefficient")
VOLUME = Code("118565006", "SCT", "Volume")
SUM_OF_VOXELS = Code("126030", "DCM", "Sum of segmented voxel method for volume")
MEAN = Code("373098007", "SCT", "Mean")
STANDARD_DEVIATION = Code("386136009", "SCT", "Standard Deviation")
MEDIAN = Code("373099004", "SCT", "Median")
UNCERTAINTY = Code("371884006", "SCT", "+/-, range of measurement uncertainty")

# --- units ----------------------------------------------------------------------------------------------

UNITS: Mapping[str, Code] = MappingProxyType(
    {
        value: Code(value, "UCUM", meaning)
        for value, meaning in {
            "[hnsf'U]": "Hounsfield unit",
            "%": "Percent",
            "mm": "mm",
            "cm3": "cubic centimeter",
            "mm3": "cubic millimeter",
            "mg/cm3": "mg/cm^3",
            "deg": "Degree",
            "kV": "Kilovolt",
            "{ratio}": "ratio",
            "{pixels}": "Pixels",
            "{grade}": "grade",
            "{score}": "score",
            "{vertebrae}": "vertebrae",
            "g/cm2": "g/cm^2",
            "cm2": "centimeter**2",
        }.items()
    }
)
"""UCUM units by code. Never ``1``: viewers print it as if it were the value."""
