"""The line through the vertebral bodies: how far along the spine a point lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from models.vertebrae.network import COARSE_SPACING

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class SpineCurve:
    """The line through the vertebral bodies.

    Attributes:
        points: mm on the grid, ``(n, 3)``, from head to feet.
        tangents: Unit vectors towards the feet.
        positions: Length along the curve in mm.
        tree: For the nearest point.
    """

    points: Floats
    tangents: Floats
    positions: Floats
    tree: cKDTree

    @staticmethod
    def through(places: npt.NDArray[np.int64], weights: Floats) -> SpineCurve:
        """The smooth curve through the centres of the axial slices of the bodies."""
        rows = places[:, 0]
        mass = np.bincount(rows, weights)
        solid = np.flatnonzero(mass > 0.15 * np.median(mass[mass > 0]))
        centres = [np.bincount(rows, weights * places[:, axis])[solid] / mass[solid] for axis in (1, 2)]
        slices = np.arange(solid.min(), solid.max() + 1)
        lines = [ndimage.gaussian_filter1d(np.interp(slices, solid, c), 5.0, mode="nearest") for c in centres]
        points: Floats = np.stack([slices, *lines], axis=1)[::-1] * COARSE_SPACING
        if len(points) < 2:
            points = np.concatenate([points + np.array([COARSE_SPACING, 0.0, 0.0]), points])
        points = _lengthened(points, 60.0)
        length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
        positions = np.arange(0.0, length[-1], 1.0)
        fine = np.stack([np.interp(positions, length, points[:, axis]) for axis in range(3)], axis=1)
        tangents = ndimage.gaussian_filter1d(np.gradient(fine, axis=0), 4.0, axis=0, mode="nearest")
        tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
        return SpineCurve(fine, tangents, positions, cKDTree(fine))

    def along(self, points: Floats) -> Floats:
        """Position along the curve of points ``(n, 3)`` in mm."""
        _, index = self.tree.query(points)
        beyond = np.einsum("ij,ij->i", points - self.points[index], self.tangents[index])
        return np.asarray(self.positions[index] + beyond)

    def distance(self, points: Floats) -> Floats:
        """Distance from the curve of points ``(n, 3)`` in mm."""
        return np.asarray(self.tree.query(points)[0])

    def at(self, position: float) -> Floats:
        """Point of the curve at a position, mm."""
        return np.array([np.interp(position, self.positions, self.points[:, axis]) for axis in range(3)])


def _lengthened(points: Floats, by: float) -> Floats:
    """Go straight on at both ends, so that voxels beyond the last slice have a position too."""
    reach = min(len(points) - 1, 6)
    up, down = points[0] - points[reach], points[-1] - points[-1 - reach]
    up, down = up / np.linalg.norm(up), down / np.linalg.norm(down)
    return np.concatenate([[points[0] + by * up], points, [points[-1] + by * down]])
