"""What stands beside the spine and fixes the numbering: ribs and the sacrum.

The level head sees them too, but in a short field of view it leans on the shapes of the vertebrae
and shifts whole chains by one. What a radiologist counts from is therefore counted here as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.anatomy import Anchor, Level, Region
from models.vertebrae.network import COARSE_SPACING

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]

RIB_BOX = ((-25.0, 2.0), (-15.0, 45.0), (-45.0, 45.0))
"""Where a vertebra's own ribs run: mm above its centre along the spine, behind it, and to its left. The rib of
the vertebra above comes down beside this one too, but higher; in the label maps that the networks train on this
box holds ribs at T10 to T12 and none at L1 to L3, which one around the centre does not."""
RIB_VOXELS = 8
"""Fewest rib voxels (3 mm) there that are a rib."""
NO_RIB_VOXELS = 2
"""Most rib voxels there that are none."""
SOLID_SACRUM = 400
"""Fewest connected sacrum voxels (3 mm) that are taken for the sacrum."""
S1_NEARER = 9.0
"""Distance in mm from the sacrum below which a candidate is its first vertebra."""
L5_NEARER = 34.0
"""Distance in mm from the sacrum below which a candidate is the last lumbar vertebra."""

HIGHEST_SEEN = Level.C5
"""The highest level that the network was trained on."""
_ABOVE_SACRUM = (Level.L5, Level.L6, Level.S1)
_LAST_WITH_RIBS = (Level.T12, Level.T13)


@dataclass(frozen=True)
class Landmarks:
    """What lies beside one candidate.

    Attributes:
        ribs: True with ribs, False without, None where that cannot be said.
        sacrum: Distance in mm to the sacrum, infinite where there is none.
        below_ribs: 0 for the last vertebra with ribs when those below it have none, 1 for the one
            after it, else None.
    """

    ribs: bool | None
    sacrum: float
    below_ribs: int | None = None


def sacrum_points(classes: Array) -> Floats:
    """Voxels of the sacrum ``(n, 3)``, none where it is not solid.

    Args:
        classes: Probabilities ``(7, z, y, x)`` on the 3 mm grid.
    """
    parts, count = ndimage.label(classes[Region.SACRUM] > 0.5)
    if not count:
        return np.zeros((0, 3))
    sizes = np.bincount(parts.ravel())[1:]
    if sizes.max() < SOLID_SACRUM:
        return np.zeros((0, 3))
    return np.argwhere(parts == int(sizes.argmax()) + 1).astype(np.float64)


def has_ribs(ribs: Floats, centre: Floats, up: Floats, shape: tuple[int, int, int]) -> bool | None:
    """Whether a vertebra has ribs of its own.

    Args:
        ribs: Rib voxels ``(n, 3)`` on the 3 mm grid.
        centre: Centre of its body, voxel ``(z, y, x)``.
        up: Unit vector along the spine towards the head.
        shape: Of the grid.
    """
    (low, high), (front, back), (right, left) = RIB_BOX
    relative = (ribs - centre) * COARSE_SPACING
    height = relative @ up
    behind, aside = relative[:, 1] - up[1] * height, relative[:, 2] - up[2] * height
    own = (height > low) & (height < high) & (behind > front) & (behind < back) & (aside > right) & (aside < left)
    count = int(np.count_nonzero(own))
    extent = (np.array(shape) - 1.0) * COARSE_SPACING
    lowest = centre * COARSE_SPACING + low * up
    if not 0.0 <= lowest[0] <= extent[0]:
        # The border cuts it: its centre is taken too high, and the rib above it would count as its own.
        return None
    if count >= RIB_VOXELS:
        return True
    # In a narrow view its ribs may be out of view.
    inside = lowest[2] + 0.8 * right >= 0 and lowest[2] + 0.8 * left <= extent[2] and 0 <= lowest[1] <= extent[1]
    return False if inside and count <= NO_RIB_VOXELS else None


def directions(centres: list[Floats]) -> list[Floats]:
    """Unit vectors along the spine towards the head, one for each centre, from its neighbours."""
    result = []
    for index in range(len(centres)):
        upper, lower = centres[max(0, index - 1)], centres[min(len(centres) - 1, index + 1)]
        along = np.asarray(upper, np.float64) - np.asarray(lower, np.float64)
        length = float(np.linalg.norm(along))
        result.append(along / length if length > 1.0 else np.array([1.0, 0.0, 0.0]))
    return result


def find_landmarks(classes: Array, centres: list[Floats]) -> list[Landmarks]:
    """What lies beside every candidate.

    Args:
        classes: Probabilities ``(7, z, y, x)`` on the 3 mm grid.
        centres: Voxels ``(z, y, x)``, from head to feet.
    """
    sacrum = sacrum_points(classes)
    distances = [
        float(np.linalg.norm(sacrum - c, axis=1).min()) * COARSE_SPACING if len(sacrum) else np.inf for c in centres
    ]
    # Something far from the lower end of the spine is no sacrum, whatever the voxels say.
    real = bool(distances) and distances[-1] < L5_NEARER and int(np.argmin(distances)) >= len(distances) - 2
    voxels = np.argwhere(classes[Region.RIB] > 0.4).astype(np.float64)
    shape = (classes.shape[1], classes.shape[2], classes.shape[3])
    ribs = [has_ribs(voxels, centre, up, shape) for centre, up in zip(centres, directions(centres), strict=True)]
    last = max((i for i, own in enumerate(ribs) if own is True), default=-1)
    # Above a vertebra with ribs there is none without: there they were overlooked.
    ribs = [None if own is False and i < last else own for i, own in enumerate(ribs)]
    ends = last >= 0 and last + 1 < len(ribs) and all(own is False for own in ribs[last + 1 : last + 3])
    return [
        Landmarks(ribs[i], distances[i] if real else float("inf"), i - last if ends and 0 <= i - last <= 1 else None)
        for i in range(len(centres))
    ]


def find_anchors(beside: Sequence[tuple[Level, Landmarks]]) -> tuple[Anchor, ...]:
    """What in the field of view fixes the names, where it agrees with them.

    Args:
        beside: Names and landmarks from head to feet.
    """
    anchors = []
    if beside and beside[-1][1].sacrum < L5_NEARER and beside[-1][0] in _ABOVE_SACRUM:
        anchors.append(Anchor.SACRUM)
    by_level = dict(beside)
    last, first = by_level.get(Level.T12), by_level.get(Level.L1)
    if last is not None and first is not None and last.ribs is True and first.ribs is False:
        anchors.append(Anchor.LOWEST_RIB)
    return tuple(anchors)


def contradictions(beside: Sequence[tuple[Level, Landmarks]]) -> list[str]:
    """What stands beside the spine and does not go with the names, as sentences.

    Args:
        beside: Names and landmarks from head to feet.
    """
    reasons = []
    if any(level.region == "L" and landmarks.ribs is True for level, landmarks in beside):
        # Four lumbar vertebrae look like this, thirteen thoracic ones too, and so does a miscount.
        reasons.append("A vertebra that was named lumbar has ribs: the numbering is one of two.")
    if beside and beside[-1][1].sacrum < L5_NEARER and beside[-1][0] not in _ABOVE_SACRUM:
        reasons.append(f"The sacrum follows a vertebra that was named {beside[-1][0]}: the count may be wrong.")
    ends = [level for level, landmarks in beside if landmarks.below_ribs == 0]
    if ends and ends[0] not in _LAST_WITH_RIBS:
        # Missing twelfth ribs and a sixth lumbar vertebra look alike, whatever the sacrum says.
        reasons.append(f"The lowest ribs belong to a vertebra that was named {ends[0]}: the count may be wrong.")
    return reasons


def counted_from_below(beside: Sequence[tuple[Level, Landmarks]]) -> str:
    """What to say of levels that the network was never shown; empty where there are none.

    Args:
        beside: Names and landmarks from head to feet.
    """
    if not beside or beside[0][0].rank >= HIGHEST_SEEN.rank:
        return ""
    return f"Levels above {HIGHEST_SEEN} are only counted from those below: the network was never trained on them."
