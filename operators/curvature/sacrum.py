"""The superior endplate of S1: its vertebra has wings and processes, and no body of its own in the masks."""

from __future__ import annotations

from dataclasses import replace

import highdicom as hd
import numpy as np
from scipy import ndimage

from models.anatomy import Region
from models.engine import SpineSegmentation
from operators.body.frame import BodyFrame, frame_from
from operators.body.resampling import Array
from operators.curvature.endplates import MOST_RESIDUAL_MM, EndplatePlane, endplate, padded
from operators.curvature.results import Plate
from operators.reading.quantity import Withheld
from operators.reading.reasons import Reason

BESIDE = 0.5
"""Reach to either side of the middle, as a share of the width of the body above: within the wings."""
CENTRAL_BAND = 0.25
"""The same for the endplate, of which only the tilt in the sagittal plane is wanted: clear of the wings' shoulders."""
BELOW_MM = 12.0
"""Height of the part of S1 from which the extent of its endplate is taken: further down the sacrum bends back."""
BIN_MM = 4.0
LEAST_POINTS = 200
CANAL_SHARE = 10.0
"""Percentile of the canal's voxels that stands for its anterior wall."""


def sacral_plate(segmentation: SpineSegmentation, number: int, above: EndplatePlane) -> EndplatePlane | Withheld:
    """Fit the plane of the superior endplate of S1.

    Args:
        segmentation: With S1 as a vertebra, its body marked as sacrum.
        number: Of S1 in the instance map.
        above: The inferior endplate of the vertebra above, whose frame says where the middle is.
    """
    missing = Withheld(code=Reason.NO_BODY, reason="The segmentation shows too little of the body of S1.")
    start = frame_from(number, above.point, above.normal, above.frame.axes[1], above.frame.to_patient(np.zeros((9, 3))))
    part, corner, canal = _near(segmentation, number)
    local = start.to_local(np.argwhere(part) @ corner[:3, :3].T + corner[:3, 3])
    behind = _anterior_wall(start.to_local(canal), local)
    kept = (local[:, 1] < behind) & (np.abs(local[:, 0]) < BESIDE * above.frame.size[0])
    if kept.sum() < LEAST_POINTS:
        return missing
    part[part] = kept
    mask = padded(hd.Volume(part.astype(np.uint8), corner, coordinate_system="PATIENT"))
    points = start.to_patient(local[kept])
    plane = above
    # The first frames are those of the vertebra above, up to 20 degrees off: only the last residual says something.
    for most_residual in (np.inf, np.inf, MOST_RESIDUAL_MM):
        frame = _frame(number, points, plane, above.frame)
        if frame is None:
            return missing
        found = endplate(mask, frame, Plate.SUPERIOR, most_residual)
        if isinstance(found, Withheld):
            return found
        plane = found
    return plane


def _near(segmentation: SpineSegmentation, number: int) -> tuple[Array, Array, Array]:
    """The sacral part of S1 as a cropped mask with its affine, and the canal's points beside it, LPS mm."""
    labels, regions = segmentation.labels, segmentation.regions
    box = ndimage.find_objects((labels.array == number).view(np.uint8))
    where = box[0] if box else tuple(slice(0, 1) for _ in range(3))
    corner = labels.affine.copy()
    corner[:3, 3] = labels.affine[:3, :3] @ [s.start for s in where] + labels.affine[:3, 3]
    own = (labels.array[where] == number) & (regions.array[where] == Region.SACRUM)
    canal = np.argwhere(regions.array[where] == Region.CANAL) @ corner[:3, :3].T + corner[:3, 3]
    return own, corner, canal


def _anterior_wall(canal: Array, points: Array) -> Array:
    """Depth of the canal's anterior wall at the height of every point; infinity where no canal is known."""
    heights = np.round(canal[:, 2] / BIN_MM) if len(canal) else np.empty(0)
    known = [h for h in np.unique(heights) if np.count_nonzero(heights == h) >= 8]
    if not known:
        return np.full(len(points), np.inf)
    walls = [float(np.percentile(canal[heights == h, 1], CANAL_SHARE)) for h in known]
    return np.asarray(np.interp(points[:, 2], np.array(known) * BIN_MM, walls))


def _frame(number: int, points: Array, plane: EndplatePlane, above: BodyFrame) -> BodyFrame | None:
    """A frame below a first guess of the endplate, as wide as the body above and as deep as the mask is there."""
    up = plane.normal
    aligned = frame_from(number, plane.point, up, above.axes[1], points)
    local = aligned.to_local(points)
    beside = float(aligned.to_local(above.origin)[0])
    middle = np.abs(local[:, 0] - beside) < CENTRAL_BAND * above.size[0]
    if middle.sum() < LEAST_POINTS / 4:
        return None
    top = float(np.percentile(local[middle, 2], 98))
    slab = middle & (local[:, 2] > top - BELOW_MM)
    low, high = np.percentile(local[slab, 1], [2, 98])
    origin = aligned.to_patient(np.array([beside, (low + high) / 2, top - BELOW_MM / 2]))
    size = (2 * CENTRAL_BAND * above.size[0], float(high - low) / 0.96, BELOW_MM)
    return replace(aligned, origin=origin, size=size)
