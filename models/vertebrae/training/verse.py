"""Label maps of VerSe (Sekuboyina et al. 2021, Löffler et al. 2020, CC BY-SA 4.0) as bodies to train on.

They were drawn by people, know C1 to C4 and real fractures, and hold whole vertebrae and nothing else. So the spinal
cord is put into the hole of the vertebrae (:func:`with_cord`); around maps without CT a body is painted
(:mod:`models.vertebrae.training.surroundings`), so that a synthetic CT shows what its labels say; and on a real CT bone
without a label is unknown (:func:`unknown_bone`), since it may be sacrum, rib or a vertebra that nobody drew.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.label_ids import CORD_ID, HIGHEST_ID, S1_ID
from models.vertebrae.training.targets import Array, NoSpineError

MAPS = {
    "gl003": "sub-gl003_dir-ax_seg-vert_msk",
    "gl017": "sub-gl017_seg-vert_msk",
    "gl108": "sub-gl108_seg-vert_msk",
    "verse004": "sub-verse004_seg-vert_msk",
    "verse009": "sub-verse009_seg-vert_msk",
    "verse010": "sub-verse010_seg-vert_msk",
}
"""Bodies without CT, and their files under ``labels_verse``."""
PAIRS = ("verse005", "verse008")
"""Bodies with CT, folders under ``ct``; their masks are ``PAIR_MASK``."""
PAIR_MASK = "vertebrae_verse_ids"
LOWEST_VERSE_ID = 24
"""L5; 1 is C1. Higher ids (L6, sacrum, coccyx, T13) have no place in a head of usual levels."""
LEAST_CANAL, MOST_CANAL = 60.0, 900.0
"""Area in mm² of an axial hole that is the canal: the foramina of the transverse processes are smaller."""
WALL_MM = 2.5
"""Half of what the canal is wider than the cord, as :func:`models.vertebrae.training.targets.make_targets` has it."""
LEAST_CORD, MOST_CORD = 3.5, 7.0
"""Radius of the cord in mm."""
BONE_HU = 120.0
"""HU from which a voxel without a label may be bone."""
UNDRAWN_MM = 1.6
"""Distance from a vertebra within which bright voxels are its own edge, one voxel: people drew where it ends."""


class VerseError(ValueError):
    """A label map does not hold what VerSe's ids say."""


def from_verse_ids(labels: Array) -> npt.NDArray[np.uint8]:
    """Ids of TotalSegmentator v2 for VerSe's: C1 from 1 to 50 … L5 from 24 to 27.

    Raises:
        VerseError: There are ids beside 0 to 24: rename or remove them first.
    """
    found = np.unique(labels)
    foreign = [float(value) for value in found if value not in range(LOWEST_VERSE_ID + 1)]
    if foreign:
        msg = f"ids {foreign} are no usual vertebra of VerSe (1 for C1 to {LOWEST_VERSE_ID} for L5): remove them first"
        raise VerseError(msg)
    whole = labels.astype(np.uint8)
    return np.where(whole > 0, HIGHEST_ID + 1 - whole, 0).astype(np.uint8)


def is_vertebra(labels: Array) -> npt.NDArray[np.bool_]:
    """Voxels of C1 to L5."""
    return np.asarray((labels > S1_ID) & (labels <= HIGHEST_ID))


def with_cord(labels: Array, spacing: float) -> npt.NDArray[np.uint8]:
    """The label map with a cord in the hole of its vertebrae.

    Args:
        labels: ``(z, y, x)``, ids of TotalSegmentator v2.
        spacing: Voxel edge in mm.

    Returns:
        A copy. Between slices with a closed ring the cord goes straight on, from the first to the last slice that
        shows a vertebra.

    Raises:
        models.vertebrae.training.targets.NoSpineError: No slice shows a closed ring of bone.
    """
    vertebrae = is_vertebra(labels)
    known, places = [], []
    for index in np.flatnonzero(vertebrae.any(axis=(1, 2))).tolist():
        hole = _canal_in(vertebrae[index], spacing)
        if hole is not None:
            known.append(index)
            places.append(hole)
    if not known:
        raise NoSpineError(0)
    slices = np.flatnonzero(vertebrae.any(axis=(1, 2)))
    measured = ndimage.median_filter(np.array(places), size=(5, 1), mode="nearest")
    course = np.stack([np.interp(slices, known, column) for column in measured.T], axis=1)
    course = ndimage.gaussian_filter1d(course, 2.0, axis=0, mode="nearest")
    y, x = np.ogrid[: labels.shape[1], : labels.shape[2]]
    result = labels.astype(np.uint8).copy()
    for index, (row, column, radius) in zip(slices.tolist(), course.tolist(), strict=True):
        inside = ((y - row) ** 2 + (x - column) ** 2) * spacing**2 <= radius**2
        result[index][inside & (result[index] == 0)] = CORD_ID
    return result


def _canal_in(vertebrae: npt.NDArray[np.bool_], spacing: float) -> tuple[float, float, float] | None:
    """Row and column of the canal's middle in an axial slice, and the cord's radius in mm; None where it is open."""
    closed = ndimage.binary_closing(np.pad(vertebrae, 3), iterations=2)[3:-3, 3:-3]
    parts, count = ndimage.label(ndimage.binary_fill_holes(closed) & ~closed)
    if not count:
        return None
    areas = np.bincount(parts.ravel())[1:] * spacing**2
    largest = int(areas.argmax())
    if not LEAST_CANAL <= areas[largest] <= MOST_CANAL:
        return None
    row, column = ndimage.center_of_mass(parts == largest + 1)
    radius = float(np.clip(np.sqrt(areas[largest] / np.pi) - WALL_MM, LEAST_CORD, MOST_CORD))
    return float(row), float(column), radius


def unknown_bone(labels: Array, hu: Array, spacing: float) -> npt.NDArray[np.bool_]:
    """Voxels of a real CT of which the label map does not say what they are.

    Args:
        labels: ``(z, y, x)``, whole vertebrae and the cord, ids of TotalSegmentator v2.
        hu: The CT on the same grid.
        spacing: Voxel edge in mm.

    Returns:
        Bright voxels without a label, farther than ``UNDRAWN_MM`` from any vertebra, with one voxel around them.
    """
    away = ndimage.distance_transform_edt(~is_vertebra(labels)) * spacing > UNDRAWN_MM
    bright = (hu > BONE_HU) & (labels == 0) & away
    return np.asarray(ndimage.binary_dilation(bright) & (labels == 0) & away)
