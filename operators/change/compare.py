"""What has changed since an earlier reading of the same patient (docs/science.md §18.3).

A vertebra is new or worse when its grade has risen by one, or when a height has fallen by 20 % and 4 mm
(the rule of the SOF and FIT trials), and in either case by more than the two measurements are uncertain.
Two readings are compared only where their numbering is equally sure and where they were made alike: a level
that is off by one, another engine or other slices would show changes that no bone has undergone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import hypot
from pathlib import Path

from pydantic import ValidationError

from models.anatomy import Level
from models.engine import Numbering
from operators.change.results import COMPARISON, HEIGHT_CHANGE, Course, HeightChange, PriorComparison
from operators.fractures.results import DEFORMITY, HEIGHTS, Deformity, Heights
from operators.reading.case import Case
from operators.reading.quantity import Measured, Quantity, Withheld
from operators.reading.reading import SpineReading
from operators.reading.reasons import Reason
from operators.reading.source import SourceSeries
from operators.reading.vertebra import Vertebra

FALL_SHARE, FALL_MM = 0.20, 4.0
"""Fall of a height, both together, that is a new or worse fracture (docs/science.md §18.3)."""
SAME_SLICES = 1.25
"""Ratio of the slice thicknesses up to which two scans are alike."""


def compare_with_prior(case: Case) -> Case:
    """Compare a case with the earlier reading that its job names; without one nothing changes.

    Args:
        case: After grading.
    """
    if case.job.prior is None:
        return case
    return replace(case, reading=with_change(case.reading, read_prior(case.job.prior)))


def read_prior(path: Path) -> SpineReading | Withheld:
    """An earlier ``reading.json``, or why it cannot be used."""
    try:
        return SpineReading.model_validate_json(path.read_bytes())
    except OSError:
        return Withheld(code=Reason.PRIOR_UNREADABLE, reason="The prior reading could not be opened.")
    except ValidationError:
        reason = "The prior reading was written by another version of Osteon, or is not one."
        return Withheld(code=Reason.PRIOR_UNREADABLE, reason=reason)


def with_change(reading: SpineReading, prior: SpineReading | Withheld) -> SpineReading:
    """The reading with its change since a prior one.

    Args:
        reading: After grading.
        prior: The earlier reading of the same patient, or why there is none.

    Returns:
        With the comparison of the spine and the change of every vertebra, withheld with the reason and the
        prior's study UID where the two cannot be compared.
    """
    obstacle = prior if isinstance(prior, Withheld) else _obstacle(reading, prior)
    if obstacle is not None or isinstance(prior, Withheld):
        return reading.with_result(COMPARISON, obstacle)
    earlier = {v.level: v for v in prior.vertebrae}
    vertebrae = tuple(v.with_result(HEIGHT_CHANGE, _vertebra_change(v, earlier)) for v in reading.vertebrae)
    changes = {v.level: change for v in vertebrae if isinstance(change := v.of(HEIGHT_CHANGE), HeightChange)}
    comparison = PriorComparison(
        prior_study_uid=prior.source.study_uid,
        prior_series_uid=prior.source.series_uid,
        compared=tuple(changes),
        new=_with_course(changes, Course.NEW),
        worsened=_with_course(changes, Course.WORSENED),
    )
    return reading.model_copy(update={"vertebrae": vertebrae}).with_result(COMPARISON, comparison)


def _obstacle(reading: SpineReading, prior: SpineReading) -> Withheld | None:
    """Why two readings cannot be compared, or None."""
    named = f"The prior study {prior.source.study_uid}"
    if prior.source.study_uid == reading.source.study_uid:
        return Withheld(code=Reason.PRIOR_SAME_STUDY, reason=f"{named} is this study.")
    if _is_other_person(reading.source, prior.source):
        return Withheld(code=Reason.PRIOR_OTHER_PATIENT, reason=f"{named} is of a person of another sex or age.")
    sure = (Numbering.ANCHORED, Numbering.RELATIVE)
    if reading.numbering is not prior.numbering or reading.numbering not in sure:
        reason = (
            f"{named} was numbered {prior.numbering.value} and this one {reading.numbering.value}: "
            "the levels may not be the same."
        )
        return Withheld(code=Reason.PRIOR_NUMBERING, reason=reason)
    now, then = reading.provenance, prior.provenance
    if (now.engine, now.engine_version, now.engine_digest) != (then.engine, then.engine_version, then.engine_digest):
        return Withheld(code=Reason.PRIOR_ENGINE, reason=f"{named} was read with another segmentation engine.")
    thin, thick = sorted(max(s.slice_thickness or 0.0, s.slice_spacing) for s in (reading.source, prior.source))
    if thick > SAME_SLICES * thin:
        reason = f"{named} and this one have slices of {thin:.2g} and {thick:.2g} mm."
        return Withheld(code=Reason.PRIOR_SLICES, reason=reason)
    return None


def _is_other_person(now: SourceSeries, then: SourceSeries) -> bool:
    if now.sex is not None and then.sex is not None and now.sex != then.sex:
        return True
    # A year's grace: ages may be whole years.
    return now.age_years is not None and then.age_years is not None and now.age_years < then.age_years - 1


def _vertebra_change(vertebra: Vertebra, earlier: Mapping[Level, Vertebra]) -> HeightChange | Withheld:
    prior = earlier.get(vertebra.level)
    if prior is None:
        return Withheld(code=Reason.PRIOR_UNSEEN, reason="This level was not in view in the prior study.")
    now, then = vertebra.of(HEIGHTS), prior.of(HEIGHTS)
    if not isinstance(now, Heights) or not isinstance(then, Heights):
        return Withheld(code=Reason.PRIOR_UNMEASURED, reason="This level was not measured in both studies.")
    if vertebra.alternative is not None or prior.alternative is not None:
        return Withheld(
            code=Reason.PRIOR_NUMBERING, reason="The name of this level is a hypothesis in one of the studies."
        )
    is_worse, reason = _judged(vertebra, prior)
    grade = _grade(prior)
    course = Course.STABLE
    if is_worse:
        course = Course.WORSENED if grade else Course.NEW
    return HeightChange(
        course=course,
        prior_grade=grade,
        anterior=_difference(now.anterior, then.anterior),
        middle=_difference(now.middle, then.middle),
        posterior=_difference(now.posterior, then.posterior),
        reason=reason,
    )


def _judged(vertebra: Vertebra, prior: Vertebra) -> tuple[bool, str]:
    """Whether the vertebra has a new or worse fracture, and by which rule."""
    for name, fall, share, uncertainty in _falls(vertebra, prior):
        if fall >= max(FALL_MM, uncertainty) and share >= FALL_SHARE:
            return True, f"The {name} height has fallen by {fall:.1f} mm, {100 * share:.0f} %."
    now, then = vertebra.of(DEFORMITY), prior.of(DEFORMITY)
    if not isinstance(now, Deformity) or not isinstance(then, Deformity) or now.grade is None or then.grade is None:
        return False, "No height has fallen by 20 % and 4 mm; the grade is not known in both studies."
    more, uncertainty = _loss(now)[0] - _loss(then)[0], hypot(_loss(now)[1], _loss(then)[1])
    if now.grade <= then.grade:
        return False, f"Grade {now.grade} now and {then.grade} then; no height has fallen by 20 % and 4 mm."
    if more <= uncertainty:
        reason = f"Grade {now.grade} now and {then.grade} then, but within the uncertainty of ±{uncertainty:.0f} %."
        return False, reason
    return True, f"Grade {now.grade} now and {then.grade} then, {more:.0f} % more height loss."


def _falls(vertebra: Vertebra, prior: Vertebra) -> list[tuple[str, float, float, float]]:
    """Fall of every height: its name, mm, share of what it was, and half-width of the fall's 95 % interval."""
    now, then = vertebra.of(HEIGHTS), prior.of(HEIGHTS)
    if not isinstance(now, Heights) or not isinstance(then, Heights):
        return []
    found = []
    for name in ("anterior", "middle", "posterior"):
        difference = _difference(getattr(now, name), getattr(then, name))
        before = getattr(then, name)
        if isinstance(difference, Measured) and isinstance(before, Measured) and before.value > 0:
            share = -difference.value / before.value
            found.append((name, -difference.value, share, difference.uncertainty or 0.0))
    return found


def _difference(now: Quantity, then: Quantity) -> Quantity:
    if isinstance(now, Withheld):
        return now
    if isinstance(then, Withheld):
        return then
    known = now.uncertainty is not None and then.uncertainty is not None
    uncertainty = hypot(now.uncertainty or 0.0, then.uncertainty or 0.0) if known else None
    value = round(now.value - then.value, 2)
    return Measured(value=value, unit="mm", uncertainty=None if uncertainty is None else round(uncertainty, 2))


def _loss(deformity: Deformity) -> tuple[float, float]:
    loss = deformity.height_loss
    return (loss.value, loss.uncertainty or 0.0) if isinstance(loss, Measured) else (0.0, 0.0)


def _grade(vertebra: Vertebra) -> int | None:
    deformity = vertebra.of(DEFORMITY)
    return deformity.grade if isinstance(deformity, Deformity) else None


def _with_course(changes: Mapping[Level, HeightChange], course: Course) -> tuple[Level, ...]:
    return tuple(level for level, change in changes.items() if change.course is course)
