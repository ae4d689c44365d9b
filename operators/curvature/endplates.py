"""The plane of an endplate: through its edge in the image, or through the end of the mask where that shows none."""

from __future__ import annotations

from dataclasses import dataclass, replace

import highdicom as hd
import numpy as np

from operators.body.endplates import BodySurfaces
from operators.body.frame import Body, BodyFrame, frame_from
from operators.body.resampling import Array, Sampler, spacing_along
from operators.curvature.geometry import robust_plane
from operators.curvature.results import Plate
from operators.reading.quantity import Withheld
from operators.reading.reasons import Reason

COLUMN_MM = 1.5
CENTRAL = 0.76
"""Share of an endplate's width and depth over which it is fitted: clear of the rims and their osteophytes
(docs/curvature.md)."""
MOST_RESIDUAL_MM = 1.5
"""From here an endplate is no plane (docs/curvature.md)."""
LEAST_SHARE = 0.6
"""Share of the columns that must show the endplate. The project's own."""
INDEPENDENT_MM = 6.0
"""Edge of the patches of an endplate whose errors are taken as independent. The project's own; that the 95 %
intervals hold is measured, see docs/curvature.md."""
SAMPLING_MM = 12.0
"""The error of an edge that the sampling causes is the square of the samples' distance over this. The project's own,
from phantoms with slices of 1 to 3 mm."""
STEP_MM = 0.5
ALLOWANCE_MM = 10.0
"""How far beyond half of the body's height a tilted endplate can reach."""
NEAR_MM = 3.0
"""Distance from a first plane up to which a column ends at the endplate and not at a wall."""
LEAST_POINTS = 12


@dataclass(frozen=True)
class EndplatePlane:
    """The plane through an endplate.

    Attributes:
        point: Its middle, LPS mm.
        normal: Unit normal towards the head.
        frame: The frame in which it was fitted.
        residual: Root mean square distance of the endplate from it, mm.
        sagittal_error, coronal_error: Standard error of its tilt in the frame's sagittal and coronal plane, degrees.
    """

    point: Array
    normal: Array
    frame: BodyFrame
    residual: float
    sagittal_error: float
    coronal_error: float

    def ends(self, direction: Array, half: float) -> tuple[Array, Array]:
        """Points of the plane ``half`` mm against and along a direction from its middle."""
        along = direction - (direction @ self.normal) * self.normal
        along = along / np.linalg.norm(along)
        return self.point - half * along, self.point + half * along


@dataclass(frozen=True)
class BodyPlates:
    """Both endplates of a body.

    Attributes:
        frame: The body's frame with its superior axis on the bisector of the endplates' normals and its origin
            in the middle of the body.
        superior, inferior: Their planes, or why there is none.
    """

    frame: BodyFrame
    superior: EndplatePlane | Withheld
    inferior: EndplatePlane | Withheld

    def plate(self, which: Plate) -> EndplatePlane | Withheld:
        """One of the two."""
        return self.superior if which is Plate.SUPERIOR else self.inferior


def body_plates(body: Body, surfaces: BodySurfaces | None) -> BodyPlates:
    """Fit both endplates of a body.

    The edges in the image lie between voxels and the mask's end does not: in slices of 1.5 mm that halves the error
    of the angle and more (docs/curvature.md).

    Args:
        body: A located body.
        surfaces: Its endplates and walls in the image; None to use the mask alone.
    """
    mask = padded(body.mask.body)
    frame = body.frame if surfaces is None else surfaces.frame
    for _ in range(3):
        superior, inferior = ((surfaces and _seen(surfaces, plate)) or endplate(mask, frame, plate) for plate in Plate)
        if isinstance(superior, Withheld) or isinstance(inferior, Withheld):
            break
        frame = _between(body, frame, superior, inferior)
        if surfaces is not None:
            break
    return BodyPlates(frame, superior, inferior)


def endplate(
    mask: hd.Volume, frame: BodyFrame, plate: Plate, most_residual: float = MOST_RESIDUAL_MM
) -> EndplatePlane | Withheld:
    """Fit the plane of one endplate to the outermost places of the mask in columns along the frame.

    Args:
        mask: 1 inside the body, with a border of zeros.
        frame: With its origin in the body; columns run along its superior axis.
        plate: Which endplate.
        most_residual: Root mean square distance from which there is no plane, mm.
    """
    half = np.array(frame.size[:2]) / 2 + 3.0
    u, v = (np.arange(-h, h + 0.01, COLUMN_MM) for h in half)
    columns = np.stack(np.meshgrid(u, v, indexing="ij"), axis=-1).reshape(-1, 2)
    points = np.column_stack([columns, outermost(mask, frame, columns, plate)])
    width, depth, _ = frame.size
    first = _within(points, (0.0, 0.0), (width, depth))
    known = np.isfinite(first[:, 2])
    if known.sum() < max(LEAST_POINTS, LEAST_SHARE * len(first)):
        return _open(plate)
    fit = robust_plane(*first[known].T)
    away = points[:, 2] - points[:, :2] @ [fit.rise_u, fit.rise_v] - fit.offset
    near = points[np.abs(np.nan_to_num(away, nan=np.inf)) < NEAR_MM]
    # The endplate's own middle: walls draw in between the endplates, and a dish fitted beside its middle is tilted.
    centre, size = zip(*(_extent(near, axis, across) for axis, across in ((0, depth), (1, width))), strict=True)
    return _plane(_within(points, centre, size), frame, plate, spacing_along(mask, frame.axes[2]), most_residual)


