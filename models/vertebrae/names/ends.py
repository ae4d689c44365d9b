"""The ends of the row of vertebrae, where the border of the volume cuts the spine.

Where the disc at the border is too thin to be seen, the last vertebra and the piece of the next one that is still in
view are found as one, and its centre lies between both. The fine stage, shown that centre, outlines the one or the
other. The space to the neighbour tells: from one vertebra to the next it changes by little.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.floating[Any]]

WIDE_ABOVE, WIDE_BELOW, MISSED = 1.1, 1.25, 1.6
"""Space to the neighbour as a share of the next one, from which two are taken for one at the upper and at the lower
end, and up to which: what is wider lacks a vertebra. In the label maps s0004, s0012, s0327 and s0328 the space between
centres grows by up to 14 % from one whole vertebra to the next towards the feet, and by up to 9 % towards the head; a
test holds every stretch of them against this."""


def settled_ends(centres: Points, low: float, high: float) -> Points:
    """Where the first and the last vertebra are, if the piece of another one beside them has drawn them off.

    Args:
        centres: Of the bodies from head to feet, ``(n, 3)``, mm; the first axis runs along the body.
        low: Lower border of the volume on that axis, mm.
        high: Its upper border, mm.

    Returns:
        The centres. An end that lies less than one space from the border, and too far from its neighbour, comes as
        near to it as that one is to the next.
    """
    settled = centres.copy()
    if len(centres) < 3:
        return settled
    for end, near, far, wide in ((0, 1, 2, WIDE_ABOVE), (-1, -2, -3, WIDE_BELOW)):
        space = float(np.linalg.norm(centres[near] - centres[far]))
        step = centres[end] - centres[near]
        away = float(np.linalg.norm(step))
        at_border = min(centres[end][0] - low, high - centres[end][0]) < space
        if at_border and wide < away / max(space, 1e-6) < MISSED:
            settled[end] = centres[near] + step * (space / away)
    return settled
