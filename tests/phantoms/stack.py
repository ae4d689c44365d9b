"""Slices as a scanner makes them: images with positions, which need not form a regular volume."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import highdicom as hd
import numpy as np
from numpy.typing import NDArray


class Plane(StrEnum):
    """The plane in which a volume is cut; the value names where slices, rows and columns go."""

    AXIAL = "FPL"
    SAGITTAL = "LFP"
    CORONAL = "PFL"


@dataclass(frozen=True)
class SliceStack:
    """Parallel slices.

    Attributes:
        hu: CT numbers, shape (slices, rows, columns).
        positions: LPS coordinates of the centre of each slice's first pixel, mm, shape (slices, 3).
        orientation: Direction along a row, then down a column, six cosines.
        pixel_spacing: Between rows and between columns, mm.
        thickness: Nominal slice thickness, mm.
        gantry_tilt: Degrees, for the header; None where it is not written.
    """

    hu: NDArray[np.floating]
    positions: NDArray[np.float64]
    orientation: tuple[float, ...]
    pixel_spacing: tuple[float, float]
    thickness: float
    gantry_tilt: float | None = None

    @classmethod
    def of(cls, volume: hd.Volume, plane: Plane = Plane.AXIAL, thickness: float | None = None) -> SliceStack:
        """Cut a volume along its own axes, in the plane they are closest to.

        Args:
            volume: CT numbers in any orientation, also left-handed; nothing is interpolated.
            plane: Axial slices run from head to feet, rows from front to back, columns from right to
                left; sagittal ones from right to left; coronal ones from front to back.
            thickness: mm; the slice spacing when not given.
        """
        turned = volume.to_patient_orientation(plane.value)
        affine = turned.affine
        spacing = turned.spacing
        unit = affine[:3, :3] / np.array(spacing)
        steps = np.arange(turned.spatial_shape[0])[:, None] * affine[:3, 0][None, :]
        return cls(
            hu=turned.array,
            positions=affine[:3, 3] + steps,
            orientation=tuple(float(v) for v in (*unit[:, 2], *unit[:, 1])),
            pixel_spacing=(float(spacing[1]), float(spacing[2])),
            thickness=float(thickness or spacing[0]),
        )

    @property
    def count(self) -> int:
        """Number of slices."""
        return len(self.positions)

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit normal: row direction cross column direction."""
        cosines = np.array(self.orientation)
        normal: NDArray[np.float64] = np.cross(cosines[:3], cosines[3:])
        return normal

    @property
    def spacings(self) -> NDArray[np.float64]:
        """Distances between neighbouring slices along the normal, mm, shape (slices - 1,)."""
        steps: NDArray[np.float64] = np.abs(np.diff(self.positions @ self.normal))
        return steps

    def taking(self, indices: list[int] | NDArray[np.intp]) -> SliceStack:
        """The slices of these indices, in their order; an index may repeat."""
        return replace(self, hu=self.hu[indices], positions=self.positions[indices])
