"""The same CT as a worse scanner would have given it: thick slices, noise, a narrow field of view, a bowed patient.

The reference's masks go through the same change as the image: what is averaged, cut or left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import highdicom as hd
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.vertebrae.evaluation.references import Reference

Mask = npt.NDArray[np.bool_]

THICK = 5.0
"""Slice thickness in mm."""
NOISE = 40.0
"""Standard deviation of the noise that is added, HU."""
NARROW = 130.0
"""Width and depth of the narrow field of view, mm."""
BOWED = 20.0
"""Angle in degrees by which a bowed patient leans forward."""
WITHIN = 8.0
"""Distance in mm from the border from which a centre is still in view."""


def thick_slices(reference: Reference) -> Reference:
    """Axial slices of 5 mm, each the mean of what it covers of the thinner ones; a voxel is masked from one half on.

    A CT whose slices are as thick already is left as it is.
    """
    turned = _turned(reference)
    spacing, count = float(turned.volume.spacing[0]), turned.volume.spatial_shape[0]
    if spacing >= THICK:
        return reference
    edges = THICK * np.arange(max(1, int(count * spacing / THICK)) + 1)
    thin = spacing * np.arange(count)
    ends = np.minimum(edges[1:, None], thin + spacing), np.maximum(edges[:-1, None], thin)
    share = (np.maximum(ends[0] - ends[1], 0.0) / THICK).astype(np.float32)

    def averaged(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.tensordot(share, array.astype(np.float32), axes=1)

    affine = turned.volume.affine.copy()
    affine[:3, 3] += 0.5 * (THICK / spacing - 1) * affine[:3, 0]
    affine[:3, 0] *= THICK / spacing
    data = np.round(averaged(turned.volume.array)).astype(np.int16)
    volume = hd.Volume(data, affine, coordinate_system="PATIENT")
    return _changed(turned, volume, lambda mask: np.asarray(averaged(mask) >= 0.5))


def noisy(reference: Reference) -> Reference:
    """Noise of 40 HU on every voxel, the same at every call."""
    rng = np.random.default_rng(0)
    data = np.asarray(reference.volume.array, dtype=np.float32)
    data = data + rng.normal(0.0, NOISE, data.shape).astype(np.float32)
    return replace(reference, volume=reference.volume.with_array(np.clip(np.round(data), -1024, 3071).astype(np.int16)))


def narrow_view(reference: Reference) -> Reference:
    """A field of view of 130 mm around the spine, as a spine protocol reconstructs it."""
    turned = _turned(reference)
    centres = np.array(list(reference.centres.values()))
    inverse = turned.volume.inverse_affine
    places = (inverse @ np.column_stack([centres, np.ones(len(centres))]).T).T[:, :3]
    boxes: list[slice] = []
    for axis, behind in ((1, 20.0), (2, 0.0)):
        half = 0.5 * NARROW / turned.volume.spacing[axis]
        middle = np.median(places[:, axis]) + behind / turned.volume.spacing[axis]
        low = int(np.clip(middle - half, 0, turned.volume.spatial_shape[axis] - 1))
        boxes.append(slice(low, int(np.clip(middle + half, low + 1, turned.volume.spatial_shape[axis]))))
    cut: Any = turned.volume  # highdicom's types know no tuple of slices
    return _changed(turned, cut[:, boxes[0], boxes[1]], lambda mask: mask[:, boxes[0], boxes[1]])


def bowed(reference: Reference) -> Reference:
    """The patient leans forward by 20 degrees, as on a wedge or with a hunched back; what leaves the volume is lost."""
    turned = _turned(reference)
    spacing, angle = np.array(turned.volume.spacing), np.radians(BOWED)
    # From the new place to the old one: what is above the middle comes from farther back.
    turn = np.array([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]])
    matrix = turn * spacing / spacing[:, None]
    middle = 0.5 * (np.array(turned.volume.spatial_shape) - 1.0)

    def moved(array: npt.NDArray[Any], order: int, outside: float) -> npt.NDArray[Any]:
        return np.asarray(ndimage.affine_transform(array, matrix, middle - matrix @ middle, order=order, cval=outside))

    data = np.round(moved(np.asarray(turned.volume.array, np.float32), 1, -1024.0)).astype(np.int16)
    changed = _changed(turned, turned.volume.with_array(data), lambda mask: moved(mask.astype(np.uint8), 0, 0) > 0)
    centres = {}
    for level, centre in reference.centres.items():
        place = (turned.volume.inverse_affine @ np.array([*centre, 1.0]))[:3]
        index = middle + np.linalg.solve(matrix, place - middle)
        border = np.minimum(index, 2.0 * middle - index) * spacing
        if border.min() > WITHIN:
            point = turned.volume.affine @ np.array([*index, 1.0])
            centres[level] = float(point[0]), float(point[1]), float(point[2])
    return replace(changed, centres=centres)


def _turned(reference: Reference) -> Reference:
    """The reference with axes towards the head, the back and the left."""

    def along(mask: Mask) -> Mask:
        whole = reference.volume.with_array(mask.astype(np.uint8))
        return np.asarray(whole.to_patient_orientation("HPL").array > 0)

    return _changed(reference, reference.volume.to_patient_orientation("HPL"), along)


def _changed(reference: Reference, volume: hd.Volume, change: Callable[[Mask], Mask]) -> Reference:
    """The reference on another volume, with all its masks changed alike."""
    return replace(
        reference,
        volume=volume,
        labels={level: change(mask) for level, mask in reference.labels.items()},
        bodies=None if reference.bodies is None else change(reference.bodies),
        bones=None if reference.bones is None else change(reference.bones),
        organs=None if reference.organs is None else change(reference.organs),
    )


STRATA: Mapping[str, Callable[[Reference], Reference]] = MappingProxyType(
    {
        "5 mm slices": thick_slices,
        "noise +40 HU": noisy,
        "130 mm field of view": narrow_view,
        "bowed by 20 degrees": bowed,
    }
)
"""What a CT can be turned into, by the name in the table."""
