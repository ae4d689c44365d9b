"""Vertebrae that break and spines that bend, as maps of space whose effect on every height is measured.

A map takes a point of the deformed spine to the point of the real one that it shows. Discs bend as hinges:
the bodies above turn as rigid pieces, so that an intact body keeps its shape exactly. A fracture squeezes one
body: a wedge or a crush lets the column above it sink, a hollow endplate draws the disc after it. The true
loss is never assumed: the endplates of the same vertebra are found before and after on the mask's surface.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evidence.fractures.anatomies import Anatomy, Stand, Vector
from models.vertebrae.names.levels import TRAINED
from operators.fractures.results import Shape

Array = NDArray[np.floating[Any]]
STEP_MM = 0.4
RIM_SHARE = 0.5
INSET = 0.125
"""Ha and Hp are the heights at this share of the depth from the walls (docs/science.md §3.2)."""


@dataclass(frozen=True)
class Hinge:
    """A disc that bends; everything above it turns about its middle.

    Attributes:
        origin: Middle of the disc, mm.
        axes: Left, posterior, superior at the disc.
        gap: Height of the disc, mm.
        turn: Rotation vector of the column above, degrees about these axes.
    """

    origin: Vector
    axes: Vector
    gap: float
    turn: tuple[float, float, float]

    def applied(self, points: Array) -> Array:
        """Points of the real spine that points of the bent one show, both ``(..., 3)``."""
        from_disc = points - self.origin.astype(points.dtype)
        height = from_disc @ self.axes[2].astype(points.dtype)
        share = np.clip(height / points.dtype.type(self.gap) + points.dtype.type(0.5), 0, 1)
        # Row vectors: into the disc's frame, turned, and back, less the point itself.
        turned = self.axes.T @ (rotation(self.turn) - np.eye(3)) @ self.axes
        return np.asarray(points + share[..., None] * (from_disc @ turned.astype(points.dtype)))


@dataclass(frozen=True)
class Collapse:
    """A fracture of one body.

    Attributes:
        stand: The vertebra.
        shape: Wedge, biconcave (its endplates hollowed) or crush.
        amount: Share of the height that is aimed at; the true loss is measured.
        superior_share: Share of a hollow that belongs to the superior endplate; 1 is a collapsed endplate.
        retropulsion: How far the upper posterior wall is pushed back, mm.
        sclerosis: HU that the impacted bone under the superior endplate gains.
        disc: Height of the discs beside it, mm.
    """

    stand: Stand
    shape: Shape
    amount: float
    superior_share: float = 0.6
    retropulsion: float = 0.0
    sclerosis: float = 0.0
    disc: float = 5.0

    def applied(self, points: Array) -> Array:
        """Points of the real spine that points of the broken one show, both ``(..., 3)``."""
        local = self.stand.local(points)
        if self.shape is Shape.BICONCAVE:
            local[..., 2] += self._hollow(local)
        else:
            local += self._settled(local)
        if self.retropulsion:
            local[..., 1] -= self._pushed(local)
        return self.stand.world(local)

    def impacted(self, points: Array) -> NDArray[np.bool_]:
        """Where, in the broken spine, the bone under the superior endplate is dense."""
        local = self.stand.local(points)
        share = self._share(local) if self.shape is not Shape.BICONCAVE else None
        if share is not None:
            return np.asarray((share > 0.68) & (share < 1.0))
        top = self.stand.top[0] - self.superior_share * self.amount * self.stand.height
        return np.asarray((local[..., 2] > top - 7.0) & (local[..., 2] < self.stand.top[0]))

    @property
    def _centre(self) -> float:
        return (self.stand.front + self.stand.back) / 2

    @property
    def _depth(self) -> float:
        return self.stand.back - self.stand.front

    def _planes(self, v: Array) -> tuple[Array, Array]:
        stand = self.stand
        return stand.top[0] + stand.top[1] * v, stand.bottom[0] + stand.bottom[1] * v

    def _sunk(self, v: Array) -> Array:
        """How far the superior endplate sinks at ``v``, mm."""
        stand = self.stand
        if self.shape is Shape.CRUSH:
            # A little more in front, as most crushed bodies have.
            return np.asarray(self.amount * stand.height * (0.97 - 0.06 * (v - self._centre) / self._depth))
        behind = stand.back - INSET * self._depth
        ahead = stand.front + INSET * self._depth
        front_height = stand.height + (stand.top[1] - stand.bottom[1]) * ahead
        return np.asarray(self.amount * front_height * (behind - v) / (behind - ahead))

    def _held(self, v: Array) -> Array:
        # Far in front and behind the column moves as it does at the body's walls.
        return np.clip(v, self.stand.front - 9.0, self.stand.back + 4.0)

    def _share(self, local: Array) -> Array:
        held = self._held(local[..., 1])
        top, bottom = self._planes(held)
        height = np.maximum(top - self._sunk(held) - bottom, 0.2 * self.stand.height)
        return np.asarray((local[..., 2] - bottom) / height)

    def _settled(self, local: Array) -> Array:
        share = np.clip(self._share(local), 0, 1)
        held = self._held(local[..., 1])
        # The column above is a rigid piece: it turns by the slope of what its lower end sinks.
        slope = float(self._sunk(np.array(1.0)) - self._sunk(np.array(0.0)))
        angle = float(np.arctan(slope))
        pivot_v = self.stand.back - INSET * self._depth
        pivot_w = float(self._planes(np.array(pivot_v))[0] - self._sunk(np.array(pivot_v)))
        dv, dw = held - pivot_v, local[..., 2] - pivot_w
        out = np.zeros_like(local)
        out[..., 1] = share * (np.cos(angle) * dv - np.sin(angle) * dw - dv)
        out[..., 2] = share * (np.sin(angle) * dv + np.cos(angle) * dw - dw + float(self._sunk(np.array(pivot_v))))
        return out

    def _hollow(self, local: Array) -> Array:
        u, v, w = local[..., 0], local[..., 1], local[..., 2]
        # The whole plate within the ring gives way, not a narrow node.
        r2 = ((v - self._centre) / (0.46 * self._depth)) ** 2 + (u / (0.6 * self._depth)) ** 2
        bump = np.clip(1 - r2, 0, None)
        total = self.amount * self.stand.height
        top, bottom = self._planes(v)
        down = np.clip(total * self.superior_share * bump, 0, 0.48 * self.stand.height)
        up = np.clip(total * (1 - self.superior_share) * bump, 0, 0.48 * self.stand.height)
        middle = (top - down + bottom + up) / 2
        above = _hat(w, middle, top - down, top - down + 0.95 * (self.disc + down))
        below = _hat(-w, -middle, -(bottom + up), -(bottom + up) + 0.95 * (self.disc + up))
        return np.asarray(down * above - up * below)

    def _pushed(self, local: Array) -> Array:
        u, v, w = local[..., 0], local[..., 1], local[..., 2]
        across = np.clip(1 - (u / 11.0) ** 2, 0, None)
        tall = np.clip(1 - ((w - 0.1 * self.stand.height) / (0.4 * self.stand.height)) ** 2, 0, None)
        along = np.clip(v / self.stand.back, 0, 1) * np.clip(1 - (v - self.stand.back - 4.0) / 14.0, 0, 1)
        return np.asarray(self.retropulsion * across * tall * along)


@dataclass(frozen=True)
class Bent:
    """A whole map: from the deformed spine, in patient coordinates, to the anatomy.

    Attributes:
        matrix, centre, shift: The body's pose: points are turned about ``centre`` (of the anatomy), which
            lies at ``shift`` in the scanner; scale included.
        hinges: Discs that bend, from the feet to the head.
        collapse: The fracture, if there is one.
    """

    matrix: Vector
    centre: Vector
    hinges: Sequence[Hinge] = field(default=())
    collapse: Collapse | None = None

    def applied(self, points: Array) -> Array:
        """Points of the anatomy that points ``(..., 3)`` in the scanner show."""
        out = points @ np.linalg.inv(self.matrix).T.astype(points.dtype) + self.centre.astype(points.dtype)
        done = self.collapse is None
        for hinge in self.hinges:
            if not done and self._above(hinge):
                out = self._broken(out)
                done = True
            out = hinge.applied(out)
        return out if done else self._broken(out)

    def broken_only(self, points: Array) -> Array:
        """The fracture alone, on points of the anatomy."""
        return self._broken(points)

    def placed(self, points: Vector) -> Vector:
        """Where in the scanner points ``(n, 3)`` of the anatomy lie, found by iteration."""
        guess = (points - self.centre) @ self.matrix.T
        for _ in range(40):
            guess = guess + (points - self.applied(guess)) @ self.matrix.T
        return np.asarray(guess)

    def impacted(self, points: Array) -> NDArray[np.bool_] | None:
        """Where points in the scanner lie in impacted bone; None where nothing is."""
        if self.collapse is None or not self.collapse.sclerosis:
            return None
        out = points @ np.linalg.inv(self.matrix).T.astype(points.dtype) + self.centre.astype(points.dtype)
        for hinge in self.hinges:
            if self._above(hinge):
                break
            out = hinge.applied(out)
        return self.collapse.impacted(out)

    def _above(self, hinge: Hinge) -> bool:
        assert self.collapse is not None
        return bool(self.collapse.stand.local(hinge.origin)[2] > 0)

    def _broken(self, points: Array) -> Array:
        return points if self.collapse is None else self.collapse.applied(points)


def rotation(degrees: tuple[float, float, float]) -> Vector:
    """Matrix of a rotation vector in degrees."""
    vector = np.radians(degrees)
    angle = float(np.linalg.norm(vector))
    if angle < 1e-9:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def hinge_between(upper: Stand, lower: Stand, turn: tuple[float, float, float]) -> Hinge:
    """The disc between two vertebrae."""
    superior = upper.axes[2] + lower.axes[2]
    superior = superior / np.linalg.norm(superior)
    low = lower.origin + lower.top[0] * lower.axes[2]
    high = upper.origin + upper.bottom[0] * upper.axes[2]
    posterior = lower.axes[1] - (lower.axes[1] @ superior) * superior
    posterior /= np.linalg.norm(posterior)
    axes = np.stack([np.cross(posterior, superior), posterior, superior])
    return Hinge((low + high) / 2, axes, max(2.0, 0.8 * float((high - low) @ superior)), turn)


def true_heights(
    anatomy: Anatomy, stand: Stand, through: Callable[[Array], Array] | None = None
) -> tuple[float, float, float] | None:
    """Ha, Hm and Hp of a body on its mask's surface, mm.

    Args:
        anatomy: The body.
        stand: The vertebra.
        through: Map of the deformed spine to the anatomy; the undeformed vertebra without one.

    Returns:
        Heights along the vertebra's own axis, or None where the surface is not seen: the median over planes
        within ±4 mm of the middle, at 12.5 % from the walls, and the least in the central third.
    """
    own = TRAINED.index(stand.level) + 1

    def depth_at(points: Array) -> Array:
        source = points if through is None else through(points)
        # Where discs are thin or bridged the neighbour's bone would be taken for this body's.
        mine = anatomy.sample(anatomy.numbers, source, 0, 0) == own
        return np.where(mine, anatomy.depth_at(source), -0.5)

    columns = np.arange(stand.front - 3.0, stand.back + 3.1, 0.5)
    line = np.arange(stand.bottom[0] - 6.0, stand.top[0] + 6.1, STEP_MM)
    u, v, w = np.meshgrid(np.arange(-4.0, 4.1, 2.0), columns, line, indexing="ij")
    extent = _longest(depth_at(stand.world(np.stack([u, v, w], axis=-1))))
    with warnings.catch_warnings():
        # Columns beside the body are NaN by design.
        warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)
        profile = np.nanmedian(extent, axis=0)
    seen = np.isfinite(profile)
    if seen.sum() < 0.7 * len(columns):
        return None
    # The rims, where the endplates end; those of a wedge move.
    plate = columns[seen][profile[seen] > RIM_SHARE * np.median(profile[seen])]
    front, depth = float(plate[0]), float(plate[-1] - plate[0])
    ahead, behind = front + INSET * depth, front + (1 - INSET) * depth
    third = (columns >= front + depth / 3) & (columns <= front + 2 * depth / 3)
    at = np.interp((ahead, behind), columns[seen], profile[seen])
    return float(at[0]), float(np.nanmin(profile[third])), float(at[1])


def _longest(depth: Array) -> Array:
    """Length of the longest run of positive values along the last axis, mm; NaN where there is none.

    The ends of a run lie where the straight line between two samples is zero.
    """
    found = np.full(depth.shape[:2], np.nan)
    for place in np.ndindex(*found.shape):
        own = depth[place]
        steps = np.diff((own > 0).astype(np.int8), prepend=0, append=0)
        starts, ends = np.nonzero(steps == 1)[0], np.nonzero(steps == -1)[0]
        if not starts.size:
            continue
        best = int(np.argmax(ends - starts))
        first, last = int(starts[best]), int(ends[best]) - 1
        if first == 0 or last == len(own) - 1:
            continue
        before = own[first] / (own[first] - own[first - 1])
        after = own[last] / (own[last] - own[last + 1])
        found[place] = STEP_MM * (last - first + before + after)
    return found


def _hat(w: Array, start: Array, peak: Array, end: Array) -> Array:
    """0 at ``start``, 1 at ``peak``, 0 at ``end`` and beyond, straight between."""
    rise = (w - start) / np.maximum(peak - start, 0.5)
    fall = (end - w) / np.maximum(end - peak, 0.5)
    return np.clip(np.minimum(rise, fall), 0, 1)
