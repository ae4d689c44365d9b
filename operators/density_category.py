"""The class that a spine's trabecular attenuation falls into: by a named rule, one-sided where it must be.

The rule is ISCD's for L1 at 120 kVp: below 100 HU osteoporosis is likely, above 150 HU normal density is
(science.md §2.1; the limit of 100 HU also has a positive predictive value of at least 68 % in Pickhardt
2013 [V]). Contrast only raises HU (§2.6), so on an enhanced scan a low value still counts and a high one
says nothing.
"""

from __future__ import annotations

from typing import Literal

from models.anatomy import Level
from models.engine import Numbering
from operators.reading import (
    Density,
    DensityCategory,
    Measured,
    Outcome,
    SpineReading,
    Vertebra,
    Withheld,
)

RULE = "ISCD-L1-HU-100-150"
LOW_HU, HIGH_HU = 100.0, 150.0
GUARD_HU = 10.0
"""Half-width of the guard band about the limits (science.md §2.6)."""
STAND_INS = (Level.T12, Level.L2)
"""Used where L1 cannot be measured (science.md §2.3); they differ from it by a few HU."""

Category = Literal["osteoporosis likely", "indeterminate", "normal density likely"]


def density_category(reading: SpineReading) -> DensityCategory | Withheld:
    """The category of a reading whose densities were measured, or why there is none."""
    gate = reading.withholding("density") or reading.withholding("category")
    if gate is not None:
        return Withheld(code=gate.code, reason=gate.reason)
    chosen = _decisive(reading)
    if chosen is None:
        return Withheld(code="no-level", reason="None of L1, T12 and L2 could be measured; no density category.")
    vertebra, mean = chosen
    category = category_of(mean.value)
    enhanced = any(g.code == "contrast" and g.outcome is Outcome.WARN for g in reading.gates)
    if enhanced and category != "osteoporosis likely":
        return Withheld(
            code="contrast",
            reason=f"{vertebra.level} has {mean.value:.0f} HU on an enhanced scan: contrast raises bone, so "
            "a value that is not low says nothing.",
        )
    if reading.numbering in (Numbering.AMBIGUOUS, Numbering.NONE) and not _neighbours_agree(reading, category):
        return Withheld(
            code="numbering",
            reason="Which vertebra is L1 is uncertain, and the candidates fall into different categories.",
        )
    near = min(abs(mean.value - LOW_HU), abs(mean.value - HIGH_HU)) < GUARD_HU
    return DensityCategory(
        rule=RULE, level=vertebra.level, value=mean, category=category, near_limit=near, note=_note(vertebra, near)
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
        if vertebra is None or not isinstance(vertebra.density, Density):
            continue
        if isinstance(vertebra.density.mean, Measured):
            return vertebra, vertebra.density.mean
    return None


def _neighbours_agree(reading: SpineReading, category: Category) -> bool:
    """Whether T12, L1 and L2, as far as measured, all fall into ``category``."""
    means = [
        v.density.mean.value
        for v in reading.vertebrae
        if v.level in (Level.L1, *STAND_INS) and isinstance(v.density, Density) and isinstance(v.density.mean, Measured)
    ]
    return len(means) >= 2 and all(category_of(mean) == category for mean in means)


def _note(vertebra: Vertebra, near: bool) -> str:
    parts = ["Trabecular attenuation on a scan not acquired for densitometry; not a DXA T-score."]
    if vertebra.level is not Level.L1:
        parts.append(f"{vertebra.level} stands in for L1, which could not be measured.")
    if near:
        parts.append(f"Within {GUARD_HU:.0f} HU of a limit.")
    return " ".join(parts)
