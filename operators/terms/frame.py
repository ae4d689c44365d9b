"""Coded terms of the report's frame: names and doubts of levels, gates, series, exclusions, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from models.engine import Numbering
from operators.reading.errors import Refusal
from operators.reading.gate import Outcome
from operators.reading.reasons import Reason
from operators.terms.term import Term, private

KERNEL = private(
    "CT-KERNEL",
    "Convolution kernel",
    "Convolution Kernel (0018,1210) of the source images",
)
ALTERNATIVE_LEVEL = private(
    "LEVEL-ALT",
    "Alternative vertebral level",
    "Question: the level under the second-best numbering",
)

EXCLUDED = private(
    "EXCL-REASON",
    "Reason why a level was not measured",
    "Question: why a whole vertebra was not measured",
)
EXCLUSIONS: Mapping[Reason, Term] = MappingProxyType(
    {
        Reason.METAL: private(
            "EXCL-METAL",
            "Metal in or near the vertebra",
            "Implants or their artefacts",
        ),
        Reason.INCOMPLETE: private(
            "EXCL-FOV",
            "Not completely in the field of view",
            "The border of the image volume cuts the vertebra or the region",
        ),
        Reason.CEMENT: private("EXCL-CEMENT", "Bone cement", "Vertebroplasty or kyphoplasty"),
        Reason.LESION: private("EXCL-LESION", "Focal lesion", "A focal lesion inside the region"),
        Reason.CONTRAST: private(
            "EXCL-CONTRAST",
            "Contrast medium",
            "Contrast medium raises the attenuation of bone",
        ),
        Reason.FRACTURED: private(
            "EXCL-FRACTURE",
            "Fractured vertebra",
            "Attenuation of a fractured vertebra does not represent the trabecular bone",
        ),
        Reason.NUMBERING: private(
            "EXCL-NUMBERING",
            "Vertebral level uncertain",
            "The value depends on a level that is not certain",
        ),
    }
)
"""Coded reasons; every other reason is ``OTHER_EXCLUSION``, with its own code in the text."""
OTHER_EXCLUSION = private(
    "EXCL-QC",
    "Quality of image or result insufficient",
    "Any other reason, given as text",
)

GATE = private(
    "QC-GATE",
    "Quality gate",
    "Question: outcome of one check of the images before a number is published; the text names the check",
)
GATE_OUTCOMES: Mapping[Outcome, Term] = MappingProxyType(
    {
        Outcome.PASS: private("QC-PASS", "Passed", "The check found nothing"),
        Outcome.WARN: private(
            "QC-WARN",
            "Passed with warning",
            "The number is given with a reservation",
        ),
        Outcome.WITHHOLD: private("QC-WITHHOLD", "Result withheld", "The number is not given"),
    }
)
NUMBERING = private(
    "NUMBERING",
    "Basis of vertebral numbering",
    "Question: what the names of the vertebrae rest on",
)
NUMBERINGS: Mapping[Numbering, Term] = MappingProxyType(
    {
        Numbering.ANCHORED: private(
            "NUM-ANCHORED",
            "Numbered from an anatomical anchor",
            "Sacrum, lowest rib or C2 in the field of view agrees with the names",
        ),
        Numbering.RELATIVE: private(
            "NUM-RELATIVE",
            "Numbered from the vertebrae alone",
            "No anchor in view, but the shapes of the vertebrae are clear evidence",
        ),
        Numbering.AMBIGUOUS: private(
            "NUM-AMBIGUOUS",
            "Ambiguous: two numberings nearly as likely",
            "The names are a hypothesis",
        ),
        Numbering.NONE: private("NUM-NONE", "Nothing to number", "No vertebra was found"),
    }
)
SERIES_READ = private(
    "SERIES-READ",
    "Series read",
    "Which series of the study was read, and why",
)
SERIES_NOT_READ = private(
    "SERIES-NOT-READ",
    "Series not read",
    "A series of the study that was not read, and why",
)

EVALUATED_COUNT = private(
    "VFX-EVAL",
    "Vertebrae evaluated",
    "Number of vertebrae that have a Genant grade",
)
REFUSAL = private(
    "REFUSAL",
    "Reason why the study was not read",
    "Question: why a whole study was not read; the text says what to do about it",
)
REFUSALS: Mapping[Refusal, Term] = MappingProxyType(
    {
        Refusal.NO_FILES: private("REF-NO-FILES", "No files", "Nothing was received"),
        Refusal.NO_DICOM: private(
            "REF-NO-DICOM",
            "No DICOM instance",
            "Nothing that was received is a usable DICOM instance",
        ),
        Refusal.NO_CT: private(
            "REF-NO-CT",
            "No CT image in the study",
            "The study has no CT image",
        ),
        Refusal.NO_SUITABLE_SERIES: private(
            "REF-NO-SERIES",
            "No suitable series",
            "No CT series fulfils what a reading needs; the text says what lacks",
        ),
        Refusal.MIXED_PATIENTS: private(
            "REF-PATIENTS",
            "Several patients in one study",
            "One Study Instance UID, several patients",
        ),
        Refusal.MIXED_STUDIES: private(
            "REF-STUDIES",
            "Several studies at once",
            "Several Study Instance UIDs where one was expected",
        ),
        Refusal.CONFLICTING_INSTANCES: private(
            "REF-CONFLICT",
            "One SOP Instance UID on several images",
            "SOP Instance UIDs stand on several images with other pixels",
        ),
        Refusal.UNREADABLE_PIXELS: private(
            "REF-PIXELS",
            "Pixel data cannot be decoded",
            "The pixels of a slice cannot be decoded",
        ),
        Refusal.IRREGULAR_GEOMETRY: private(
            "REF-GEOMETRY",
            "Slices not regular",
            "Results cannot be placed on the slices",
        ),
        Refusal.NOT_HOUNSFIELD: private(
            "REF-NOT-HU",
            "Pixels are not Hounsfield units",
            "The pixels are not Hounsfield units",
        ),
        Refusal.NO_SPINE: private(
            "REF-NO-SPINE",
            "No vertebra found",
            "The series that was read shows no vertebra",
        ),
        Refusal.READER_KEEPS_FAILING: private(
            "REF-READER",
            "The reader keeps failing",
            "The program ended before its time in every attempt",
        ),
    }
)
OTHER_REFUSAL = private(
    "REF-OTHER",
    "Any other reason",
    "A reason that has no code of its own, given as text",
)


def exclusion_code(reason: Reason) -> Term:
    """The coded reason for a value that is withheld."""
    return EXCLUSIONS.get(reason, OTHER_EXCLUSION)
