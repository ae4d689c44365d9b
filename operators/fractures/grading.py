"""From three heights and what they should be to a height loss, a Genant grade and a shape.

Pure numbers: no image, no patient. A height counts as lost only where two yardsticks agree, the
vertebra's own posterior height and the height that its neighbours predict (after McCloskey et al. 1993,
docs/science.md §3.3): one alone calls physiologic wedging and short vertebrae fractures.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, sqrt

from operators.fractures.results import Shape

MILD, MODERATE, SEVERE = 0.20, 0.25, 0.40
"""Height losses from which the grade is 1, 2 and 3; each bound belongs to the higher grade. RadElement
RDES150 (ACR-RSNA CDE 1003), docs/science.md §3.1 [V]."""

INDETERMINATE = (0.35, 0.65)
"""Probabilities of grade 2 or more between which no decision is made (docs/science.md §11.2, a proposal)."""

DOUBTED = 0.10
"""Loss of posterior height from which a vertebra's own posterior height is less and less of a yardstick, until at
grade 1 it is none: half of that (a working value)."""

AGREED = 0.15
"""Loss by both yardsticks from which their mean begins to count instead of the smaller, so that the loss does not
jump where the smaller reaches grade 1 (a working value)."""

TIE = 0.01
"""Losses closer than this are equal when the shape is named."""
CRUSH_SHARE = 2 / 3
"""Share of the largest loss that the posterior height must have lost, beside 20 % of itself, for a crush. In a
crush all heights are low, seldom equally (docs/science.md §3.1 gives no number; a working value)."""


@dataclass(frozen=True)
class HeightTriple:
    """Ha, Hm and Hp of one vertebra, mm."""

    anterior: float
    middle: float
    posterior: float


@dataclass(frozen=True)
class Expectation:
    """What the heights of an intact vertebra would be.

    Attributes:
        anterior_ratio: Ha/Hp of an intact vertebra of this level in this patient.
        middle_ratio: Hm/max(Ha, Hp) of the same.
        posterior: Hp that the neighbours predict, mm; None without usable neighbours.
        spread: Standard deviation of the height loss of intact vertebrae about this expectation.
        is_verified: True where a published norm of this level went into ``anterior_ratio``.
    """

    anterior_ratio: float = 1.0
    middle_ratio: float = 1.0
    posterior: float | None = None
    spread: float = 0.07
    is_verified: bool = True


@dataclass(frozen=True)
class Grading:
    """The grade of one vertebra.

    Attributes:
        wedge, biconcave, crush: Loss of anterior, middle and posterior height, as a fraction.
        loss: The largest of them, never below 0.
        grade: Genant grade by that loss.
        shape: Which height is most reduced; None for grade 0.
        by_own, by_neighbours: The largest loss by each yardstick on its own: the vertebra's own posterior
            height, and the heights that its neighbours predict; the latter None without a prediction.
    """

    wedge: float
    biconcave: float
    crush: float
    loss: float
    grade: int
    shape: Shape | None
    by_own: float = 0.0
    by_neighbours: float | None = None


def grade_of(loss: float) -> int:
    """Genant grade 0…3 of a height loss given as a fraction; the bounds belong to the higher grade."""
    # Heights come as decimals: 1 - 20/25 is a little less than 0.2 in binary and must still be grade 1.
    rounded = round(loss, 9)
    return sum(rounded >= bound for bound in (MILD, MODERATE, SEVERE))


def grade_heights(heights: HeightTriple, expected: Expectation) -> Grading:
    """Height losses, grade and shape of one vertebra (Genant et al. 1993; docs/science.md §3.1–3.3).

    Without predicted posterior height, wedge loss is ``1 - (Ha/Hp)/ratio`` and biconcave loss
    ``1 - (Hm/max(Ha, Hp))/ratio``. With it, the same heights are also compared with the prediction: the
    smaller loss counts up to 15 %, the mean of both from grade 1 on, something between in between. Where
    the posterior height itself has lost 20 % it is no yardstick any more and the prediction alone counts;
    from 10 % on the prediction counts more and more.
    """
    taller = max(heights.anterior, heights.posterior)
    own_wedge = 1 - heights.anterior / (heights.posterior * expected.anterior_ratio)
    own_hollow = 1 - heights.middle / (taller * expected.middle_ratio)
    wedge, hollow, crush = own_wedge, own_hollow, 0.0
    by_neighbours = None
    if expected.posterior is not None:
        crush = 1 - heights.posterior / expected.posterior
        predicted_taller = expected.posterior * max(1.0, expected.anterior_ratio)
        far_wedge = 1 - heights.anterior / (expected.posterior * expected.anterior_ratio)
        far_hollow = 1 - heights.middle / (predicted_taller * expected.middle_ratio)
        by_neighbours = max(far_wedge, far_hollow, crush)
        lost = min(1.0, max(0.0, (round(crush, 9) - DOUBTED) / (MILD - DOUBTED)))
        wedge = lost * far_wedge + (1 - lost) * _agreed(own_wedge, far_wedge)
        hollow = lost * far_hollow + (1 - lost) * _agreed(own_hollow, far_hollow)
    loss = max(wedge, hollow, crush, 0.0)
    grade = grade_of(loss)
    shape = _shape(wedge, hollow, crush) if grade else None
    return Grading(wedge, hollow, crush, loss, grade, shape, max(own_wedge, own_hollow), by_neighbours)


def area_loss(mean: float, heights: HeightTriple, expected: Expectation) -> float:
    """Loss of mid-sagittal area between the height lines against the expected one, as a fraction.

    The expected area is that under the parabola through the expected heights (Simpson's rule), as deep as
    the body itself; the areas of Genant's grades are such projected areas (RDES150, docs/science.md §3.1).

    Args:
        mean: Mean height between the lines, mm.
        heights: Ha, Hm, Hp, mm; Hp stands in where the neighbours predict none.
        expected: What they would be.
    """
    posterior = heights.posterior if expected.posterior is None else expected.posterior
    anterior = posterior * expected.anterior_ratio
    middle = max(anterior, posterior) * expected.middle_ratio
    return 1 - mean / ((anterior + 4 * middle + posterior) / 6)


def probability_of_grade_2(loss: float, deviation: float) -> float:
    """Probability that the true loss is at least 25 %, for a normal error of ``deviation``."""
    if deviation <= 0:
        return 1.0 if loss >= MODERATE else 0.0
    return 0.5 * (1 + erf((loss - MODERATE) / (deviation * sqrt(2))))


def _agreed(own: float, predicted: float) -> float:
    """The smaller loss, and from ``AGREED`` on more and more of the other, up to the mean of both at grade 1."""
    smaller, larger = sorted((own, predicted))
    share = min(1.0, max(0.0, (round(smaller, 9) - AGREED) / (MILD - AGREED)))
    return smaller + share * (larger - smaller) / 2


def _shape(wedge: float, hollow: float, crush: float) -> Shape:
    if round(crush, 9) >= MILD and crush >= CRUSH_SHARE * max(wedge, hollow):
        return Shape.CRUSH
    return Shape.WEDGE if wedge >= hollow - TIE else Shape.BICONCAVE
