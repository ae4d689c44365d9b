"""The inner ends of the ribs, which label maps leave out.

In the label maps that the networks train on a rib ends where its neck begins, 15 to 36 mm before the body, to which
neck and head go on in truth. Synthetic CT that follows the label map shows soft tissue there; a network trained on it
takes the bone that a real CT shows there for a part of the vertebra. So the missing part is put back before anything is
drawn.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.anatomy import Region
from models.label_ids import HIGHEST_ID, RIB_IDS
from models.vertebrae.training.targets import Array

FIRST_THORACIC_ID = 43
RIBS = 12
NECK_MM, HEAD_MM = 3.3, 4.5
"""Half the thickness of the neck at the rib's end and of the head at the joint."""
HALF_HEIGHT_MM = 6.0
"""Half the height of neck and head. A neck is a band on edge that stands before the whole transverse process: as a rod
as high as thick it left fat there, and the network took the necks of real ribs for transverse processes."""
BEHIND_MM = 3.0
"""How far the neck runs behind the straight line from the rib's end to the nearest point of the body: a rib bends back
round the lung, and its head sits at the body's hind corner."""
JOINT_MM = 1.6
"""Soft tissue between a rib and its vertebra: one voxel."""
LEAST_GAP, MOST_GAP = 2.5, 40.0
"""Distance in mm between a rib's end and its vertebra from which there is something to add, and up to which a straight
neck is near the truth. Where s0328's real bone is known (HU of 200 and more), nearly four tenths of what is added are
such bone, and cover nearly four tenths of such bone around; a test holds them to 35 and 30 %. A rod of 3 to 4 mm on
the straight line had 29 and 15 %."""
MARGIN_MM = 45.0
BONE_HU = 100.0
"""HU from which bone is believed where there is a CT."""


def rib_heads(labels: Array, regions: Array, free: npt.NDArray[np.bool_], spacing: float) -> npt.NDArray[np.uint8]:
    """Where ribs lack their inner ends.

    Args:
        labels: Label map ``(z, y, x)``, ids of TotalSegmentator v2 with ribs 1 to 12 left, then right.
        regions: Of the same map, see :class:`models.vertebrae.training.targets.SpineTargets`.
        free: Voxels that bone may be put into: no organ, no other bone.
        spacing: Voxel edge in mm.

    Returns:
        uint8 of the same shape: the label of the rib to add, 0 elsewhere. A rib reaches for the nearer of its own
        vertebra and the one above, both of which its head touches from the second to the tenth rib.
    """
    result = np.zeros(labels.shape, np.uint8)
    bones = (labels > HIGHEST_ID - 25) & (labels <= HIGHEST_ID)
    body = regions == Region.BODY
    for rib in RIB_IDS:
        own = FIRST_THORACIC_ID - (rib - RIB_IDS[0]) % RIBS
        rib_voxels = np.argwhere(labels == rib)
        targets = np.argwhere(body & ((labels == own) | (labels == own + 1)))
        if not len(rib_voxels) or not len(targets):
            continue
        margin = int(MARGIN_MM / spacing)
        low = np.maximum(targets.min(axis=0) - margin, 0)
        high = np.minimum(targets.max(axis=0) + margin + 1, labels.shape)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        near = rib_voxels[np.all((rib_voxels >= low) & (rib_voxels < high), axis=1)] - low
        if not len(near):
            continue
        target = np.zeros(high - low, bool)
        target[tuple((targets - low).T)] = True
        distance, places = ndimage.distance_transform_edt(~target, return_indices=True)
        gaps = distance[tuple(near.T)] * spacing
        if not LEAST_GAP <= gaps.min() <= MOST_GAP:
            continue
        # The middle of the rib's end, not its one nearest voxel, is where the neck goes on.
        end = near[gaps < gaps.min() + 2.0 * spacing].mean(axis=0)
        head = places[(slice(None), *near[int(gaps.argmin())])].astype(np.float64)
        end[1] += BEHIND_MM / spacing
        head[1] += BEHIND_MM / spacing
        joint = ndimage.distance_transform_edt(~bones[box]) * spacing < JOINT_MM
        added = _band(target.shape, end, head, spacing) & free[box] & ~joint
        result[box][added] = rib
    return result


def _band(
    shape: tuple[int, ...], first: npt.NDArray[np.float64], last: npt.NDArray[np.float64], spacing: float
) -> npt.NDArray[np.bool_]:
    """A band on edge between two points in voxels.

    It reaches ``HALF_HEIGHT_MM`` up and down; half its thickness grows from ``NECK_MM`` to ``HEAD_MM``.
    """
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1).astype(np.float64)
    along = last - first
    share = np.clip(((grid - first) @ along) / max(float(along @ along), 1e-9), 0.0, 1.0)
    away = (grid - first - share[..., None] * along) * spacing
    half_thickness = NECK_MM + share * (HEAD_MM - NECK_MM)
    flat = np.linalg.norm(away[..., 1:], axis=-1) / half_thickness
    return np.asarray(np.hypot(flat, away[..., 0] / HALF_HEIGHT_MM) <= 1.0)
