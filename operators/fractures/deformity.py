"""From the heights of one vertebra, what they should be, and its endplates to the finding that is reported."""

from __future__ import annotations

import numpy as np

from operators.fractures.endplate_depression import is_depressed
from operators.fractures.expectation import MeasuredBody
from operators.fractures.grading import (
    INDETERMINATE,
    MODERATE,
    Expectation,
    Grading,
    HeightTriple,
    area_loss,
    grade_heights,
    grade_of,
    probability_of_grade_2,
)
from operators.fractures.results import Deformity, Endplates, Heights, Mimic
from operators.reading.quantity import Measured

MOST_UNCERTAIN = MODERATE
"""Half-width of the 95 % interval of the height loss from which neither a moderate fracture nor its absence
can be claimed: it is as wide as the loss that is looked for."""


def deformity_of(
    heights: Heights,
    measured: MeasuredBody,
    expected: Expectation,
    endplates: Endplates,
    mimics: tuple[Mimic, ...],
) -> Deformity:
    """The deformity of one graded vertebra.

    Args:
        heights: As they were measured, with their uncertainties.
        measured: The same as numbers, without what narrow dents took off the middle height.
        expected: What they would be.
        endplates: Their depressions.
        mimics: Other explanations.
    """
    grading = grade_heights(measured.heights, expected)
    measuring = loss_deviation(heights, measured.heights)
    everything = float(np.hypot(measuring, expected.spread))
    probability = probability_of_grade_2(grading.loss, everything)
    low, high = INDETERMINATE
    least, most = grade_of(grading.loss - 1.96 * measuring), grade_of(grading.loss + 1.96 * measuring)
    # A likely fracture is said also where it could not have been excluded.
    is_judged = 1.96 * measuring < MOST_UNCERTAIN or probability >= high
    area = None if measured.mean is None else area_loss(measured.mean, measured.heights, expected)
    return Deformity(
        height_loss=Measured(value=round(100 * grading.loss, 1), unit="%", uncertainty=round(196 * measuring, 1)),
        grade=grading.grade if is_judged else None,
        shape=grading.shape if is_judged else None,
        probability=round(probability, 3),
        indeterminate=low < probability < high or not is_judged,
        note=_note(grading, measuring, expected, is_judged),
        grade_range=(least, most) if least != most else None,
        probability_band=_band(grading, everything),
        area_loss=None
        if area is None
        else Measured(value=round(100 * max(area, 0.0), 1), unit="%", uncertainty=round(196 * measuring, 1)),
        endplates=endplates,
        mimics=mimics,
        is_endplate_depressed=is_depressed(endplates),
    )


def loss_deviation(heights: Heights, values: HeightTriple) -> float:
    """Standard deviation of the height loss, as a fraction, from the heights' own uncertainties."""
    shares = [
        (quantity.uncertainty or 0.0) / 1.96 / value
        for quantity, value in (
            (heights.anterior, values.anterior),
            (heights.middle, values.middle),
            (heights.posterior, values.posterior),
        )
        if isinstance(quantity, Measured)
    ]
    return float(np.hypot(max(shares[:2]), shares[2]))


def _band(grading: Grading, deviation: float) -> tuple[float, float] | None:
    if grading.by_neighbours is None:
        return None
    both = sorted(round(probability_of_grade_2(loss, deviation), 3) for loss in (grading.by_own, grading.by_neighbours))
    return both[0], both[1]


def _note(grading: Grading, measuring: float, expected: Expectation, is_judged: bool) -> str | None:
    parts = []
    if not is_judged:
        parts.append(
            f"The height loss is uncertain by {196 * measuring:.0f} % in slices as thick as these: "
            "a fracture can be neither shown nor excluded."
        )
    if expected.posterior is None:
        parts.append("Too few neighbours to predict the height: compared with its own posterior height only.")
    if not expected.is_verified and grading.grade:
        parts.append("No verified norm for the wedge of this level: compared with the neighbours' only.")
    return " ".join(parts) or None
