"""A CT of a bone density phantom: a slab with round rods on a table, as the scanner would show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from scipy import ndimage


@dataclass(frozen=True)
class DensitySlab:
    """A slab of rods side by side.

    Attributes:
        rods: CT number of each rod from left to right in the image, HU.
        base: CT number of the slab, HU.
        radius: Of a rod, mm.
        apart: Distance of the rods, mm.
        noise: Standard deviation, HU.
        pixel, spacing: mm.
        slices: Number of slices.
    """

    rods: Sequence[float]
    base: float = 20.0
    radius: float = 8.0
    apart: float = 36.0
    noise: float = 10.0
    pixel: float = 0.9
    spacing: float = 2.5
    slices: int = 24

    def centres(self) -> list[tuple[float, float]]:
        """Column and row of every rod."""
        middle = 150.0
        first = 150.0 - self.apart / self.pixel * (len(self.rods) - 1) / 2
        return [(first + self.apart / self.pixel * n, middle) for n in range(len(self.rods))]

    def build(self) -> hd.Volume:
        """Render: HU, shape (slices, rows, columns), slices from head to feet."""
        fine = 3
        rows, columns = (np.mgrid[: 300 * fine, : 300 * fine] + 0.5) / fine - 0.5
        half = self.apart * len(self.rods) / 2 / self.pixel
        image = np.full(rows.shape, -1000.0, np.float32)
        image[(np.abs(rows - 150) < 16 / self.pixel) & (np.abs(columns - 150) < half)] = self.base
        for hu, (column, row) in zip(self.rods, self.centres(), strict=True):
            image[np.hypot(rows - row, columns - column) < self.radius / self.pixel] = hu
        image = image.reshape(300, fine, 300, fine).mean(axis=(1, 3))
        image = ndimage.gaussian_filter(image, 0.45 / self.pixel)
        rng = np.random.default_rng(5)
        array = image + rng.normal(0, self.noise, (self.slices, 300, 300)).astype(np.float32)
        affine = np.eye(4)
        affine[:3, :3] = np.array([[0, 0, self.pixel], [0, self.pixel, 0], [-self.spacing, 0, 0]])
        affine[:3, 3] = (-150 * self.pixel, -150 * self.pixel, self.slices * self.spacing)
        return hd.Volume(array.astype(np.float32), affine, coordinate_system="PATIENT")
