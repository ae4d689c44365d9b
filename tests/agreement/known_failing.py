"""What fails today and is to be mended: an entry goes when its test passes, and both tables are empty in the end.

The tests named here are expected to fail, strictly: one that passes fails the run until its entry is taken out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

NOT_CARRIED: Mapping[str, tuple[str, ...]] = {
    "alternative": ("FHIR", "HL7"),
    "anchors": ("FHIR", "HL7", "PDF", "text SR", "terminal"),
    "attenuation": ("terminal",),
    "attenuation withheld": ("PDF", "text SR", "terminal"),
    "attenuation.left_out": ("FHIR", "HL7", "PDF", "text SR", "terminal"),
    "attenuation.levels": ("terminal",),
    "calibrated": ("terminal",),
    "calibrated.left_out": ("FHIR", "HL7", "PDF", "text SR", "terminal"),
    "calibrated.levels": ("terminal",),
    "calibration withheld": ("FHIR", "HL7", "terminal"),
    "calibration.kind": ("terminal",),
    "calibration.material": ("terminal",),
    "calibration.note": ("FHIR", "HL7", "terminal"),
    "calibration.phantom": ("FHIR", "HL7"),
    "change withheld": ("FHIR", "HL7", "terminal"),
    "change.anterior": ("FHIR", "HL7"),
    "change.compared": ("FHIR", "HL7"),
    "change.course": ("FHIR", "HL7"),
    "change.course, stable": ("FHIR", "HL7"),
    "change.middle": ("FHIR", "HL7"),
    "change.new": ("FHIR", "HL7"),
    "change.posterior": ("FHIR", "HL7"),
    "change.prior_grade": ("FHIR", "HL7"),
    "change.prior_study_uid": ("FHIR", "HL7"),
    "change.reason": ("FHIR", "HL7", "terminal"),
    "change.reason, stable": ("FHIR", "HL7"),
    "change.worsened": ("FHIR", "HL7"),
    "comparator withheld": ("FHIR", "HL7", "PDF", "text SR", "terminal"),
    "comparator.areal_density": ("FHIR", "HL7", "PDF", "text SR", "terminal"),
    "comparator.attenuation": ("FHIR", "HL7", "PDF", "text SR", "terminal"),
    "comparator.below_limit": ("FHIR", "HL7", "PDF", "text SR", "terminal"),
    "comparator.levels": ("FHIR", "HL7", "PDF", "text SR", "terminal"),
    "comparator.method": ("FHIR", "HL7", "PDF", "text SR", "terminal"),
    "comparator.note": ("FHIR", "HL7", "PDF", "text SR", "terminal"),
    "confidence": ("FHIR", "HL7"),
    "deformity withheld, not graded there": ("text SR",),
    "deformity.area_loss": ("PDF", "text SR", "terminal"),
    "deformity.grade_range": ("FHIR", "HL7", "terminal"),
    "deformity.is_endplate_depressed": ("FHIR", "HL7", "PDF", "text SR", "terminal"),
    "deformity.is_endplate_depressed, even": ("FHIR", "HL7"),
    "deformity.note": ("FHIR", "HL7", "terminal"),
    "deformity.note, grade 0": ("FHIR", "HL7"),
    "deformity.probability": ("FHIR", "HL7"),
    "deformity.probability_band": ("FHIR", "HL7"),
    "deformity_index": ("terminal",),
    "density.calibrated": ("terminal",),
    "density_category": ("FHIR", "HL7", "terminal"),
    "density_category withheld": ("terminal",),
    "density_category.category": ("terminal",),
    "density_category.level": ("terminal",),
    "density_category.near_limit": ("terminal",),
    "density_category.note": ("FHIR", "HL7", "terminal"),
    "density_category.rule": ("terminal",),
    "gate": ("FHIR", "HL7"),
    "inferior.depth": ("FHIR", "HL7"),
    "inferior.form": ("FHIR", "HL7", "PDF", "text SR", "terminal"),
    "inferior.form, even": ("FHIR", "HL7"),
    "mimic": ("FHIR", "HL7"),
    "mimic named": ("FHIR", "HL7"),
    "remarks": ("FHIR", "HL7"),
    "second_opinion.probability": ("FHIR", "HL7"),
    "superior.depth": ("FHIR", "HL7"),
    "superior.focal_depth": ("FHIR", "HL7"),
    "superior.focal_width": ("FHIR", "HL7"),
    "superior.form": ("FHIR", "HL7", "PDF", "text SR", "terminal"),
    "superior.form, even": ("FHIR", "HL7"),
}
"""By kind of fact, the encodings that do not carry all of them today, and should."""

CONTRADICTIONS: frozenset[str] = frozenset(
    {
        "age of a fracture: SR",
        "age of a fracture: FHIR",
        "age of a fracture: HL7",
        "new fracture, as published",
        "Genant at 25 %",
        "Genant at 40 %",
        "levels compared, as described",
        "cement: 0.6 of the height of 1200 HU",
        "cement: 0.24 of the height of 1800 HU",
        "numbering names its anchors",
        "colour of a level: picture",
        "colour of a level: PDF",
    }
)
"""The cases of :mod:`tests.agreement.test_contradictions` that fail today."""

KNOWN_FAILING: frozenset[str] = CONTRADICTIONS | {
    f"{encoding}: {kind}" for kind, encodings in NOT_CARRIED.items() for encoding in encodings
}


def case(name: str, *values: Any) -> Any:
    """A parameter of a test under its name, expected to fail where it is known to."""
    marks = (
        (pytest.mark.xfail(strict=True, raises=AssertionError, reason="listed in KNOWN_FAILING"),)
        if name in KNOWN_FAILING
        else ()
    )
    _NAMED.append(name)
    return pytest.param(*values, id=name, marks=marks)


def named() -> frozenset[str]:
    """The names of all cases so far."""
    return frozenset(_NAMED)


_NAMED: list[str] = []
