"""A volume turned so that its axes are those of the patient, and what is painted on it turned back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import highdicom as hd
import numpy as np
import numpy.typing as npt

from models.engine import Numbering, SpineSegmentation
from models.volume.grid import Axis, Grid

Array = npt.NDArray[Any]

ANATOMICAL = "HPL"
"""Axes towards the head, the back and the left: those of our networks and of the geometry."""


@dataclass(frozen=True)
class Oriented:
    """A volume whose axes run in known directions of the patient.

    Attributes:
        volume: The turned volume.
        grid: Its voxel centres in mm along its axes, the first at 0.
    """

    volume: hd.Volume
    grid: Grid

    @classmethod
    def of(cls, volume: hd.Volume, directions: str = ANATOMICAL) -> Self:
        """Turn a volume; directions are DICOM's letters (L, R, A, P, H, F), one for each axis."""
        turned = volume.to_patient_orientation(directions)
        axes = [Axis(0.0, float(s), int(n)) for s, n in zip(turned.spacing, turned.spatial_shape, strict=True)]
        return cls(turned, Grid(axes[0], axes[1], axes[2]))

    def to_patient(self, millimetres: npt.NDArray[np.float64]) -> tuple[float, float, float]:
        """A point in mm along the axes to LPS patient coordinates."""
        index = millimetres / np.array([axis.spacing for axis in self.grid.axes])
        point = self.volume.affine @ np.array([*index, 1.0])
        return float(point[0]), float(point[1]), float(point[2])

    def back(self, array: Array, original: hd.Volume) -> hd.Volume:
        """An array on this volume's axes as a volume with the geometry of the original."""
        turned = self.volume.with_array(array).match_orientation(original)
        return original.with_array(np.ascontiguousarray(turned.array))


def nothing_found(volume: hd.Volume, remarks: tuple[str, ...]) -> SpineSegmentation:
    """An empty segmentation, and why."""
    nothing = np.zeros(volume.spatial_shape, np.uint8)
    return SpineSegmentation(
        labels=volume.with_array(nothing),
        regions=volume.with_array(nothing.copy()),
        vertebrae=(),
        numbering=Numbering.NONE,
        remarks=remarks,
    )
