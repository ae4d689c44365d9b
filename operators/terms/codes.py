"""Coded terms that Osteon writes: vertebral levels, findings, measurements, units, its own scheme.

Standard codes are those of the pydicom dictionary (PS3.16) or of public mapping files, as marked P, M, X, W
or T in docs/dicom_notes.md §2. Where no standard code exists, the private scheme 99OSTEON defines one;
its table in operators/terms/code_tables.py is the only one, and documents are made from it. A code never changes
its meaning: retire it and add another.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from pydicom.sr.coding import Code

from models.anatomy import Level
from models.engine import Numbering
from operators.reading.reading import Outcome, Shape


class CodingScheme(NamedTuple):
    """What Coding Scheme Identification Sequence says of a private scheme (PS3.3 C.12.1.1.1)."""

    designator: str
    uid: str
    name: str
    version: str
    organization: str


OSTEON_SCHEME = CodingScheme(
    designator="99OSTEON",
    uid="2.25.305539105597973941784014528097923444902",
    name="Osteon private codes",
    version="1",
    organization="Osteon project",
)

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


def private(value: str, meaning: str) -> Code:
    """A term of the private scheme."""
    return Code(value, OSTEON_SCHEME.designator, meaning)


VERTEBRA_L6 = private("VERT-L6", "L6 vertebra")
VERTEBRA_T13 = private("VERT-T13", "T13 vertebra")


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
        }.items()
    }
)
"""UCUM units by code. Never ``1``: viewers print it as if it were the value."""

# --- the private scheme ---------------------------------------------------------------------------------

HEIGHT_ANTERIOR = private("VBH-ANT", "Anterior vertebral body height")
HEIGHT_MIDDLE = private("VBH-MID", "Middle vertebral body height")
HEIGHT_POSTERIOR = private("VBH-POST", "Posterior vertebral body height")
HEIGHT_LOSS = private("VBH-LOSS", "Vertebral body height loss")
GENANT = private("GENANT", "Genant semiquantitative grade")
GENANT_GRADES = (
    private("GENANT-0", "Genant grade 0 (normal)"),
    private("GENANT-1", "Genant grade 1 (mild)"),
    private("GENANT-2", "Genant grade 2 (moderate)"),
    private("GENANT-3", "Genant grade 3 (severe)"),
)
GENANT_NUMBER = private("GENANT-NUM", "Genant grade (numeric)")
MORPHOLOGY = private("VFX-MORPH", "Vertebral deformity morphology")
SHAPES: Mapping[Shape, Code] = MappingProxyType(
    {
        Shape.WEDGE: private("VFX-WEDGE", "Wedge deformity"),
        Shape.BICONCAVE: private("VFX-BICONC", "Biconcave deformity"),
        Shape.CRUSH: private("VFX-CRUSH", "Crush deformity"),
    }
)
FRACTURE_COUNT = private("VFX-COUNT", "Vertebrae with compression fracture")
MILD_COUNT = private("VFX-MILD", "Vertebrae with mild deformity")
EVALUATED_COUNT = private("VFX-EVAL", "Vertebrae evaluated")
DEFORMITY_INDEX = private("SDI", "Spinal deformity index")
LOW_ATTENUATION = private("LOW-ATT", "Attenuation below opportunistic threshold")
TRABECULAR = private("TRAB", "Trabecular compartment")
KERNEL = private("CT-KERNEL", "Convolution kernel")
ALTERNATIVE_LEVEL = private("LEVEL-ALT", "Alternative vertebral level")

EXCLUDED = private("EXCL-REASON", "Reason why a level was not measured")
EXCLUDED_HEIGHTS = private("EXCL-HEIGHTS", "Reason why heights are withheld")
EXCLUDED_GRADE = private("EXCL-GRADE", "Reason why height loss or grade is withheld")
EXCLUDED_DENSITY = private("EXCL-DENSITY", "Reason why density is withheld")
EXCLUDED_CATEGORY = private("EXCL-CATEGORY", "Reason why the density category is withheld")
EXCLUSIONS: Mapping[str, Code] = MappingProxyType(
    {
        "metal": private("EXCL-METAL", "Metal in or near the vertebra"),
        "incomplete": private("EXCL-FOV", "Not completely in the field of view"),
        "cement": private("EXCL-CEMENT", "Bone cement"),
        "lesion": private("EXCL-LESION", "Focal lesion"),
        "contrast": private("EXCL-CONTRAST", "Contrast medium"),
        "fractured": private("EXCL-FRACTURE", "Fractured vertebra"),
        "numbering": private("EXCL-NUMBERING", "Vertebral level uncertain"),
    }
)
"""Coded reasons by the reading's own reason codes; every other reason is ``OTHER_EXCLUSION``."""
OTHER_EXCLUSION = private("EXCL-QC", "Quality of image or result insufficient")

GATE = private("QC-GATE", "Quality gate")
GATE_OUTCOMES: Mapping[Outcome, Code] = MappingProxyType(
    {
        Outcome.PASS: private("QC-PASS", "Passed"),
        Outcome.WARN: private("QC-WARN", "Passed with warning"),
        Outcome.WITHHOLD: private("QC-WITHHOLD", "Result withheld"),
    }
)
NUMBERING = private("NUMBERING", "Basis of vertebral numbering")
NUMBERINGS: Mapping[Numbering, Code] = MappingProxyType(
    {
        Numbering.ANCHORED: private("NUM-ANCHORED", "Numbered from an anatomical anchor"),
        Numbering.RELATIVE: private("NUM-RELATIVE", "Numbered from the vertebrae alone"),
        Numbering.AMBIGUOUS: private("NUM-AMBIGUOUS", "Ambiguous: two numberings nearly as likely"),
        Numbering.NONE: private("NUM-NONE", "Nothing to number"),
    }
)
SERIES_READ = private("SERIES-READ", "Series read")
SERIES_NOT_READ = private("SERIES-NOT-READ", "Series not read")


def exclusion_code(reason: str) -> Code:
    """The coded reason for a value that is withheld, from the reading's own reason code."""
    return EXCLUSIONS.get(reason, OTHER_EXCLUSION)


# --- colours ----------------------------------------------------------------------------------------------

_PALETTE = ("E69F00", "56B4E9", "009E73", "F0E442", "0072B2", "D55E00", "CC79A7")
"""Okabe and Ito's colours for colour-blind readers, without black; https://jfly.uni-koeln.de/color/."""
_SHADES = (1.0, 0.82, 0.66, 0.9)


def _colour(level: Level) -> tuple[int, int, int]:
    turn, place = divmod(level.rank, len(_PALETTE))
    red, green, blue = bytes.fromhex(_PALETTE[place])
    shade = _SHADES[turn]
    return round(red * shade), round(green * shade), round(blue * shade)


LEVEL_COLOURS: Mapping[Level, tuple[int, int, int]] = MappingProxyType({level: _colour(level) for level in Level})
"""sRGB 0…255 per level, the same in every object; no two levels share one, neighbours differ in hue."""
