"""Outlines of masks on source images: what a viewer draws for each group of the report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.body.label_boxes import Box, label_boxes
from operators.reading.case import Case
from operators.reading.vertebra import Vertebra
from operators.results.source_frames import SourceFrame, source_frames

_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""Row and column step of the four directions, clockwise: right, down, left, up."""
_AHEAD_RIGHT = ((0, 0), (0, -1), (-1, -1), (-1, 0))
"""From a corner between pixels, the pixel ahead and to the right, per direction."""
_AHEAD_LEFT = ((-1, 0), (0, 0), (0, -1), (-1, -1))
"""From a corner between pixels, the pixel ahead and to the left, per direction."""


@dataclass(frozen=True)
class Region:
    """A closed outline, or one point, on one source image.

    Attributes:
        frame: The source image.
        points: Columns and rows, shape (n, 2), in pixels from the top left corner of the top left pixel
            (PS3.3 C.18.6.1.2), so that the centre of that pixel is (0.5, 0.5). First and last point of an
            outline are the same.
    """

    frame: SourceFrame
    points: NDArray[np.float64]


def trace_outline(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Outer outline of the largest part of a mask.

    Follows the cracks between pixels of the mask and others, clockwise, through the middles of the pixel
    edges; parts that touch at a corner only are two parts, holes are left out. The centre of every pixel of
    the part lies inside.

    Args:
        mask: Shape (rows, columns), with at least one pixel.

    Returns:
        Closed polygon, shape (n, 2): columns and rows from the corner of the top left pixel.

    Raises:
        ValueError: The mask is empty.
    """
    parts, count = ndimage.label(mask)
    if not count:
        msg = "an empty mask has no outline"
        raise ValueError(msg)
    part = np.pad(parts == np.bincount(parts.ravel())[1:].argmax() + 1, 1)
    rows, columns = np.nonzero(part)
    row, column, heading = int(rows[0]), int(columns[0]), 0
    start = (row, column, heading)
    points: list[tuple[float, float]] = []
    while not points or (row, column, heading) != start:
        step = _STEPS[heading]
        points.append((column + step[1] / 2 - 1, row + step[0] / 2 - 1))
        row, column = row + step[0], column + step[1]
        heading = _turn(part, row, column, heading)
    return _without_straight_points(np.array(points))


def _turn(part: NDArray[np.bool_], row: int, column: int, heading: int) -> int:
    right, left = _AHEAD_RIGHT[heading], _AHEAD_LEFT[heading]
    if not part[row + right[0], column + right[1]]:
        return (heading + 1) % 4
    if part[row + left[0], column + left[1]]:
        return (heading - 1) % 4
    return heading


def _without_straight_points(points: NDArray[np.float64]) -> NDArray[np.float64]:
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    corner = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    kept = points[corner]
    return np.concatenate([kept, kept[:1]])


class CaseRegions:
    """Outlines of the vertebrae, and of what biomarkers measured in, on the source images of one case.

    Args:
        case: With segmentation, and with masks where something was measured.

    Raises:
        PermanentError: The volume's slices do not lie on the source images.
    """

    def __init__(self, case: Case) -> None:
        self._volume = case.volume
        self._frames = source_frames(case)
        self._labels = None if case.segmentation is None else case.segmentation.labels.array
        self._label_boxes = label_boxes(self._labels)
        self._masks = {name: (mask.array, label_boxes(mask.array)) for name, mask in case.masks.items()}

    def planes(self, vertebra: Vertebra) -> tuple[int, ...]:
        """The slices that a vertebra's mask reaches, along the volume's first axis, the one at its centre first.

        Without a mask, the slice through the centre alone.
        """
        box = self._label_boxes.get(vertebra.number)
        centre = self._volume.map_reference_to_indices(np.array([vertebra.centroid]))[0][0]
        if self._labels is None or box is None:
            return (int(np.clip(round(float(centre)), 0, len(self._frames) - 1)),)
        mask = self._labels[box] == vertebra.number
        found = np.flatnonzero(mask.any(axis=(1, 2))) + box[0].start
        return tuple(int(plane) for plane in found[np.argsort(np.abs(found - centre), kind="stable")])

    def vertebra(self, vertebra: Vertebra, plane: int | None = None) -> Region:
        """Outline of a vertebra; its centre as a point where there is no mask.

        Args:
            vertebra: Which.
            plane: One of :meth:`planes`; the first of them where not given.
        """
        at = self.planes(vertebra)[0] if plane is None else plane
        box = self._label_boxes.get(vertebra.number)
        if self._labels is None or box is None:
            place = self._volume.map_reference_to_indices(np.array([vertebra.centroid]))[0]
            # An index counts from the middle of the first pixel, a graphic from its corner.
            return Region(self._frames[at], np.array([[place[2] + 0.5, place[1] + 0.5]]))
        return self._outline(self._labels[at][box[1:]] == vertebra.number, box, at)

    def mask(self, name: str, vertebra: Vertebra) -> list[Region]:
        """Outlines of a measured region on every slice that it touches, the one with the largest area first.

        Args:
            name: Of the mask in the case.
            vertebra: Whose region.
        """
        planes = self.mask_planes(name, vertebra)
        if not planes:
            return []
        array, boxes = self._masks[name]
        box = boxes[vertebra.number]
        mask = array[box] == vertebra.number
        return [self._outline(mask[plane - box[0].start], box, plane) for plane in (planes[0], *sorted(planes[1:]))]

    def mask_planes(self, name: str, vertebra: Vertebra) -> tuple[int, ...]:
        """The slices that a measured region touches, the one with the largest area first; empty where there is none."""
        array, boxes = self._masks.get(name, (None, {}))
        box = boxes.get(vertebra.number)
        if array is None or box is None:
            return ()
        areas = (array[box] == vertebra.number).sum(axis=(1, 2))
        return tuple(box[0].start + int(plane) for plane in np.argsort(-areas, kind="stable") if areas[plane])

    def whole_image(self, place: int = 0) -> Region:
        """The border of one slice, counted from the middle one: the images as a whole were looked at."""
        rows, columns = self._volume.spatial_shape[1:]
        corners = [(0, 0), (columns, 0), (columns, rows), (0, rows), (0, 0)]
        plane = int(np.clip(len(self._frames) // 2 + place, 0, len(self._frames) - 1))
        return Region(self._frames[plane], np.array(corners, dtype=np.float64))

    def _outline(self, mask: NDArray[np.bool_], box: Box, plane: int) -> Region:
        offset = np.array([box[2].start, box[1].start], dtype=np.float64)
        return Region(self._frames[plane], trace_outline(mask) + offset)
