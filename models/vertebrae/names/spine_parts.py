"""Which parts of what looks like vertebral body are one spine.

A destroyed, removed or cemented vertebra is no body to the network, and the spine falls into two parts. Both are read.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from models.vertebrae.network import COARSE_SPACING

WIDEST_GAP = 120.0
"""Distance in mm along the body over which a part goes on with the spine: two or three destroyed vertebrae."""
SIDEWAYS = 20.0, 0.6
"""How far aside its end may lie: mm, and mm more for every mm of the gap."""


def continued(pieces: Mapping[int, npt.NDArray[np.int64]], first: int) -> list[int]:
    """Which pieces go on with one of them along the body, as a spine does above and below a destroyed vertebra.

    Args:
        pieces: Body voxels of 3 mm of each, ``(n, 3)``.
        first: The piece to begin with.
    """
    kept = [first]
    rest = {number: piece for number, piece in pieces.items() if number != first}
    while True:
        together = np.concatenate([pieces[number] for number in kept])
        gaps = {number: _gap(together, piece) for number, piece in rest.items()}
        nearest = min((number for number in gaps if np.isfinite(gaps[number])), key=lambda n: gaps[n], default=None)
        if nearest is None:
            return kept
        kept.append(nearest)
        del rest[nearest]


def _gap(spine: npt.NDArray[np.int64], piece: npt.NDArray[np.int64]) -> float:
    """Distance in mm along the body from a spine to a piece that goes on with it, infinite for one that does not."""
    above = piece[:, 0].min() > spine[:, 0].max()
    below = piece[:, 0].max() < spine[:, 0].min()
    if not (above or below):
        return float("inf")
    own, other = (spine[:, 0].max(), piece[:, 0].min()) if above else (spine[:, 0].min(), piece[:, 0].max())
    gap = abs(float(other - own)) * COARSE_SPACING
    # Five rows: most of one body.
    ends = [part[np.abs(part[:, 0] - row) < 5].mean(axis=0)[1:] for part, row in ((spine, own), (piece, other))]
    aside = float(np.linalg.norm(ends[0] - ends[1])) * COARSE_SPACING
    return gap if gap <= WIDEST_GAP and aside <= SIDEWAYS[0] + SIDEWAYS[1] * gap else float("inf")
