"""Coded terms on the change since an earlier reading."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from operators.change.results import Course
from operators.terms.term import Term, private

COURSE = private(
    "VFX-COURSE",
    "Course since the prior reading",
    "Question: what became of a vertebra since an earlier reading of the same patient",
)
COURSES: Mapping[Course, Term] = MappingProxyType(
    {
        Course.NEW: private(
            "COURSE-NEW",
            "New fracture",
            "Grade 1 or more now, or a height lower by 20 % and 4 mm, where the grade was 0 then, or unknown",
        ),
        Course.WORSENED: private(
            "COURSE-WORSE",
            "Worsened",
            "A grade more than then, or a height lower by 20 % and 4 mm, where the grade was 1 or more then",
        ),
        Course.STABLE: private("COURSE-STABLE", "No change", "Neither new nor worsened"),
    }
)
ANTERIOR_CHANGE = private(
    "VBH-ANT-CHG",
    "Change of anterior vertebral body height",
    "VBH-ANT now minus VBH-ANT then, in mm; negative where it is lower",
)
MIDDLE_CHANGE = private(
    "VBH-MID-CHG",
    "Change of middle vertebral body height",
    "VBH-MID now minus VBH-MID then, in mm",
)
POSTERIOR_CHANGE = private(
    "VBH-POST-CHG",
    "Change of posterior vertebral body height",
    "VBH-POST now minus VBH-POST then, in mm",
)
PRIOR_GRADE = private(
    "GENANT-PRIOR",
    "Genant grade in the prior reading",
    "GENANT of the earlier reading as a number",
)
EXCLUDED_CHANGE = private(
    "EXCL-CHANGE",
    "Reason why there is no comparison with a prior",
    "Question: why a vertebra or a reading is not compared with an earlier one",
)
