"""A small label map built from ellipses: four vertebrae with discs, arches, a cord, a body around them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SPACING = 1.5
PITCH = 20
"""Voxels from one vertebra to the next."""
HALF_BODY = 7
"""Half of a body's height in voxels: 15 slices high, 5 slices of disc."""
TOP_ID = 31
"""The uppermost vertebra is L1."""
COUNT = 4
BACK_OF_BODY = 40
MIDDLE_X = 40


def label_map() -> npt.NDArray[np.uint8]:
    """Labels ``(z, y, x)``, axes towards head, back and left: L1 at the top … L4."""
    shape = (PITCH * (COUNT + 1), 80, 80)
    labels = np.full(shape, 120, np.uint8)
    labels[:, :4] = labels[:, -4:] = 0
    labels[:, :, :4] = labels[:, :, -4:] = 0
    y, x = np.mgrid[:80, :80]
    disc = ((y - 30) / 11.0) ** 2 + ((x - MIDDLE_X) / 15.0) ** 2 <= 1
    front = disc & (y < BACK_OF_BODY)
    cord = (y - 47) ** 2 + (x - MIDDLE_X) ** 2 <= 9
    ring = ((y - 47) ** 2 + (x - MIDDLE_X) ** 2 <= 100) & ((y - 47) ** 2 + (x - MIDDLE_X) ** 2 > 49)
    arch = (ring & (y >= BACK_OF_BODY)) | ((abs(x - MIDDLE_X) < 3) & (y >= 55) & (y < 70))
    for index in range(COUNT):
        middle = PITCH * (COUNT - index)
        own = TOP_ID - index
        labels[middle - HALF_BODY : middle + HALF_BODY + 1][:, front] = own
        labels[middle - 6 : middle + 3][:, arch] = own
    labels[:, cord] = 79
    return labels


def centre(index: int) -> tuple[float, float, float]:
    """Centre of a body in voxels, from the head, as ``(z, y, x)``."""
    return float(PITCH * (COUNT - index)), 30.0, float(MIDDLE_X)
