"""The class that a spine's trabecular attenuation falls into: by a named rule, one-sided where it must be.

The rule is ISCD's for L1 at 120 kVp: below 100 HU osteoporosis is likely, above 150 HU normal density is
(docs/science.md §2.1; the limit of 100 HU also has a positive predictive value of at least 68 % in Pickhardt
2013 [V]). Contrast only raises HU (docs/science.md §2.6), so on an enhanced scan a low value still counts and a
high one says nothing. What a site has measured of its own region and tube voltage enters before the limits.
"""

from __future__ import annotations

from typing import Literal

from models.anatomy import Level
from models.engine import Numbering
from operators.density.means import mean_of
from operators.density.results import DensityCategory
from operators.reading.gate import Outcome
from operators.reading.options import DEFAULT, ReadingOptions
from operators.reading.quantity import Measured, Withheld
from operators.reading.reading import SpineReading
from operators.reading.reasons import Reason
from operators.reading.vertebra import Vertebra

RULE = "ISCD-L1-HU-100-150"
LOW_HU, HIGH_HU = 100.0, 150.0
GUARD_HU = 10.0
"""Half-width of the guard band about the limits (docs/science.md §2.6)."""
OUTLIER_HU = 30.0
"""The deciding level this far from its neighbours' mean is said to be so (docs/science.md §2.3 [P])."""
STAND_INS = (Level.T12, Level.L2)
"""Used where L1 cannot be measured (docs/science.md §2.3); they differ from it by a few HU."""

Category = Literal["osteoporosis likely", "indeterminate", "normal density likely"]


def density_category(reading: SpineReading, options: ReadingOptions = DEFAULT) -> DensityCategory | Withheld:
    """The category of a reading whose densities were measured, or why there is none.

    Args:
        reading: With densities and gates.
        options: The site's measured offset of automatic regions and factors of tube voltages.
    """
    gate = reading.withholding("density") or reading.withholding("category")
    if gate is not None:
        return Withheld(code=gate.code, reason=gate.reason)
    chosen = _decisive(reading)
    if chosen is None:
        return Withheld(code=Reason.NO_LEVEL, reason="None of L1, T12 and L2 could be measured; no density category.")
    vertebra, mean = chosen
    mean, adapted = _adapted(mean, reading, options)
    category = category_of(mean.value)
    enhanced = any(g.code is Reason.CONTRAST and g.outcome is Outcome.WARN for g in reading.gates)
    if enhanced and category != "osteoporosis likely":
        return Withheld(
            code=Reason.CONTRAST,
            reason=f"{vertebra.level} has {mean.value:.0f} HU on an enhanced scan: contrast raises bone, so "
            "a value that is not low says nothing.",
        )
    uncertain = reading.numbering in (Numbering.AMBIGUOUS, Numbering.NONE) or vertebra.alternative is not None
    if uncertain and not _neighbours_agree(reading, options, category):
        return Withheld(
            code=Reason.NUMBERING,
            reason="Which vertebra is L1 is uncertain, and the candidates fall into different categories.",
        )
    # On an enhanced scan the true value is lower still, so that only the upper side of a low value is near.
    limits = (LOW_HU,) if enhanced else (LOW_HU, HIGH_HU)
    near = min(abs(mean.value - limit) for limit in limits) < max(GUARD_HU, mean.uncertainty or 0.0)
    return DensityCategory(
        rule=RULE,
        level=vertebra.level,
        value=mean,
        category=category,
        near_limit=near,
        note=" ".join([*_notes(vertebra, near, enhanced), *adapted, *_beside(reading, vertebra)]) or None,
    )


def category_of(hu: float) -> Category:
    """The class of one mean trabecular CT number of L1 at 120 kVp, unenhanced."""
    if hu < LOW_HU:
        return "osteoporosis likely"
    return "normal density likely" if hu > HIGH_HU else "indeterminate"


def _decisive(reading: SpineReading) -> tuple[Vertebra, Measured] | None:
    by_level = {v.level: v for v in reading.vertebrae}
    for level in (Level.L1, *STAND_INS):
        vertebra = by_level.get(level)
        mean = None if vertebra is None else mean_of(vertebra)
        if vertebra is not None and mean is not None:
            return vertebra, mean
    return None


def _adapted(mean: Measured, reading: SpineReading, options: ReadingOptions) -> tuple[Measured, list[str]]:
    """The value that the limits are put to: at 120 kV and as a manual region reads, and what was done."""
    value, said = mean.value, []
    kvp = reading.source.kvp
    factor = next((f.factor for f in options.tube_voltage_factors if kvp and abs(f.kvp - kvp) < 0.5), None)
    if factor is not None:
        value *= factor
        said.append(f"Measured {mean.value:.0f} HU at {kvp:g} kV, times the site's factor of {factor:g}.")
    if options.automated_offset_hu:
        value -= options.automated_offset_hu
        said.append(f"The site's offset of automatic regions, {options.automated_offset_hu:g} HU, is taken off.")
    return (mean if not said else mean.model_copy(update={"value": round(value, 1)})), said


def _neighbours_agree(reading: SpineReading, options: ReadingOptions, category: Category) -> bool:
    """Whether T12, L1 and L2, as far as measured, all fall into ``category``."""
    means = [
        _adapted(mean, reading, options)[0].value
        for v in reading.vertebrae
        if v.level in (Level.L1, *STAND_INS) and (mean := mean_of(v))
    ]
    return len(means) >= 2 and all(category_of(mean) == category for mean in means)


def _notes(vertebra: Vertebra, near: bool, enhanced: bool) -> list[str]:
    parts: list[str] = []
    if vertebra.level is not Level.L1:
        parts.append(f"{vertebra.level} stands in for L1, which could not be measured.")
    if enhanced:
        parts.append("Contrast-enhanced, or recorded so: without contrast the value would be lower still.")
    if near:
        parts.append("Within the guard band of a limit.")
    return parts


def _beside(reading: SpineReading, vertebra: Vertebra) -> list[str]:
    """A warning where the deciding level is unlike the other measured lumbar levels and T12."""
    near = [
        v for v in reading.vertebrae if v.level in (*STAND_INS, Level.L1, Level.L3) and v.level is not vertebra.level
    ]
    others = [mean.value for v in near if (mean := mean_of(v))]
    own = mean_of(vertebra)
    if not others or own is None:
        return []
    apart = own.value - sum(others) / len(others)
    if abs(apart) < OUTLIER_HU:
        return []
    return [f"{vertebra.level} differs from the mean of its neighbours by {apart:+.0f} HU: check it for a lesion."]
