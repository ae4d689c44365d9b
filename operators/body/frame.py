"""Frame of a vertebra: left, posterior and superior along its own body and not along the scanner's table.

Heights measured in the image's sagittal plane are wrong in scoliosis, kyphosis and tilted scans
(docs/science.md §3.2, §14). The cranio-caudal axis comes from the curve through the centres of the
bodies, the left-right axis from the mirror symmetry of the vertebra (canal, pedicles and processes),
and the third is their cross product. :mod:`operators.body.endplates` then tilts the frame onto the endplates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.anatomy import Region
from models.engine import SpineSegmentation
from operators.body.label_boxes import label_boxes
from operators.body.resampling import Array, Indices, Sampler
from operators.reading.quantity import Point, Withheld
from operators.reading.reasons import Reason

PATIENT_LEFT, PATIENT_POSTERIOR, PATIENT_SUPERIOR = np.eye(3)

PLAUSIBLE_MM = ((14.0, 75.0), (9.0, 60.0), (5.0, 55.0))
"""Extent of an adult's vertebral body C3–L5, left-right, front-back, up-down, with wide margins: what is
outside of it is a mask gone wrong (two levels merged, one split, a fragment), not a small vertebra."""

AROUND_MM = 12.0
"""Margin around a vertebra within which its neighbours are kept."""

SYMMETRY_RANGE_DEG = 24.0
SYMMETRY_STEP_DEG = 3.0


@dataclass(frozen=True)
class BodyFrame:
    """Position and axes of a vertebral body.

    Attributes:
        number: Value of the vertebra in the instance map.
        origin: Centre of the body, LPS mm, shape ``(3,)``.
        axes: Rows are the unit vectors left, posterior, superior; a right-handed set.
        size: Extent of the body mask along these axes, mm.
    """

    number: int
    origin: Array
    axes: Array
    size: tuple[float, float, float]

    def to_patient(self, local: Array) -> Array:
        """Points ``(..., 3)`` from this frame (left, posterior, superior, mm) to LPS."""
        return np.asarray(local @ self.axes + self.origin)

    def to_local(self, points: Array) -> Array:
        """Points ``(..., 3)`` from LPS to this frame."""
        return np.asarray((points - self.origin) @ self.axes.T)

    def point(self, left: float, posterior: float, superior: float) -> Point:
        """One point of this frame in LPS, as the reading stores it."""
        x, y, z = self.to_patient(np.array([left, posterior, superior]))
        return float(x), float(y), float(z)


@dataclass(frozen=True)
class BodyMask:
    """Voxels of one vertebra, cropped.

    Attributes:
        body: True inside the vertebral body; a volume of its own, with its affine.
        others: True inside every other vertebra near it; a volume of its own, with its affine.
        points: Centres of the body's voxels, LPS mm, shape ``(n, 3)``.
        posterior: Centres of the voxels of the posterior elements, LPS mm, possibly none.
        voxel: Mean edge of a voxel, mm.
    """

    body: hd.Volume
    others: hd.Volume
    points: Array
    posterior: Array
    voxel: float

    @cached_property
    def depth(self) -> Array:
        """Distance to the nearest voxel outside of the body, mm, at every voxel of it, its holes filled.

        Measured from centre to centre, on the grid of ``body`` with one voxel more on every side.
        """
        filled = ndimage.binary_fill_holes(np.pad(self.body.array > 0, 1))
        spacing = np.linalg.norm(self.body.affine[:3, :3], axis=0)
        return np.asarray(ndimage.distance_transform_edt(filled, sampling=spacing))


@dataclass(frozen=True)
class Body:
    """A vertebral body that was found: its mask and its own frame."""

    mask: BodyMask
    frame: BodyFrame


def locate_bodies(volume: hd.Volume, segmentation: SpineSegmentation) -> dict[int, Body | Withheld]:
    """Locate the body of every vertebra of a segmentation; bodies by number of the vertebra.

    Args:
        volume: HU, shape ``(k, i, j)``, affine in mm (LPS).
        segmentation: On the same grid.

    Returns:
        The body, or the reason why there is none, for each vertebra. Never raises for a bad mask.
    """
    missing = Withheld(code=Reason.NO_BODY, reason="No vertebral body was found for this vertebra.")
    bodies: dict[int, Body | Withheld] = {v.number: missing for v in segmentation.vertebrae}
    masks = dict(body_masks(segmentation))
    centres = {number: np.median(mask.points, axis=0) for number, mask in masks.items()}
    ordered = sorted(centres, key=lambda number: float(-centres[number][2]))
    for place, number in enumerate(ordered):
        tangent = spine_tangent([centres[n] for n in ordered], place)
        frame = _frame(volume, masks[number], number, tangent)
        bodies[number] = frame if isinstance(frame, Withheld) else Body(masks[number], frame)
    return bodies


def body_masks(segmentation: SpineSegmentation) -> Iterable[tuple[int, BodyMask]]:
    """The largest connected body of every vertebra that has one, with its number."""
    labels, regions = segmentation.labels.array, segmentation.regions.array
    boxes = label_boxes(labels)
    affine = segmentation.labels.affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    voxel = float(spacing.mean())
    around = np.ceil(AROUND_MM / spacing).astype(int).tolist()
    for vertebra in segmentation.vertebrae:
        box = boxes.get(vertebra.number)
        if box is None:
            continue
        own = labels[box] == vertebra.number
        body = _largest(own & (regions[box] == Region.BODY))
        if not body.any():
            continue
        corner = _moved(affine, box)
        wide = tuple(slice(max(0, s.start - pad), s.stop + pad) for s, pad in zip(box, around, strict=True))
        others = (labels[wide] > 0) & (labels[wide] != vertebra.number)
        posterior = own & (regions[box] == Region.POSTERIOR_ELEMENTS)
        yield (
            vertebra.number,
            BodyMask(
                body=hd.Volume(body.astype(np.uint8), corner, coordinate_system="PATIENT"),
                others=hd.Volume(others.astype(np.uint8), _moved(affine, wide), coordinate_system="PATIENT"),
                points=_centres(body, corner),
                posterior=_centres(posterior, corner),
                voxel=voxel,
            ),
        )


def spine_tangent(centres: Sequence[Array], place: int) -> Array:
    """Unit vector, pointing up, along the curve through the body centres at one of them.

    A parabola through up to two neighbours on each side, weighted by nearness: a single centre that
    is off by some millimetres tilts the tangent less than a plain difference would.

    Args:
        centres: From head to feet, LPS mm.
        place: Index of the centre at which the tangent is wanted.
    """
    if len(centres) < 2:
        return PATIENT_SUPERIOR.copy()
    near = range(max(0, place - 2), min(len(centres), place + 3))
    points = np.array([centres[i] for i in near])
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    here = way[place - near.start]
    weights = 1.0 / (1.0 + ((way - here) / 30.0) ** 2)
    degree = min(2, len(points) - 1)
    tangent = np.array([np.polyder(np.polyfit(way - here, p, degree, w=weights))[-1] for p in points.T])
    return np.asarray(-tangent / np.linalg.norm(tangent))


def frame_from(number: int, origin: Array, superior: Array, posterior: Array, points: Array) -> BodyFrame:
    """A right-handed frame from an origin, an exact superior and an approximate posterior direction.

    Args:
        number: Of the vertebra.
        origin: LPS mm.
        superior: Unit vector.
        posterior: Any vector; made perpendicular to ``superior``.
        points: Voxels of the body, LPS mm, from which the size is taken.
    """
    across = posterior - (posterior @ superior) * superior
    across = across / np.linalg.norm(across)
    axes = np.stack([np.cross(across, superior), across, superior])
    local = (points - origin) @ axes.T
    low, high = np.percentile(local, [2, 98], axis=0)
    size = (high - low) / 0.96
    return BodyFrame(number, origin, axes, (float(size[0]), float(size[1]), float(size[2])))


def _frame(volume: hd.Volume, mask: BodyMask, number: int, superior: Array) -> BodyFrame | Withheld:
    origin = np.median(mask.points, axis=0)
    backward = PATIENT_POSTERIOR
    if len(mask.posterior) > 20:
        apart = np.median(mask.posterior, axis=0) - origin
        apart = apart - (apart @ superior) * superior
        if np.linalg.norm(apart) > 8.0:
            backward = apart
    frame = frame_from(number, origin, superior, backward, mask.points)
    fault = _implausible(frame, mask)
    if fault is not None:
        return fault
    frame = _turned_to_symmetry(volume, frame, mask)
    low, high = np.percentile(frame.to_local(mask.points), [3, 97], axis=0)
    middle = (low + high) / 2
    middle[0] = 0.0 if abs(middle[0]) < 4.0 else middle[0]
    return frame_from(number, frame.to_patient(middle), frame.axes[2], frame.axes[1], mask.points)


def _implausible(frame: BodyFrame, mask: BodyMask) -> Withheld | None:
    """Reason to reject a mask by its size, one voxel added since sizes lie between voxel centres; None if sound."""
    voxel = np.abs(frame.axes @ mask.body.affine[:3, :3]).sum(axis=1)
    for extent, edge, (least, most), name in zip(
        frame.size, voxel, PLAUSIBLE_MM, ("wide", "deep", "high"), strict=True
    ):
        if extent <= most and extent + edge >= least:
            continue
        collapsed = ": a fragment, or a vertebra that has collapsed, to be looked at" if name == "high" else ""
        end = f", which no single body is{collapsed if extent < least else ''}."
        return Withheld(
            code=Reason.IMPLAUSIBLE_BODY,
            reason=f"The mask of this vertebral body is {extent + edge:.0f} mm {name}{end}",
        )
    return None


def _turned_to_symmetry(volume: hd.Volume, frame: BodyFrame, mask: BodyMask) -> BodyFrame:
    """Turn a frame about its superior axis, and shift it sideways, to where left mirrors right."""
    lateral = np.arange(-45.0, 45.5, 1.5)
    depth = np.arange(-0.6 * frame.size[1], 45.0, 1.5)
    layers = np.array([-0.25, 0.0, 0.25]) * frame.size[2]
    grid = np.stack(np.meshgrid(lateral, depth, layers, indexing="ij"), axis=-1)
    corners = frame.to_patient(np.array([[x, y, 0.0] for x in (-45, 45) for y in (-45, 45)]))
    sampler = Sampler(volume, corners, margin=15.0, order=1)
    everything = np.concatenate([mask.points, mask.posterior])
    # A shadow on cells of 1.5 mm needs no more points than this, however fine the voxels are.
    everything = everything[:: max(1, len(everything) // 60000)]

    centred = everything - frame.origin

    def asymmetry(degrees: float) -> tuple[float, float]:
        turned = _turned(frame, degrees)
        weight = _shadow(turned, centred, lateral, depth)
        picture = np.zeros(weight.shape)
        # What is outside of the shadow would be multiplied by 0.
        lit = weight > 0
        values = np.nan_to_num(sampler.at(turned.to_patient(grid[lit])), nan=-100.0)
        picture[lit] = np.clip(values, 0.0, 500.0).mean(axis=1) * weight[lit]
        return _mirror_match(picture, lateral[1] - lateral[0])

    angles = np.arange(-SYMMETRY_RANGE_DEG, SYMMETRY_RANGE_DEG + 0.1, SYMMETRY_STEP_DEG)
    matches = [asymmetry(float(angle)) for angle in angles]
    scores = np.array([score for score, _ in matches])
    best = int(scores.argmax())
    angle = float(angles[best] + _parabola(scores, best) * SYMMETRY_STEP_DEG)
    _, shift = asymmetry(angle)
    turned = _turned(frame, angle)
    return replace(turned, origin=turned.to_patient(np.array([shift, 0.0, 0.0])))


def _shadow(frame: BodyFrame, points: Array, lateral: Array, depth: Array) -> Array:
    """Weight of every cell of the axial picture: 1 where the vertebra's mask projects onto it.

    Args:
        frame: Whose axial plane it is.
        points: Of the mask, from the frame's origin, mm along the axes of the patient.
        lateral: Middles of the cells from right to left, mm, evenly spaced.
        depth: The same from front to back.
    """
    x, y = frame.axes[:2] @ points.T
    column, row = _cells(x, lateral), _cells(y, depth)
    inside = (column >= 0) & (column < len(lateral)) & (row >= 0) & (row < len(depth))
    hit = np.zeros((len(lateral), len(depth)))
    hit[column[inside], row[inside]] = 1.0
    return np.asarray(ndimage.gaussian_filter(hit, 1.5))


def _cells(values: Array, middles: Array) -> Indices:
    """In which of evenly spaced cells values lie; what lies on a border belongs to the cell above it."""
    step = float(middles[1] - middles[0])
    return np.asarray(np.floor((values - (middles[0] - step / 2)) / step).astype(int))


def _mirror_match(picture: Array, step: float) -> tuple[float, float]:
    """Best normalised correlation of a picture with its mirror image, and the mirror's place, mm."""
    energy = float((picture**2).sum())
    if energy == 0:
        return 0.0, 0.0
    length = 2 * picture.shape[0]
    spectrum = np.fft.rfft(picture, length, axis=0)
    correlation = np.fft.irfft((spectrum**2).sum(axis=1), length)
    reach = round(12.0 / step)
    centre = picture.shape[0] - 1
    window = correlation[centre - 2 * reach : centre + 2 * reach + 1]
    best = int(window.argmax())
    offset = (best - 2 * reach + _parabola(window, best)) / 2
    return float(window[best] / energy), float(offset * step)


def _parabola(values: Array, best: int) -> float:
    """Offset of the top of a peak from its highest sample, in samples, by a parabola through three."""
    if not 0 < best < len(values) - 1:
        return 0.0
    before, here, after = values[best - 1 : best + 2]
    bend = before - 2 * here + after
    return float(0.5 * (before - after) / bend) if bend < 0 else 0.0


def _turned(frame: BodyFrame, degrees: float) -> BodyFrame:
    angle = np.radians(degrees)
    left = np.cos(angle) * frame.axes[0] + np.sin(angle) * frame.axes[1]
    posterior = -np.sin(angle) * frame.axes[0] + np.cos(angle) * frame.axes[1]
    return replace(frame, axes=np.stack([left, posterior, frame.axes[2]]))


def _moved(affine: Array, box: tuple[slice, ...]) -> Array:
    """Affine of a part of a volume."""
    corner = affine.copy()
    corner[:3, 3] = affine[:3, :3] @ [s.start for s in box] + affine[:3, 3]
    return corner


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray(parts == sizes.argmax())


def _centres(mask: NDArray[np.bool_], affine: Array) -> Array:
    return np.asarray(np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3])
