"""What an encoding need not say, with the reason: one table, which is tested itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

MESSAGES = ("FHIR", "HL7")
PAGE = ("PDF",)
"""One page for a person: what is usual goes without saying there, and what checks a number stands elsewhere."""
ALL = ("SR", *MESSAGES, *PAGE, "text SR", "terminal")


class Exempt(NamedTuple):
    """One kind of fact that an encoding does not carry."""

    encoding: str
    kind: str
    reason: str


def _exempt(encodings: tuple[str, ...], kinds: tuple[str, ...], reason: str) -> Iterator[Exempt]:
    for kind in kinds:
        for encoding in encodings:
            yield Exempt(encoding, kind, reason)


EXEMPT: tuple[Exempt, ...] = (
    *_exempt(
        ALL,
        ("superior.focal_depth, no dent", "inferior.focal_depth, no dent"),
        "The form says that the plate has no dent; what its curve deviates by then is noise.",
    ),
    *_exempt(
        MESSAGES,
        ("uncertainty",),
        "Neither Quantity nor OBX has a place for an interval; the report that the message points at carries it.",
    ),
    *_exempt(
        PAGE,
        ("second_opinion.probability, sound", "second_opinion.grade, sound"),
        "Where neither the heights nor the network see anything, there is nothing to have an opinion on.",
    ),
    *_exempt(
        PAGE,
        ("second_opinion.grade",),
        "A second number called grade beside Genant's would be taken for it; agreement is told.",
    ),
    *_exempt(
        PAGE,
        ("uncertainty", "deformity.probability", "deformity.probability_band", "second_opinion.probability"),
        "What an uncertainty means is told in words: the range of the grade, borderline, or to be reviewed.",
    ),
    *_exempt(
        PAGE,
        ("calibration.slope", "calibration.intercept", "calibration.r_squared", "calibration.entry"),
        "How HU became mg/cm3 is for whoever checks a calibration, in the report; kind and material are told.",
    ),
    *_exempt(
        PAGE,
        ("calibration.phantom",),
        "The material decides what a number means and is told; the phantom's name is in the report.",
    ),
    *_exempt(
        PAGE,
        ("density.median", "density.volume"),
        "One number stands for the region on a page, its mean; the others check it, in the report.",
    ),
    *_exempt(
        PAGE,
        ("superior.depth", "inferior.depth", "superior.focal_width"),
        "A page tells which plate is depressed or dented and how deep a dent is; the other numbers are in the report.",
    ),
    *_exempt(
        PAGE,
        ("superior.form, even", "inferior.form, even", "deformity.is_endplate_depressed, even"),
        "That an endplate is even is the usual case and goes without saying.",
    ),
    *_exempt(
        PAGE,
        ("deformity.note, grade 0",),
        "What limits the grade of a sound vertebra is told in the report, for each of them it would fill the page.",
    ),
    *_exempt(
        PAGE,
        ("deformity.area_loss",),
        "One loss stands for a body on the page, that of its height; the loss of area checks it, in the report.",
    ),
    *_exempt(
        PAGE,
        ("deformity withheld, not graded there",),
        "The legend says once that grades are given from T4 to L4 only.",
    ),
    *_exempt(
        PAGE,
        ("deformity_index, none", "deformity_index.levels", "deformity_index.is_lower_bound, none"),
        "An index of zero says no more than that nothing was found, and the table shows which levels have a grade.",
    ),
    *_exempt(
        PAGE,
        ("change.anterior", "change.middle", "change.posterior", "change.prior_grade"),
        "The sentence of a new or worse fracture tells the fall or the grades that decided; the rest is counted.",
    ),
    *_exempt(
        PAGE,
        ("change.reason, stable",),
        "Levels without change are counted in one sentence; the others are named.",
    ),
    *_exempt(
        PAGE,
        ("body.area", "body.width", "body.depth", "canal.area", "canal.sagittal_diameter", "canal.note"),
        "The sizes of every body and of the canal have no limit that a reader would act on; they are in the report.",
    ),
    *_exempt(
        ("SR", *PAGE),
        ("curvature.note, none given",),
        "How the patient lay bears on the angles, and there is none.",
    ),
)
"""Checked itself: each has a reason, none is superfluous."""
