"""Voxels that are no numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MOST_MISSING = 0.01
"""Share of voxels that are no numbers from which it is said."""


def missing_values(array: npt.NDArray[np.generic]) -> str:
    """What to say of voxels that are no numbers."""
    if array.dtype.kind != "f":
        return ""
    # Slice by slice: a long scan has half a billion voxels.
    count = sum(int(np.count_nonzero(~np.isfinite(plane))) for plane in array)
    share = count / array.size
    return f"{share:.0%} of the voxels are no numbers and were read as air." if share > MOST_MISSING else ""
