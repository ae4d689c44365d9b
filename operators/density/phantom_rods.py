"""The rods of a calibration phantom in a CT of it: found by their shape, or measured at given places.

A calibration phantom is a prism along the table, so that the mean over its slices shows every rod as one round
spot of even CT number. Which spot is which rod follows from the order of their CT numbers; the fit to the known
densities then says whether the right ones were taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.body.resampling import Array
from operators.density.calibration import BonePhantom, CalibrationFit, fit_phantom
from operators.reading.calibration_entry import GOOD_R_SQUARED, SLOPE_RANGE
from operators.reading.errors import PermanentError

USED_SHARE = 0.5
"""Middle part of the slices that is averaged."""
AREA_MM2 = (30.0, 1200.0)
"""Of a rod of 6 to 40 mm."""
LEAST_ROUNDNESS = 0.75
"""Area over that of the circle around it."""
LIKE_AREA = 1.8
"""The rods of one phantom differ in area by less than this factor."""
EDGE_HU_PER_MM = 4.0
"""Gradient of the mean slice above which an edge runs."""
BORDER_MM = 2.0
"""Left out along the edge of a rod."""
MARKED_RADIUS_MM = 4.0
"""Radius of what is measured at a given place."""
EVEN_HU = 25.0
"""Standard deviation of the mean slice inside a rod above which the place is no rod."""
LEAST_RODS = 3
"""Fewer points lie on a line whatever they are; such phantoms need given places."""
MOST_CHOICES = 200_000
DOUBTFUL_MARGIN = 2e-4
"""Two choices of spots whose R2 differ by less are a guess."""


@dataclass(frozen=True)
class RodReading:
    """One rod in the image.

    Attributes:
        column, row: Its centre in the slices, pixels from 0.
        hounsfield: Mean, HU.
        deviation: Standard deviation of the mean slice inside of it, HU.
        area: mm2.
    """

    column: float
    row: float
    hounsfield: float
    deviation: float
    area: float


@dataclass(frozen=True)
class PhantomReading:
    """The rods in the phantom's order, and the calibration that they give."""

    rods: tuple[RodReading, ...]
    fit: CalibrationFit


def find_rods(volume: hd.Volume, phantom: BonePhantom) -> PhantomReading:
    """Find the rods of a phantom by themselves.

    Args:
        volume: HU, shape ``(slices, rows, columns)``, affine in mm (LPS).
        phantom: What to look for.

    Raises:
        PermanentError: They are not found, or several choices of spots fit as well.
    """
    if len(phantom.rods) < LEAST_RODS:
        msg = f"{phantom.name} has {len(phantom.rods)} rods only, any two spots would fit: give their places with --rod"
        raise PermanentError("rods-not-found", msg)
    spots = _spots(volume)
    wanted = len(phantom.rods)
    if len(spots) < wanted or comb(len(spots), wanted) > MOST_CHOICES:
        msg = (
            f"{len(spots)} round even spots were found in the slices, {phantom.name} has {wanted} rods: "
            "give their places with --rod COLUMN,ROW"
        )
        raise PermanentError("rods-not-found", msg)
    readings = sorted(_fitting(spots, phantom), key=lambda reading: -reading.fit.r_squared)
    if not readings or readings[0].fit.r_squared < GOOD_R_SQUARED:
        best = f" (R2 {readings[0].fit.r_squared:.3f} at best)" if readings else ""
        msg = f"no choice of the {len(spots)} round spots fits {phantom.name}{best}: give --rod or --density"
        raise PermanentError("rods-not-found", msg)
    if len(readings) > 1 and readings[0].fit.r_squared - readings[1].fit.r_squared < DOUBTFUL_MARGIN:
        msg = f"several choices of spots fit {phantom.name} equally well: give the places with --rod COLUMN,ROW"
        raise PermanentError("rods-not-found", msg)
    return readings[0]


def measure_rods(volume: hd.Volume, phantom: BonePhantom, places: Sequence[tuple[float, float]]) -> PhantomReading:
    """Measure the rods at given places.

    Args:
        volume: As in :func:`find_rods`.
        phantom: Whose rods they are, in this order.
        places: Column and row of each rod's centre, pixels from 0.

    Raises:
        PermanentError: There are too few places, or one does not lie in a rod.
    """
    if len(places) != len(phantom.rods):
        msg = f"{phantom.name} has {len(phantom.rods)} rods, {len(places)} places were given"
        raise PermanentError("rods-not-found", msg)
    image, pixel = _mean_slice(volume)
    rows, columns = np.indices(image.shape)
    rods = []
    for column, row in places:
        inside = np.hypot((rows - row) * pixel[0], (columns - column) * pixel[1]) <= MARKED_RADIUS_MM
        rod = _reading(image, inside, pixel) if inside.any() else None
        if rod is None or rod.deviation > EVEN_HU:
            msg = f"column {column:g}, row {row:g} does not lie inside a rod of even attenuation"
            raise PermanentError("rods-not-found", msg)
        rods.append(rod)
    return PhantomReading(tuple(rods), _fit(phantom, rods))