def outermost(mask: hd.Volume, frame: BodyFrame, columns: Array, plate: Plate) -> Array:
    """Where columns leave the mask at one end, in the frame; NaN for those that do not meet it.

    Args:
        mask: 1 inside the body, with a border of zeros.
        frame: With its origin in the body.
        columns: Places across the frame, shape ``(n, 2)``, mm.
        plate: The end.
    """
    outward = 1.0 if plate is Plate.SUPERIOR else -1.0
    heights = outward * np.arange(frame.size[2] / 2 + ALLOWANCE_MM, -STEP_MM, -STEP_MM)
    grid = np.empty((len(columns), len(heights), 3))
    grid[..., :2], grid[..., 2] = columns[:, None, :], heights
    points = frame.to_patient(grid)
    inside = np.nan_to_num(Sampler(mask, points.reshape(-1, 3), margin=3.0, order=1).at(points))
    first = (inside >= 0.5).argmax(axis=1)
    rows = np.arange(len(columns))
    before, here = inside[rows, first - 1], inside[rows, first]
    # A column that is inside at its outer end, or nowhere, shows no endplate.
    meets = (first > 0) & (here >= 0.5)
    share = np.where(meets, (here - 0.5) / np.maximum(here - before, 1e-9), 0.0)
    return np.where(meets, heights[first] + outward * STEP_MM * share, np.nan)


def padded(mask: hd.Volume) -> hd.Volume:
    """The mask with a border of zeros, so that its surface is seen where it touches the border."""
    return mask.pad(1)


def _seen(surfaces: BodySurfaces, plate: Plate) -> EndplatePlane | Withheld | None:
    """The plane through an endplate's edge in the image; None where too little of it is seen."""
    heights = surfaces.superior if plate is Plate.SUPERIOR else surfaces.inferior
    u, v = np.meshgrid(surfaces.planes, surfaces.columns, indexing="ij")
    points = np.stack([u.ravel(), v.ravel(), heights.ravel()], axis=1)
    depth = surfaces.posterior_rim - surfaces.anterior_rim
    middle = (surfaces.posterior_rim + surfaces.anterior_rim) / 2
    central = _within(points, (0.0, middle), (np.inf, depth))
    known = np.isfinite(central[:, 2])
    if known.sum() < max(LEAST_POINTS, LEAST_SHARE * len(central)):
        return None
    return _plane(central, surfaces.frame, plate, surfaces.sampling)


def _plane(
    points: Array, frame: BodyFrame, plate: Plate, sampling: float, most_residual: float = MOST_RESIDUAL_MM
) -> EndplatePlane | Withheld:
    """The plane through points of an endplate, shape ``(n, 3)``; those that are not known are NaN in their height."""
    seen = points[np.isfinite(points[:, 2])]
    if len(seen) < max(LEAST_POINTS, LEAST_SHARE * len(points)):
        return _open(plate)
    fit = robust_plane(*seen.T)
    if fit.residual >= most_residual:
        reason = (
            f"The {plate.value} endplate lies {fit.residual:.1f} mm from its plane (root mean square); "
            f"from {most_residual} mm it has no direction to speak of."
        )
        return Withheld(code=Reason.POOR_FIT, reason=reason)
    u, v = (float(np.median(seen[:, axis])) for axis in (0, 1))
    point = frame.to_patient(np.array([u, v, fit.rise_u * u + fit.rise_v * v + fit.offset]))
    sagittal, coronal = _tilt_errors(seen, fit.residual, sampling)
    return EndplatePlane(point, np.asarray(fit.normal @ frame.axes), frame, fit.residual, sagittal, coronal)


def _open(plate: Plate) -> Withheld:
    return Withheld(code=Reason.POOR_FIT, reason=f"Too little of the {plate.value} endplate is seen to fit a plane.")


def _within(points: Array, centre: tuple[float, ...], size: tuple[float, ...]) -> Array:
    """The points over the central part of an endplate."""
    apart = np.abs(points[:, :2] - np.array(centre))
    return np.asarray(points[(apart <= CENTRAL / 2 * np.array(size)).all(axis=1)])


def _extent(points: Array, axis: int, across: float) -> tuple[float, float]:
    """Middle and extent of points along an axis, in a strip of a third of the other extent about the middle."""
    strip = points[np.abs(points[:, 1 - axis]) <= across / 6, axis]
    low, high = float(strip.min()), float(strip.max())
    return (low + high) / 2, high - low + COLUMN_MM


def _between(body: Body, frame: BodyFrame, upper: EndplatePlane, lower: EndplatePlane) -> BodyFrame:
    """The frame turned onto the bisector of two endplates, its origin in the middle of the body."""
    up = upper.normal + lower.normal
    middle = (upper.point + lower.point) / 2
    turned = frame_from(frame.number, middle, up / np.linalg.norm(up), frame.axes[1], body.mask.points)
    low, high = np.percentile(turned.to_local(body.mask.points)[:, 1], [2, 98])
    return replace(turned, origin=turned.to_patient(np.array([0.0, (low + high) / 2, 0.0])))


def _tilt_errors(points: Array, residual: float, sampling: float) -> tuple[float, float]:
    """Standard errors of the tilt front-back and left-right, degrees.

    The slope of a line through ``n`` independent points that scatter by ``s`` over an extent ``d`` is known to
    ``s √12 / (d √n)``. Points scatter by the residual, and at least by what the sampling does: its error moves
    with the phase of the voxels, slowly along an endplate that lies nearly in the slices.
    """
    scatter = max(residual, sampling**2 / SAMPLING_MM)
    across, along = np.ptp(points[:, :2], axis=0) + COLUMN_MM
    patches = max(4.0, across * along / INDEPENDENT_MM**2)
    factor = np.degrees(scatter * np.sqrt(12.0 / patches))
    return float(factor / along), float(factor / across)
