"""Where in a label map each label lies."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Box = tuple[slice, slice, slice]
"""Slices, rows and columns of an array."""


def label_boxes(array: NDArray[np.uint8] | None) -> Mapping[int, Box]:
    """Smallest box around every label of a map that has a voxel.

    Args:
        array: Shape (slices, rows, columns), 0 where there is no label; None stands for an empty map.

    Returns:
        Boxes by label, in the order of the labels.
    """
    if array is None:
        return {}
    # Most of a CT is not spine: what lies outside the box around all labels need not be looked through twice.
    outer = _box_around_all(array)
    if outer is None:
        return {}
    found = ndimage.find_objects(array[outer])
    return {number: _shifted(box, outer) for number, box in enumerate(found, start=1) if box is not None}


def _box_around_all(array: NDArray[np.uint8]) -> Box | None:
    face = array.max(axis=0)
    rows, columns = np.flatnonzero(face.any(axis=1)), np.flatnonzero(face.any(axis=0))
    if not rows.size:
        return None
    middle = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    planes = np.flatnonzero(array[(slice(None), *middle)].any(axis=(1, 2)))
    return slice(int(planes[0]), int(planes[-1]) + 1), *middle


def _shifted(box: Box, by: Box) -> Box:
    planes, rows, columns = (
        slice(inner.start + outer.start, inner.stop + outer.start) for inner, outer in zip(box, by, strict=True)
    )
    return planes, rows, columns
