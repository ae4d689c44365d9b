"""A number with its unit and uncertainty, or the reason why there is none: what a reading is made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from operators.reading.reasons import Reason

Point = tuple[float, float, float]
"""A point in LPS patient coordinates, mm."""


class Frozen(BaseModel):
    """A value: immutable, compared by content, refusing fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Measured(Frozen):
    """A number with its unit.

    Attributes:
        value: The number.
        unit: UCUM code (``mm``, ``%``, ``[hnsf'U]``, ``cm3`` …).
        uncertainty: Half-width of the 95 % interval in the same unit, where it is known.
    """

    kind: Literal["measured"] = "measured"
    value: float
    unit: str
    uncertainty: float | None = None


class Withheld(Frozen):
    """A number that is not given, and why.

    Attributes:
        code: The reason, as receivers may key on it.
        reason: The reason as a sentence for the report.
    """

    kind: Literal["withheld"] = "withheld"
    code: Reason
    reason: str


Quantity = Annotated[Measured | Withheld, Field(discriminator="kind")]