def _fit(phantom: BonePhantom, rods: Sequence[RodReading]) -> CalibrationFit:
    try:
        return fit_phantom(phantom, [rod.hounsfield for rod in rods])
    except ValueError as error:
        raise PermanentError("rods-not-found", f"{error}: check phantom and places") from error


def _fitting(spots: Sequence[RodReading], phantom: BonePhantom) -> list[PhantomReading]:
    """Every choice of spots of like size, in the order of the rods' attenuation, with a credible slope."""
    expected = [_expected(rod.mineral, rod.water) for rod in phantom.rods]
    order = np.argsort(np.argsort(expected))
    readings = []
    for chosen in combinations(sorted(spots, key=lambda spot: spot.hounsfield), len(expected)):
        areas = [spot.area for spot in chosen]
        if max(areas) > LIKE_AREA * min(areas) or chosen[-1].hounsfield - chosen[0].hounsfield < 1.0:
            continue
        rods = tuple(chosen[place] for place in order)
        fit = fit_phantom(phantom, [rod.hounsfield for rod in rods])
        if SLOPE_RANGE[0] <= fit.slope <= SLOPE_RANGE[1]:
            readings.append(PhantomReading(rods, fit))
    return readings


def _expected(mineral: float, water: float | None) -> float:
    """About what a rod measures, HU, for the order of the rods only: 1.5 HU per mg/cm3."""
    return 1.5 * mineral + (0.0 if water is None else water - 1000.0)


def _spots(volume: hd.Volume) -> list[RodReading]:
    """Round spots of even attenuation in the mean slice."""
    image, pixel = _mean_slice(volume)
    smooth = ndimage.gaussian_filter(image, 0.7 / pixel)
    slope = np.hypot(*(np.gradient(smooth, spacing, axis=axis) for axis, spacing in enumerate(pixel)))
    noise = 1.4826 * float(np.median(np.abs(slope - np.median(slope))))
    flat = (slope < max(EDGE_HU_PER_MM, 4.0 * noise)) & (smooth > -300.0)
    parts, _ = ndimage.label(flat)
    found = []
    for number, box in enumerate(ndimage.find_objects(parts), start=1):
        extent = [(s.stop - s.start) * spacing for s, spacing in zip(box, pixel, strict=True)]
        if max(extent) > np.sqrt(4 * AREA_MM2[1] / np.pi) * 1.3:
            continue
        wide = tuple(slice(max(0, s.start - 2), s.stop + 2) for s in box)
        inside = ndimage.binary_fill_holes(parts[wide] == number)
        area = float(inside.sum() * pixel.prod())
        round_area = np.pi / 4 * max(extent) ** 2
        if not AREA_MM2[0] <= area <= AREA_MM2[1] or area < LEAST_ROUNDNESS * round_area:
            continue
        deep = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=pixel)[1:-1, 1:-1] > BORDER_MM
        if deep.sum() < 5:
            continue
        own = np.zeros(image.shape, bool)
        own[wide] = deep
        reading = _reading(image, own, pixel)
        if reading.deviation <= EVEN_HU:
            found.append(RodReading(reading.column, reading.row, reading.hounsfield, reading.deviation, area))
    return found


def _mean_slice(volume: hd.Volume) -> tuple[Array, Array]:
    """The mean of the middle slices, HU, and the spacing of rows and columns, mm."""
    count = volume.spatial_shape[0]
    edge = int(count * (1 - USED_SHARE) / 2)
    image = volume.array[edge : count - edge].mean(axis=0, dtype=np.float64)
    return image, np.asarray(np.linalg.norm(volume.affine[:3, 1:3], axis=0))


def _reading(image: Array, inside: NDArray[np.bool_], pixel: Array) -> RodReading:
    row, column = (float(v) for v in ndimage.center_of_mass(inside))
    values = image[inside]
    return RodReading(
        column=round(column, 1),
        row=round(row, 1),
        hounsfield=float(values.mean()),
        deviation=float(values.std()),
        area=float(inside.sum() * pixel.prod()),
    )
