"""A made-up vertebral body that is nothing but its two plates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from operators.body.endplates import PLANES_MM, BodySurfaces
from operators.body.frame import BodyFrame

COLUMNS = np.arange(-19.0, 19.1, 1.0)
DEPTH = 32.0
"""Front to back; the walls are at ±16 mm."""


def plates(superior: NDArray[np.float64], inferior: NDArray[np.float64], sampling: float = 1.0) -> BodySurfaces:
    """A body between two plates, mm above and below its middle on ``PLANES_MM`` × ``COLUMNS``; NaN where unseen."""
    return BodySurfaces(
        frame=BodyFrame(1, np.zeros(3), np.eye(3), (42.0, DEPTH, 26.0)),
        planes=PLANES_MM,
        columns=COLUMNS,
        superior=superior,
        inferior=inferior,
        anterior=-15.0,
        posterior=15.0,
        anterior_rim=-16.0,
        posterior_rim=16.0,
        left=21.0,
        right=-21.0,
        contrast=300.0,
        scatter=0.1,
        sampling=sampling,
    )
