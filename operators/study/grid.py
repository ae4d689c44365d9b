"""Where single-frame images lie, as numbers, and which of them lie on one grid.

Written numbers are not exact: decimals are rounded and vectors jitter. Directions are compared by their
angle, positions within what their last written digit leaves open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from operators.reading.reasons import Reason
from operators.study.problem import Problem
from operators.study.receive import Instance

_UNIT = 0.01
"""By how much a direction may miss the length 1, or two directions the right angle, to be meant as such."""
SAME_DIRECTION = float(np.cos(np.radians(0.1)))
"""Least cosine of the angle between directions that jitter about the same one."""
SAME_SPACING = 1e-3
"""Pixel spacings closer than this part of themselves differ in their last digits only."""
_COARSEST_DIGIT = 1.0
_TURNING = 0.02
"""Sideways step per mm along the normal that slices of one field of view may have: a little more than the
0.5 degrees of shear that are read."""
_SIDEWAYS = 0.1
"""What rounding may add to that, mm."""


@dataclass(frozen=True)
class Slice:
    """One image and its place.

    Attributes:
        instance: The image.
        position: Centre of its first pixel, LPS mm, shape (3,).
        directions: Unit vectors along a row and down a column, shape (2, 3).
        spacing: Between rows and between columns, mm.
        matrix: Rows and columns.
        digit: Value of the last written digit of the position, mm.
    """

    instance: Instance
    position: NDArray[np.float64]
    directions: NDArray[np.float64]
    spacing: tuple[float, float]
    matrix: tuple[int, int]
    digit: float

    @property
    def header(self) -> Dataset:
        """Header of the image."""
        return self.instance.header

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit normal, LPS."""
        return np.cross(self.directions[0], self.directions[1])

    @property
    def frame_of_reference(self) -> str:
        """Frame of Reference UID."""
        return str(self.header.get("FrameOfReferenceUID", ""))


def place(instance: Instance) -> Slice | Problem:
    """Read where an image lies, or name the attributes that do not tell."""
    header = instance.header
    missing = [
        name
        for keyword, name in (
            ("ImagePositionPatient", "Image Position (Patient)"),
            ("ImageOrientationPatient", "Image Orientation (Patient)"),
            ("PixelSpacing", "Pixel Spacing"),
            ("Rows", "Rows"),
            ("Columns", "Columns"),
        )
        if header.get(keyword) in (None, "")
    ]
    if missing:
        return Problem(Reason.NO_POSITION, f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    position = _numbers(header, "ImagePositionPatient", 3)
    if position is None:
        return Problem(Reason.NO_POSITION, "Image Position (Patient) is not three numbers")
    spacing = _numbers(header, "PixelSpacing", 2)
    if spacing is None or not (spacing > 0).all():
        return Problem(Reason.NO_POSITION, "Pixel Spacing is not two positive numbers")
    directions = _directions(header)
    if isinstance(directions, Problem):
        return directions
    matrix = (int(header.Rows), int(header.Columns))
    if min(matrix) < 1:
        return Problem(Reason.NO_POSITION, "Rows or Columns is 0")
    return Slice(instance, position, directions, (float(spacing[0]), float(spacing[1])), matrix, _digit(header))


def _numbers(header: Dataset, keyword: str, count: int) -> NDArray[np.float64] | None:
    try:
        values = np.array([float(value) for value in header.get(keyword)], dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return values if values.shape == (count,) and bool(np.isfinite(values).all()) else None


def _directions(header: Dataset) -> NDArray[np.float64] | Problem:
    values = _numbers(header, "ImageOrientationPatient", 6)
    if values is None:
        return Problem(Reason.BAD_ORIENTATION, "Image Orientation (Patient) is not six numbers")
    vectors = values.reshape(2, 3)
    lengths = np.linalg.norm(vectors, axis=1)
    if np.abs(lengths - 1).max() > _UNIT:
        said = f"lengths {lengths[0]:.3g} and {lengths[1]:.3g}"
        return Problem(Reason.BAD_ORIENTATION, f"Image Orientation is no pair of perpendicular unit vectors ({said})")
    row = vectors[0] / lengths[0]
    cosine = float(row @ vectors[1] / lengths[1])
    if abs(cosine) > _UNIT:
        said = f"{np.degrees(np.arccos(cosine)):.1f} degrees between them"
        return Problem(Reason.BAD_ORIENTATION, f"Image Orientation is no pair of perpendicular unit vectors ({said})")
    column = vectors[1] / lengths[1] - cosine * row
    return np.stack([row, column / np.linalg.norm(column)])


def _digit(header: Dataset) -> float:
    """Value of the last digit with which a position is written; zeros at the end may have been cut off."""
    texts = [str(getattr(value, "original_string", value)) for value in header.ImagePositionPatient]
    if any("e" in text.lower() for text in texts):
        return 1e-6
    return float(10.0 ** -max(len(text.strip().partition(".")[2]) for text in texts))


def last_digit(slices: Iterable[Slice]) -> float:
    """Value of the last digit with which the positions of several images are written, mm."""
    return min((one.digit for one in slices), default=_COARSEST_DIGIT)


def split_by_grid(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Images that share frame of reference, orientation, matrix, pixel spacing and field of view."""
    groups: list[list[Slice]] = []
    for one in slices:
        for group in groups:
            if _same_grid(group[0], one):
                group.append(one)
                break
        else:
            groups.append([one])
    return [part for group in groups for part in _split_by_field(group)]


def _same_grid(one: Slice, other: Slice) -> bool:
    return (
        one.frame_of_reference == other.frame_of_reference
        and one.matrix == other.matrix
        and bool((np.einsum("ij,ij->i", one.directions, other.directions) > SAME_DIRECTION).all())
        and bool(np.allclose(one.spacing, other.spacing, rtol=SAME_SPACING, atol=0.0))
    )


def _split_by_field(slices: list[Slice]) -> list[list[Slice]]:
    """Parts whose fields of view lie beside each other; slices that all lie aside are sheared, and stay together."""
    frame = np.vstack([slices[0].directions, slices[0].normal])
    places = np.array([frame @ one.position for one in slices])
    parts: list[list[int]] = []
    for index in np.argsort(-places[:, 2], kind="stable").tolist():
        for part in parts:
            step = np.abs(places[index] - places[part[-1]])
            if max(step[0], step[1]) <= _TURNING * step[2] + max(_SIDEWAYS, slices[index].digit):
                part.append(index)
                break
        else:
            parts.append([index])
    if len(parts) > max(2, len(slices) // 8):
        return [slices]
    return [[slices[index] for index in sorted(part)] for part in parts]
