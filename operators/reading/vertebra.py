"""One vertebra of a reading, with what the biomarkers found on it."""

from __future__ import annotations

from models.anatomy import Level
from operators.reading.quantity import Point
from operators.reading.slots import WithResults


class Vertebra(WithResults):
    """One vertebra of the reading.

    Attributes:
        number: Value in the instance map, and segment number in the SEG.
        level: The name given to it, and ``alternative`` under the second-best numbering.
        confidence: Probability 0…1 that the name is right.
        outline: How sure the outline is, 0…1, whatever the name; None where the engine does not tell.
        complete: False where the border of the volume cuts it.
        centroid: Centre of the vertebral body.
    """

    number: int
    level: Level
    alternative: Level | None = None
    confidence: float
    outline: float | None = None
    complete: bool
    centroid: Point

    @property
    def sure(self) -> float:
        """How sure the outline is; a vertebra of doubtful name can be measured as well as any other."""
        return self.confidence if self.outline is None else self.outline
