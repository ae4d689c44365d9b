"""Cross-sections midway between the endplates of a vertebra: its body, and the canal behind it."""

from __future__ import annotations

import highdicom as hd
import numpy as np
from scipy import ndimage

from models.anatomy import Region
from models.engine import SpineSegmentation
from operators.body.frame import BodyFrame
from operators.body.resampling import Array, Flags, Sampler
from operators.curvature.results import MILLIMETRE, SQUARE_CENTIMETRE, BodySection, CanalSection
from operators.reading.quantity import Measured, Withheld
from operators.reading.reasons import Reason

STEP_MM = 0.5
BORDER_VOXELS, LEAST_BORDER_MM = 0.25, 0.5
"""95 % error of the place of a mask's border: a share of a voxel, and what masks by people and networks differ by.
The project's own."""
BEFORE_PEDICLES = (-0.2, 0.1)
"""Where the width is taken, as shares of the depth from the middle: a mask of a body may keep the roots of pedicles and
transverse processes, which are widest in L5."""
CANAL_ERROR = 0.15
"""95 % error of area and diameter of a canal from a network at 3 mm, as a share. The project's own."""
CANAL_NOTE = "Coarse, to ±15 %: the outline of the canal is that of a network working on 3 mm voxels."
CANAL_REACH_MM = (20.0, 45.0)
"""How far to either side, and behind the middle of the body's posterior wall, the canal is looked for."""
LEAST_CANAL_MM2 = 30.0
"""Less of it is a rest of a mask and no canal; the narrowest canal has more. The project's own."""
MIDDLE_MM = 2.0
"""Half of the strip in which the sagittal diameter is taken."""


def body_section(mask: hd.Volume, frame: BodyFrame, voxel: float) -> BodySection | Withheld:
    """Area, width and depth of a body midway between its endplates.

    Args:
        mask: 1 inside the body.
        frame: With its origin in the middle of the body and its superior axis on the endplates' bisector.
        voxel: Mean edge of a voxel, mm.
    """
    lateral, depth = (_axis(-half - 8.0, half + 8.0) for half in np.array(frame.size[:2]) / 2)
    inside = _largest(_cut(mask, frame, lateral, depth))
    before = inside[:, (depth >= BEFORE_PEDICLES[0] * frame.size[1]) & (depth <= BEFORE_PEDICLES[1] * frame.size[1])]
    across = np.nonzero(before.any(axis=1))[0]
    if not across.size:
        return Withheld(code=Reason.NO_BODY, reason="The mask of the vertebral body has no middle.")
    inside[: across[0]] = inside[across[-1] + 1 :] = False
    width, front_back = (STEP_MM * float(np.ptp(np.nonzero(inside)[axis]) + 1) for axis in (0, 1))
    border = max(LEAST_BORDER_MM, BORDER_VOXELS * voxel)
    # An ellipse of these axes has nearly this perimeter; a border moved outwards by b adds perimeter · b.
    perimeter = np.pi * (width + front_back) / 2
    area = float(np.count_nonzero(inside)) * STEP_MM**2 / 100
    return BodySection(
        area=Measured(value=area, unit=SQUARE_CENTIMETRE, uncertainty=float(perimeter * border / 100)),
        width=Measured(value=width, unit=MILLIMETRE, uncertainty=2 * border),
        depth=Measured(value=front_back, unit=MILLIMETRE, uncertainty=2 * border),
    )


def canal_section(segmentation: SpineSegmentation, frame: BodyFrame) -> CanalSection | Withheld:
    """Area and sagittal diameter of the canal behind a body, in the plane of the body's cross-section.

    Args:
        segmentation: With the region map.
        frame: As for :func:`body_section`.
    """
    missing = Withheld(code=Reason.STRUCTURE_UNSEEN, reason="No spinal canal was found behind this vertebral body.")
    reach = CANAL_REACH_MM
    lateral, depth = _axis(-reach[0], reach[0]), _axis(0.0, frame.size[1] / 2 + reach[1])
    mask = _canal_near(segmentation, frame, lateral, depth)
    if mask is None:
        return missing
    inside = _largest(_cut(mask, frame, lateral, depth))
    area = float(np.count_nonzero(inside)) * STEP_MM**2
    if area < LEAST_CANAL_MM2:
        return missing
    if inside[[0, -1]].any() or inside[:, -1].any():
        return Withheld(
            code=Reason.STRUCTURE_UNSEEN, reason="The mask of the spinal canal runs on beyond the vertebra."
        )
    middle = lateral[np.nonzero(inside)[0]].mean()
    strip = inside[np.abs(lateral - middle) <= MIDDLE_MM]
    diameter = float(np.median(strip.sum(axis=1))) * STEP_MM
    return CanalSection(
        area=Measured(value=area / 100, unit=SQUARE_CENTIMETRE, uncertainty=CANAL_ERROR * area / 100),
        sagittal_diameter=Measured(value=diameter, unit=MILLIMETRE, uncertainty=CANAL_ERROR * diameter),
        note=CANAL_NOTE,
    )


def _axis(low: float, high: float) -> Array:
    return np.arange(low, high + STEP_MM / 2, STEP_MM)


def _cut(mask: hd.Volume, frame: BodyFrame, lateral: Array, depth: Array) -> Flags:
    """Where the frame's middle plane lies inside a mask, shape ``(lateral, depth)``."""
    points = frame.to_patient(np.stack(np.meshgrid(lateral, depth, [0.0], indexing="ij"), axis=-1)[:, :, 0])
    values = Sampler(mask, points.reshape(-1, 3), margin=4.0, order=1).at(points)
    return np.asarray(np.nan_to_num(values) >= 0.5)


def _canal_near(segmentation: SpineSegmentation, frame: BodyFrame, lateral: Array, depth: Array) -> hd.Volume | None:
    """The canal's mask around a part of the frame's middle plane; None where the plane lies outside of the volume."""
    regions = segmentation.regions
    corners = frame.to_patient(np.array([[x, y, 0.0] for x in lateral[[0, -1]] for y in depth[[0, -1]]]))
    inverse = np.linalg.inv(regions.affine)
    index = corners @ inverse[:3, :3].T + inverse[:3, 3]
    low = np.maximum(np.floor(index.min(axis=0)) - 2, 0).astype(int)
    high = np.minimum(np.ceil(index.max(axis=0)) + 3, regions.spatial_shape).astype(int)
    if (high <= low).any():
        return None
    part = regions.array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    corner = regions.affine.copy()
    corner[:3, 3] = regions.affine[:3, :3] @ low + regions.affine[:3, 3]
    return hd.Volume((part == Region.CANAL).astype(np.uint8), corner, coordinate_system="PATIENT")


def _largest(flags: Flags) -> Flags:
    """The largest connected part."""
    parts, count = ndimage.label(flags)
    if count < 2:
        return flags
    return np.asarray(parts == 1 + np.bincount(parts.ravel())[1:].argmax())
