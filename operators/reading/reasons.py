"""Every reason for which a number is withheld, a gate speaks or a series is not read: receivers key on these codes."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Reason(StrEnum):
    """Stable short name of a reason, as results and messages carry it.

    A code never changes its meaning: retire it and add another. ``docs/reason_codes.md`` is made from this list.

    Attributes:
        meaning: What it says, for the list of codes; the sentence beside a withheld number has the numbers.
    """

    meaning: str

    def __new__(cls, code: str, meaning: str) -> Self:
        """A member with its meaning."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    # --- the scan -------------------------------------------------------------------------------------------
    AGE = "age", "The age is unknown, or too low for what would be said"
    CONTRAST = "contrast", "Contrast medium raises the attenuation of bone, or whether it was given is unknown"
    COVERAGE = "coverage", "Too few vertebrae are completely in view"
    GAPS = "gaps", "Slices are missing, or lie further apart than they are thick"
    HU_VALIDITY = "hu-validity", "The CT numbers of air, fat or bone are not what they must be"
    KERNEL = "kernel", "The reconstruction kernel is sharp or unknown"
    KVP = "kvp", "The tube voltage is not 120 kV, or unknown"
    METAL = "metal", "Metal in or near the vertebra"
    NOISE = "noise", "The images are too noisy, or their noise could not be measured"
    NOISE_HEIGHTS = "noise-heights", "The images are too noisy for heights and grades"
    NUMBERING = "numbering", "The names of the vertebrae are in doubt"
    ORIENTATION = "orientation", "The anatomy contradicts the orientation that the header gives"
    PET = "pet", "The study has a PET: its CT may be of low dose"
    SLICE_THICKNESS = "slice-thickness", "The slices are too thick"
    SPECTRUM = "spectrum", "The images are no conventional CT"

    # --- one vertebra ---------------------------------------------------------------------------------------
    EDGES_UNSEEN = "edges-unseen", "The edges of an endplate are not seen on the images"
    FUSED = "fused", "Bone has joined two vertebrae: no endplate is left between them"
    IMPLAUSIBLE_BODY = "implausible-body", "The outline is not that of one vertebral body at its place"
    INCOMPLETE = "incomplete", "The border of the image volume cuts the vertebra"
    LOW_CONFIDENCE = "low-confidence", "The segmentation is not sure of this vertebra"
    MERGED_LEVELS = "merged-levels", "One outline covers two vertebrae"
    NO_BODY = "no-body", "No vertebral body was found for this vertebra"
    POOR_FIT = "poor-fit", "A line, plane or curve does not fit what it is laid through"
    POSSIBLE_COLLAPSE = "possible-collapse", "The body is so low that it cannot be measured: a collapse is possible"
    STRUCTURE_UNSEEN = "structure-unseen", "A structure that is needed was not found in the segmentation"
    SPLIT_VERTEBRA = "split-vertebra", "The outline covers part of a vertebra only"

    # --- fractures ------------------------------------------------------------------------------------------
    CEMENT = "cement", "Bone cement in this vertebra or a neighbour"
    FRACTURED = "fractured", "The vertebra is fractured"
    LEVEL_NOT_GRADED = "level-not-graded", "Fractures are graded from T4 to L4 only"

    # --- density --------------------------------------------------------------------------------------------
    BONE_ISLAND = "bone-island", "Part of the body is far denser than the rest"
    CALIBRATION_FIT = "calibration-fit", "The calibration does not fit its reference tissues"
    CALIBRATION_KERNEL = "calibration-kernel", "The calibration was made with another kernel"
    CALIBRATION_KVP = "calibration-kvp", "The calibration was made at another tube voltage"
    CALIBRATION_SCANNER = "calibration-scanner", "The calibration was made on another scanner"
    CALIBRATION_SPECTRUM = "calibration-spectrum", "No calibration holds for images that are no conventional CT"
    EFFECTIVE_ENERGY = "effective-energy", "The effective energy that the tissues imply is implausible"
    HAEMANGIOMA = "haemangioma", "Coarse vertical striation in a body of low density"
    LESION = "lesion", "Attenuation unlike that of the neighbours: a lesion is possible"
    LEVEL_NOT_MEASURED = "level-not-measured", "Density is measured from T1 to L5 only"
    NO_LEVEL = "no-level", "None of the levels that are needed could be measured"
    NO_SPINE = "no-spine", "No vertebra was found"
    REFERENCE_TISSUES = "reference-tissues", "A reference tissue is not in view, or not as it must be"
    SCHMORL = "schmorl", "A Schmorl node reaches into the region"
    SMALL_REGION = "small-region", "Too little spongiosa is left to measure"

    # --- change since a prior ---------------------------------------------------------------------------------
    PRIOR_ENGINE = "prior-engine", "The prior was read with another segmentation engine"
    PRIOR_NUMBERING = "prior-numbering", "The names of the levels are not equally sure in both readings"
    PRIOR_OTHER_PATIENT = "prior-other-patient", "The prior is of a person of another sex or age"
    PRIOR_SAME_STUDY = "prior-same-study", "The prior is this study"
    PRIOR_SLICES = "prior-slices", "The slices of the two studies differ too much"
    PRIOR_UNMEASURED = "prior-unmeasured", "The level was not measured in both studies"
    PRIOR_UNREADABLE = "prior-unreadable", "The prior reading could not be opened"
    PRIOR_UNSEEN = "prior-unseen", "The level was not in view in the prior"

    # --- a series or an image that was not read ----------------------------------------------------------------
    BAD_ORIENTATION = "bad-orientation", "Image Orientation (Patient) is not two directions at right angles"
    CONCATENATION = "concatenation", "The frames are spread over several instances, which are not joined"
    CONFLICTING_INSTANCES = "conflicting-instances", "One SOP Instance UID stands on images with other pixels"
    GANTRY_TILT = "gantry-tilt", "The slices are sheared by a tilt of the gantry"
    IRREGULAR_FRAMES = "irregular-frames", "The frames of an enhanced CT do not make a volume"
    LOCALIZER = "localizer", "A localizer, no cross-section"
    NO_FRAME_OF_REFERENCE = "no-frame-of-reference", "Without a Frame of Reference UID results cannot be placed"
    NO_POSITION = "no-position", "Position, spacing or matrix of the pixels is missing or no number"
    NOT_AXIAL = "not-axial", "The slices are not axial"
    NOT_CT = "not-ct", "The objects are no CT images"
    NOT_GREY = "not-grey", "The pixels are in colour"
    NOT_HU = "not-hu", "The pixels are not Hounsfield units"
    PROJECTION = "projection", "A projection or a rendering, no cross-section"
    REPEATED_POSITIONS = "repeated-positions", "Different slices lie at the same position"
    SECOND_BEST = "second-best", "Another series serves better"
    SECONDARY_CAPTURE = "secondary-capture", "A picture of a screen"
    TAKEN = "taken", "This series was read"
    TOO_FEW_SLICES = "too-few-slices", "Fewer slices than a reading needs"
    TOO_LARGE = "too-large", "The images claim more pixels than any CT has"
    TOO_SHORT = "too-short", "The series covers too little of the body"
    TOO_THICK = "too-thick", "The slices are too far apart to be read"
    TRANSFER_SYNTAX = "transfer-syntax", "The transfer syntax cannot be decoded"
    TRUNCATED = "truncated", "A file breaks off before the end of its pixels"
    UNDECODABLE = "undecodable", "The pixels cannot be decoded"
    UNEVEN_SPACING = "uneven-spacing", "The slices are not evenly spaced"

    # --- the program ------------------------------------------------------------------------------------------
    FAILED = "failed", "The program of this biomarker ended with an error; the others are not touched by it"
    OTHER_VERSION = "other-version", "Another version of Osteon wrote this result"
    OTHER = "other", "A reason that this version does not know; the sentence beside it says it"

    @classmethod
    def _missing_(cls, value: object) -> Reason | None:
        """A code that another version has written is no error: its sentence stands beside it."""
        return cls.OTHER if isinstance(value, str) else None
