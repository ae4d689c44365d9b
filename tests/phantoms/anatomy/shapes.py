"""Solids given by signed distance: negative inside, positive outside, in mm.

Every solid is evaluated on coordinates of its own frame, so that turning a vertebra costs nothing and
the distances stay in mm. Distances need to be right near the surface only: they decide the partial
volume of the surface voxels and the depth of the cortical shell.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Vector = NDArray[np.float64]


def vector(*components: float) -> Vector:
    """A point or direction, float64 of shape (3,)."""
    return np.array(components, dtype=np.float64)


@dataclass(frozen=True)
class Frame:
    """A local coordinate frame: left, anterior and cranial coordinates (u, v, w) about an origin.

    Attributes:
        origin: Point (3,) in patient coordinates, LPS, mm.
        axes: Rows are the unit vectors of left, anterior and cranial, in patient coordinates.
    """

    origin: Vector
    axes: Vector

    def to_local(self, points: Vector) -> Vector:
        """Local coordinates of points ``(..., 3)``."""
        local: Vector = (np.asarray(points) - self.origin) @ self.axes.T
        return local

    def to_patient(self, points: Vector) -> Vector:
        """Patient coordinates of local points ``(..., 3)``."""
        patient: Vector = np.asarray(points) @ self.axes + self.origin
        return patient


UPRIGHT = Frame(vector(0, 0, 0), np.array([[1.0, 0, 0], [0, -1.0, 0], [0, 0, 1.0]]))


class Solid(Protocol):
    """A shape in a local frame."""

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        """Corners of a box, in local coordinates, that contains the solid."""
        ...

    def distance(self, u: Array, v: Array, w: Array) -> Array:
        """Signed distance at local coordinates, mm."""
        ...


def smooth_min(a: Array, b: Array, blend: float) -> Array:
    """Union of two solids whose seam is filleted over ``blend`` mm; equal to the minimum elsewhere."""
    if blend <= 0:
        return np.minimum(a, b)
    h = np.maximum(blend - np.abs(a - b), 0.0)
    merged: Array = np.minimum(a, b) - h * h * np.float32(0.25 / blend)
    return merged


def smooth_max(a: Array, b: Array, blend: float) -> Array:
    """Intersection of two solids whose edge is rounded over ``blend`` mm; the maximum elsewhere."""
    return -smooth_min(-a, -b, blend)


@dataclass(frozen=True)
class Blade:
    """A tapered bar from ``start`` to ``end`` whose cross-section is a stadium, long along w.

    Attributes:
        start, end: Points of the axis, local coordinates.
        radius: Half thickness at both ends.
        half_height: Half of the straight part of the cross-section along w, at both ends; zero gives
            a round bar.
    """

    start: Vector
    end: Vector
    radius: tuple[float, float]
    half_height: tuple[float, float] = (0.0, 0.0)

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        reach = np.array([[r, r, r + h] for r, h in zip(self.radius, self.half_height, strict=True)])
        ends = np.stack([self.start, self.end])
        return (ends - reach).min(axis=0), (ends + reach).max(axis=0)

    def distance(self, u: Array, v: Array, w: Array) -> Array:
        axis = (self.end - self.start).astype(np.float32)
        pu, pv, pw = (c - np.float32(s) for c, s in zip((u, v, w), self.start, strict=True))
        tall = self.half_height[0] + self.half_height[1] > 0
        along = pu * axis[0] + pv * axis[1] + (0 if tall else pw * axis[2])
        length = float(axis[0] ** 2 + axis[1] ** 2 + (0.0 if tall else axis[2] ** 2))
        t = np.clip(along / np.float32(max(length, 1e-6)), 0.0, 1.0)
        pu, pv, pw = pu - t * axis[0], pv - t * axis[1], pw - t * axis[2]
        if tall:
            half = self.half_height[0] + t * np.float32(self.half_height[1] - self.half_height[0])
            pw = np.maximum(np.abs(pw) - half, 0.0)
        radius = self.radius[0] + t * np.float32(self.radius[1] - self.radius[0])
        result: Array = np.sqrt(pu * pu + pv * pv + pw * pw) - radius
        return result


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid, optionally turned.

    Attributes:
        centre: Local coordinates.
        semi_axes: Half lengths along its own axes.
        axes: Rows are its own axes in local coordinates.
    """

    centre: Vector
    semi_axes: tuple[float, float, float]
    axes: Vector = field(default_factory=lambda: np.eye(3))

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        reach = np.sqrt(((self.axes * np.array(self.semi_axes)[:, None]) ** 2).sum(axis=0))
        return self.centre - reach, self.centre + reach

    def distance(self, u: Array, v: Array, w: Array) -> Array:
        p = [c - np.float32(o) for c, o in zip((u, v, w), self.centre, strict=True)]
        near = np.zeros((), np.float32)
        slope = np.zeros((), np.float32)
        for row, half in zip(self.axes.astype(np.float32), self.semi_axes, strict=True):
            q = (p[0] * row[0] + p[1] * row[1] + p[2] * row[2]) / np.float32(half)
            near = near + q * q
            slope = slope + (q / np.float32(half)) ** 2
        k0 = np.sqrt(near)
        result: Array = k0 * (k0 - 1) / np.sqrt(np.maximum(slope, 1e-12))
        return result


def tube(points: Vector, radius: Vector, half_height: Vector | None = None) -> list[Solid]:
    """Blades along a polyline ``(n, 3)`` with a radius (and half height) per point."""
    tall = np.zeros(len(points)) if half_height is None else half_height
    return [
        Blade(points[i], points[i + 1], (radius[i], radius[i + 1]), (tall[i], tall[i + 1]))
        for i in range(len(points) - 1)
    ]
