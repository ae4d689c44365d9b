"""What the coarse network says of a volume, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class CoarseMaps:
    """The coarse network's answer as arrays on the 3 mm grid.

    Attributes:
        classes: Probabilities ``(7, z, y, x)``.
        phase: Cosine and sine ``(2, z, y, x)``.
        offset: mm along the spine to the own centre, positive towards the feet ``(z, y, x)``.
        levels: Probabilities at half resolution ``(26, z/2, y/2, x/2)``.
    """

    classes: Array
    phase: Array
    offset: Array
    levels: Array
