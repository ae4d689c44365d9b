"""From a label map to vertebrae: body split from the arch, borders, order and numbering.

A label map of another network says which level a voxel belongs to and nothing else. What the
measurements need is added here by geometry: the body is what lies in front of the canal, and where the
network has no canal, it is the hole that the arches leave.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import highdicom as hd
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.anatomy import Anchor, Level, Region, left_out
from models.engine import Numbering, SpineSegmentation, VertebraInstance
from models.label_ids import CORD_ID, DISC_ID, ID_OF, LEVEL_OF, RIB_IDS, SACRUM_ID
from models.vertebrae.names.landmarks import RIB_BOX
from models.volume.body_split import compact, cord_curve, split_body, with_canal
from models.volume.grid import Axis, Grid
from models.volume.orientation import Oriented, nothing_found
from models.volume.painting import Canvas, Patch

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

SLIVER = 1000.0
"""Volume in mm³ below which a label is a stray rest: a fifth of the smallest cervical vertebra."""
SOLID_SACRUM = 10_000.0
"""Volume in mm³ from which a sacrum counts as an anchor, as for our own network."""
SECOND_PIECE = 3_000.0
"""Volume in mm³ from which a second piece under one label is another vertebra: half of a small thoracic one."""
GUESS = 0.5
"""Highest confidence in a name that nothing fixes: these networks give no probability of another numbering."""
RIBS_BESIDE = 300.0
"""Volume in mm³ of rib beside a body from which the vertebra bears ribs."""


@dataclass(frozen=True)
class LabelMap:
    """What a network has said.

    Attributes:
        labels: Ids of :mod:`models.label_ids` ``(z, y, x)``, axes towards head, back and left.
        certainty: Probability of each voxel's label times 255, the same shape.
        grid: Where the voxels lie, in mm along the turned volume's axes; one spacing for all axes.
    """

    labels: Bytes
    certainty: Bytes
    grid: Grid

    @property
    def spacing(self) -> float:
        """Voxel edge in mm."""
        return self.grid.z.spacing


@dataclass(frozen=True)
class _Found:
    """One vertebra in the label map."""

    level: Level
    voxels: npt.NDArray[np.int64]
    body: Mask
    centre: npt.NDArray[np.float64]
    certainty: float
    second_piece: float


def read_label_map(
    volume: hd.Volume, oriented: Oriented, found: LabelMap, known: tuple[str, ...] = ()
) -> SpineSegmentation:
    """The vertebrae of a label map, on the grid of the volume.

    Args:
        volume: The volume that was read.
        oriented: The same, turned towards head, back and left.
        found: The label map.
        known: Remarks that stand before those that are made here.
    """
    remarks: list[str] = [*known]
    vertebrae = _vertebrae(found, remarks)
    if not vertebrae:
        return nothing_found(volume, (*remarks, "No vertebra was found."))
    box = _around(vertebrae, found)
    canvas = Canvas(oriented.grid, _part(found.grid, box))
    for index, vertebra in enumerate(vertebrae, start=1):
        canvas.paint_vertebra(index, _patch(vertebra, found))
    kinds = {Region.SACRUM: (SACRUM_ID,), Region.RIB: tuple(RIB_IDS), Region.CANAL: (CORD_ID,), Region.DISC: (DISC_ID,)}
    values = np.stack([np.isin(found.labels[box], ids) for ids in kinds.values()]).astype(np.float32)
    canvas.paint_surroundings(tuple(kinds), values, _part(found.grid, box))
    painted = np.bincount(canvas.labels.ravel(), minlength=len(vertebrae) + 1)
    anchors = _anchors(vertebrae, found)
    numbering = _numbering([vertebra.level for vertebra in vertebrae], anchors, remarks)
    if twice := [str(vertebra.level) for vertebra in vertebrae if vertebra.second_piece >= SECOND_PIECE]:
        remarks.append(f"{', '.join(twice)}: two separate pieces bear this name, the smaller was left out.")
        numbering = Numbering.AMBIGUOUS
    renumber = np.zeros(256, np.uint8)
    instances: list[VertebraInstance] = []
    for index, vertebra in enumerate(vertebrae, start=1):
        if painted[index] == 0:
            continue
        renumber[index] = len(instances) + 1
        instances.append(
            VertebraInstance(
                number=len(instances) + 1,
                level=vertebra.level,
                confidence=min(vertebra.certainty, GUESS) if numbering is Numbering.AMBIGUOUS else vertebra.certainty,
                outline=vertebra.certainty,
                complete=not canvas.touches_border(index),
                centroid=oriented.to_patient(vertebra.centre),
            )
        )
    return SpineSegmentation(
        labels=oriented.back(canvas.whole(renumber[canvas.labels]), volume),
        regions=oriented.back(canvas.whole(canvas.regions), volume),
        vertebrae=tuple(instances),
        numbering=numbering,
        anchors=anchors,
        remarks=tuple(remarks),
    )


def _vertebrae(found: LabelMap, remarks: list[str]) -> list[_Found]:
    """The vertebrae from head to feet, each split into body and arch."""
    pieces = {level: piece for level in LEVEL_OF.values() if (piece := _largest(found, ID_OF[level])) is not None}
    whole = {level: voxels for level, (voxels, _) in pieces.items()}
    if not whole:
        return []
    labels = with_canal(found.labels, list(whole.values()), found.spacing)
    if not np.any(labels == CORD_ID):
        remarks.append("No spinal canal was found: bodies and arches could not be told apart.")
        return []
    cord = cord_curve(labels, found.spacing)
    starts = np.array([axis.start for axis in found.grid.axes])
    result = []
    for level, voxels in whole.items():
        clean = np.zeros(labels.shape, np.uint8)
        clean[tuple(voxels.T)] = 1
        body = compact(voxels, split_body(clean, 1, cord, found.spacing))
        if not body.any():
            remarks.append(f"Of {level} only the arch is in view; it was left out.")
            continue
        centre = starts + voxels[body].mean(axis=0) * found.spacing
        certainty = float(found.certainty[tuple(voxels.T)].mean()) / 255.0
        result.append(_Found(level, voxels, body, centre, certainty, pieces[level][1]))
    return sorted(result, key=lambda one: -float(one.centre[0]))


def _largest(found: LabelMap, number: int) -> tuple[npt.NDArray[np.int64], float] | None:
    """Voxels of the largest piece of a label and mm³ of the next one, None where there is nothing worth the name."""
    mask = found.labels == number
    if np.count_nonzero(mask) * found.spacing**3 < SLIVER:
        return None
    box = ndimage.find_objects(mask.view(np.uint8))[0]
    parts, _ = ndimage.label(mask[box], np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel())[1:]
    if sizes.max() * found.spacing**3 < SLIVER:
        return None
    voxels = np.argwhere(parts == int(sizes.argmax()) + 1)
    second = float(np.sort(sizes)[-2]) * found.spacing**3 if len(sizes) > 1 else 0.0
    return np.asarray(voxels + np.array([span.start for span in box]), dtype=np.int64), second


def _around(vertebrae: list[_Found], found: LabelMap) -> tuple[slice, slice, slice]:
    """The surroundings of the spine: what lies beyond is not painted."""
    reach = np.array([90.0, 75.0, 90.0]) / found.spacing
    every = np.concatenate([vertebra.voxels for vertebra in vertebrae])
    low = np.maximum(every.min(axis=0) - reach, 0).astype(int).tolist()
    high = np.minimum(every.max(axis=0) + 1 + reach, found.labels.shape).astype(int).tolist()
    return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])


def _part(grid: Grid, box: tuple[slice, slice, slice]) -> Grid:
    axes = [axis.part(span.start, span.stop) for axis, span in zip(grid.axes, box, strict=True)]
    return Grid(axes[0], axes[1], axes[2])


def _patch(vertebra: _Found, found: LabelMap) -> Patch:
    """One vertebra as probabilities of 0 and 1, so that interpolation smooths its borders."""
    low = np.maximum(vertebra.voxels.min(axis=0) - 2, 0)
    high = np.minimum(vertebra.voxels.max(axis=0) + 3, found.labels.shape)
    values = np.zeros((3, *(high - low)), np.float32)
    place = tuple((vertebra.voxels - low).T)
    values[(0, *place)] = vertebra.body
    values[(1, *place)] = ~vertebra.body
    axes: list[Axis] = [axis.part(int(a), int(b)) for axis, a, b in zip(found.grid.axes, low, high, strict=True)]
    body_region = Region.SACRUM if vertebra.level is Level.S1 else Region.BODY
    return Patch(values, Grid(axes[0], axes[1], axes[2]), body_region)


def _anchors(vertebrae: list[_Found], found: LabelMap) -> tuple[Anchor, ...]:
    """What in the field of view fixes the names."""
    anchors = []
    levels = {vertebra.level: vertebra for vertebra in vertebrae}
    sacral = np.isin(found.labels, (SACRUM_ID, ID_OF[Level.S1]))
    sacrum = np.count_nonzero(sacral) * found.spacing**3
    if sacrum >= SOLID_SACRUM and vertebrae[-1].level in (Level.L5, Level.L6, Level.S1):
        anchors.append(Anchor.SACRUM)
    last, first = levels.get(Level.T12), levels.get(Level.L1)
    if last is not None and first is not None and _bears_ribs(last, found) and not _bears_ribs(first, found):
        anchors.append(Anchor.LOWEST_RIB)
    if Level.C2 in levels and vertebrae[0].level in (Level.C1, Level.C2):
        anchors.append(Anchor.C2)
    return tuple(anchors)


def _bears_ribs(vertebra: _Found, found: LabelMap) -> bool:
    box = []
    for axis, centre, (first, last) in zip(found.grid.axes, vertebra.centre, RIB_BOX, strict=True):
        low, high = axis.window(centre + first, centre + last)
        box.append(slice(low, high))
    return bool(np.count_nonzero(np.isin(found.labels[tuple(box)], RIB_IDS)) * found.spacing**3 >= RIBS_BESIDE)


def _numbering(levels: list[Level], anchors: tuple[Anchor, ...], remarks: list[str]) -> Numbering:
    """How far the names can be trusted.

    The network gives no likelihood of another numbering, so that names without an anchor in view are
    always a hypothesis: networks that name every voxel on its own slip by whole levels exactly there.
    """
    ranks = [level.rank for level in levels]
    if len(ranks) > 1 and all(lower < upper for upper, lower in pairwise(ranks)):
        remarks.append("The levels run from the feet to the head: the orientation of the volume may be wrong.")
        return Numbering.AMBIGUOUS
    broken = [(upper, lower) for upper, lower in pairwise(levels) if lower.rank < upper.rank or left_out(upper, lower)]
    if broken:
        steps = ", ".join(f"{upper} by {lower}" for upper, lower in broken)
        remarks.append(f"The levels do not follow each other: {steps}.")
        return Numbering.AMBIGUOUS
    if Level.T13 in levels or Level.L6 in levels or not anchors:
        return Numbering.AMBIGUOUS
    return Numbering.ANCHORED
