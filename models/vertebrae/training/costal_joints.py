"""Where ribs meet vertebrae: closer than label maps draw them.

In label maps the ribs are thin and end a voxel or more before the vertebra. On a real CT a rib's neck runs a millimetre
in front of the transverse process and touches it and the body at its joints; at a slice thickness of 2.5 mm the two
bones are one. A network that has only seen a gap between them takes the neck of a real rib for a part of the vertebra
(it did on chest_2p5mm from T4 to T9). So the ribs are drawn thicker there, and their joints narrow or closed; what the
network has to outline stays the same.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from models.anatomy import Region

REACH = 3
"""Voxels of 1.5 mm from a vertebra within which a rib grows."""
GROWN_SHARE, CLOSED_SHARE = 0.75, 0.75
"""Shares of volumes whose ribs grow by a voxel, and whose joints are narrow."""


def costal_joints(hu: Tensor, regions: Tensor, free: Tensor, shell: Tensor, rng: np.random.Generator) -> Tensor:
    """Draw ribs towards their vertebrae.

    Args:
        hu: HU of everything that is no bone, ``(z, y, x)``.
        regions: :class:`models.anatomy.Region` of every voxel, the same shape; stays as it is.
        free: Voxels that are no bone.
        shell: HU of the cortex at every voxel.
        rng: Source of randomness.

    Returns:
        ``hu`` with bone on the side of the ribs that faces a vertebra, and with narrow joints.
    """
    grown_share, closed_share, narrow = rng.random(), rng.random(), rng.uniform(0.2, 1.0)
    rib = regions == Region.RIB
    vertebra = (regions == Region.BODY) | (regions == Region.POSTERIOR_ELEMENTS)
    free = free & (regions == Region.BACKGROUND)
    if grown_share < GROWN_SHARE:
        grown = free & _around(rib, 1) & _around(vertebra, REACH)
        hu = torch.where(grown, shell, hu)
        rib = rib | grown
    if closed_share < CLOSED_SHARE:
        joint = free & ~rib & _around(rib, 1) & _around(vertebra, 1)
        hu = torch.where(joint, hu + float(narrow) * (shell - hu), hu)
    return hu


def _around(mask: Tensor, reach: int) -> Tensor:
    """Voxels within some voxels of a mask, itself among them."""
    wide: Tensor = nnf.max_pool3d(mask[None, None].float(), 2 * reach + 1, 1, reach)[0, 0]
    return wide > 0
