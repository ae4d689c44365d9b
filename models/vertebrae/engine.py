"""Osteon's own engine: coarse network, decoding, fine network, masks on the scanner's grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import numpy.typing as npt

from models.anatomy import Level, Region
from models.compute import Compute
from models.engine import Numbering, SpineSegmentation, VertebraInstance
from models.vertebrae.belief import DOUBTED_BELOW, Belief
from models.vertebrae.belief import FILE as BELIEF_FILE
from models.vertebrae.inference import LARGEST_PLANE, run_coarse, run_fine
from models.vertebrae.maps import CoarseMaps
from models.vertebrae.names.candidates import S1_INDEX
from models.vertebrae.names.decode import Decoded, FoundVertebra, decode
from models.vertebrae.names.ends import settled_ends
from models.vertebrae.names.landmarks import directions
from models.vertebrae.names.plausibility import doubts, no_bone
from models.vertebrae.names.shape import FILE as SHAPE_FILE
from models.vertebrae.network import COARSE_SPACING, CoarseNetwork
from models.vertebrae.pose import other_pose
from models.vertebrae.second_look import look_again
from models.vertebrae.upright import AIR, ALONG_BODY, DENSEST, fine_crop, is_cut
from models.vertebrae.weights import COARSE_FILE, FINE_FILE, FOLDER, load_coarse, load_fine
from models.volume.grid import Floats, Grid, resample
from models.volume.missing import missing_values
from models.volume.orientation import Oriented, nothing_found
from models.volume.painting import Canvas, Patch, coarse_patch
from models.weights import digest

Array = npt.NDArray[Any]
Box = tuple[slice, slice, slice]

VERSION = "0.7.0"
SMALLEST_SIDE = 32
HYPOTHESIS = 0.5
"""Highest confidence in a name where something is wrong with the whole row: of the names that were withheld for it on
development CTs about half were right."""
BODY_ABOVE = -500.0
"""HU from which a voxel counts as body when the volume is cropped to the patient."""


class VertebraNetwork:
    """Finds vertebrae with Osteon's own networks; weights are read when it is made.

    Args:
        compute: On which device and how precisely; by default the fastest that this machine has.
        fine: Outline every vertebra with the fine network where its weights are present.
        folder: Where the weights lie; by default those that are shipped.
        belief: What its scores are worth; by default as fitted for the weights that are shipped.

    Raises:
        models.vertebrae.weights.WeightsError: The coarse weights are missing or foreign.
    """

    def __init__(
        self, compute: Compute | None = None, fine: bool = True, folder: Path = FOLDER, belief: Belief | None = None
    ) -> None:
        self._compute = Compute.here() if compute is None else compute
        coarse_file, fine_file = folder / COARSE_FILE.name, folder / FINE_FILE.name
        self._coarse = load_coarse(coarse_file).to(self._compute.device)
        self._fine = load_fine(fine_file).to(self._compute.device) if fine and fine_file.exists() else None
        files = [coarse_file, SHAPE_FILE] if self._fine is None else [coarse_file, fine_file, SHAPE_FILE]
        self._belief = Belief.load() if belief is None else belief
        if belief is None and BELIEF_FILE.exists():
            files.append(BELIEF_FILE)
        self._digest = digest(*files)

    @property
    def coarse(self) -> CoarseNetwork:
        """The network that finds and names, on its device."""
        return self._coarse

    @property
    def name(self) -> str:
        """Name as written into DICOM objects."""
        return "Osteon vertebra network"

    @property
    def version(self) -> str:
        """Version of the algorithm."""
        return VERSION

    @property
    def digest(self) -> str:
        """SHA-256 over the files that decide the result: weights, the prior of shapes, what posteriors are worth."""
        return self._digest

    def segment(self, volume: hd.Volume) -> SpineSegmentation:
        """Find, name and outline the vertebrae.

        Args:
            volume: CT numbers in HU, three axes in any orientation, affine in mm (LPS).

        Returns:
            Masks on the grid of the input. What holds no spine gives an empty segmentation whose
            remarks say why. ``complete`` speaks of the vertebral body.
        """
        oriented = Oriented.of(volume)
        missing = missing_values(volume.array)
        remarks = [missing] if missing else []
        prepared = coarse_input(oriented, remarks)
        if prepared is None:
            return nothing_found(volume, tuple(remarks))
        hu, grid = prepared
        maps, decoded = look(self._coarse, hu, self._compute)
        if not decoded.vertebrae:
            return nothing_found(volume, (*remarks, *decoded.remarks))
        if boneless := no_bone(hu, decoded):
            return nothing_found(volume, (*remarks, boneless))
        remarks.extend(decoded.remarks)
        pose = other_pose(self._coarse, hu, np.array([v.centre for v in decoded.vertebrae]), self._compute)
        doubtful = ((pose.doubt,) if pose.doubt else ()) + doubts(hu, maps, decoded)
        if doubtful:
            remarks.extend(doubtful)
            decoded = replace(decoded, numbering=Numbering.AMBIGUOUS)
        decoded = _settled(decoded, grid, oriented.grid)
        box, around = _surroundings(decoded, grid)
        canvas = Canvas(oriented.grid, around)
        for index, patch in enumerate(self._patches(oriented, maps, decoded, grid)):
            canvas.paint_vertebra(index + 1, patch)
        canvas.paint_surroundings(*_beside_the_spine(maps, box), around)
        result = _result(volume, oriented, canvas, decoded, grid, tuple(remarks), self._belief)
        return replace(result, misoriented=pose.certain)

    def _patches(self, oriented: Oriented, maps: CoarseMaps, decoded: Decoded, grid: Grid) -> Iterator[Patch]:
        """The outlines of all vertebrae, in order; each when it is asked for, as on the native grid they are large."""
        if self._fine is None:
            yield from (_outline(maps, decoded, index, grid) for index in range(len(decoded.vertebrae)))
            return
        ups = directions([vertebra.centre for vertebra in decoded.vertebrae])
        places = [_millimetres(vertebra, grid) for vertebra in decoded.vertebrae]
        crops = [
            fine_crop(oriented, place, ALONG_BODY if is_cut(oriented.grid, place, up, vertebra.height) else up)
            for vertebra, place, up in zip(decoded.vertebrae, places, ups, strict=True)
        ]
        answers = run_fine(self._fine, [crop.hu for crop in crops], [crop.spot for crop in crops], self._compute)
        for vertebra, crop, answer in zip(decoded.vertebrae, crops, answers, strict=True):
            yield Patch(*crop.on_volume(answer[1:], oriented.grid), _body_region(vertebra))


def look(network: CoarseNetwork, hu: Floats, compute: Compute) -> tuple[CoarseMaps, Decoded]:
    """What the coarse network says of a volume, after a second look where that shows anything new, and what it means.

    Args:
        network: The coarse network.
        hu: HU at 3 mm ``(z, y, x)``, from :func:`coarse_input`.
        compute: Where, and how precisely.
    """
    maps = run_coarse(network, hu, compute)
    decoded = decode(maps)
    closer = look_again(network, hu, maps, decoded, compute) if decoded.vertebrae else None
    if closer is None:
        return maps, decoded
    again = decode(closer)
    return (closer, again) if again.vertebrae else (maps, decoded)


def _body_region(vertebra: FoundVertebra) -> Region:
    """What its body is called: the first sacral vertebra is part of the sacrum."""
    return Region.SACRUM if vertebra.name.level is Level.S1 else Region.BODY


def _outline(maps: CoarseMaps, decoded: Decoded, index: int, grid: Grid) -> Patch:
    """The outline of one vertebra as the coarse network sees it."""
    vertebra = decoded.vertebrae[index]
    own = decoded.owner == index
    body_region = _body_region(vertebra)
    body = maps.classes[Region.BODY].astype(np.float32)
    if body_region is Region.SACRUM:
        first_sacral = maps.levels[S1_INDEX].repeat(2, 0).repeat(2, 1).repeat(2, 2)
        body = body + maps.classes[Region.SACRUM] * (first_sacral > 0.5)
    parts = np.stack([body * own, maps.classes[Region.POSTERIOR_ELEMENTS] * own, maps.classes[Region.DISC]])
    return coarse_patch(parts, vertebra.centre, grid, body_region)


def coarse_input(oriented: Oriented, remarks: list[str]) -> tuple[Floats, Grid] | None:
    """The volume at 3 mm, cropped to the patient, or None where there is nothing to read; ``remarks`` say why."""
    native = oriented.grid
    whole = Grid(*(axis.covered(COARSE_SPACING, 1, 1) for axis in native.axes))
    hu = np.clip(resample(oriented.volume.array, native, whole), AIR, DENSEST)
    body = hu > BODY_ABOVE
    if np.count_nonzero(body) < 500:
        remarks.append("The volume holds no body: nearly all of it is air or not a number.")
        return None
    boxes = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        solid = np.flatnonzero(body.any(axis=others))
        boxes.append((max(0, int(solid[0]) - 2), min(hu.shape[axis], int(solid[-1]) + 3)))
    if (boxes[1][1] - boxes[1][0]) * (boxes[2][1] - boxes[2][0]) > LARGEST_PLANE:
        remarks.append("The field of view is wider than a person; only its middle was read.")
        boxes[1], boxes[2] = _middle(boxes[1], 160), _middle(boxes[2], 192)
    axes = [axis.part(low, low + _rounded(high - low, 16)) for axis, (low, high) in zip(whole.axes, boxes, strict=True)]
    grid = Grid(axes[0], axes[1], axes[2])
    filled = np.full(grid.shape, AIR, np.float32)
    cut = hu[tuple(slice(low, high) for low, high in boxes)]
    filled[tuple(slice(0, n) for n in cut.shape)] = cut
    return filled, grid


def _rounded(count: int, multiple: int) -> int:
    return max(SMALLEST_SIDE, -(-count // multiple) * multiple)


def _middle(box: tuple[int, int], size: int) -> tuple[int, int]:
    low = box[0] + max(0, (box[1] - box[0] - size) // 2)
    return low, min(box[1], low + size)


def _millimetres(vertebra: FoundVertebra, grid: Grid) -> npt.NDArray[np.float64]:
    """Centre of a vertebra in mm along the axes."""
    starts = np.array([axis.start for axis in grid.axes])
    return np.asarray(starts + vertebra.centre * COARSE_SPACING)


def _settled(decoded: Decoded, grid: Grid, native: Grid) -> Decoded:
    """The vertebrae with their ends where the spaces between them say, see :mod:`models.vertebrae.names.ends`."""
    starts = np.array([axis.start for axis in grid.axes])
    places = np.stack([_millimetres(vertebra, grid) for vertebra in decoded.vertebrae])
    settled = (settled_ends(places, *native.z.edges) - starts) / COARSE_SPACING
    moved = tuple(replace(v, centre=c.astype(np.float32)) for v, c in zip(decoded.vertebrae, settled, strict=True))
    return replace(decoded, vertebrae=moved)


def _surroundings(decoded: Decoded, grid: Grid) -> tuple[Box, Grid]:
    """The coarse voxels around the spine: nothing is painted beyond them."""
    centres = np.array([vertebra.centre for vertebra in decoded.vertebrae])
    reach = np.array([120.0, 75.0, 90.0]) / COARSE_SPACING
    low = np.maximum(centres.min(axis=0) - reach, 0).astype(int).tolist()
    high = np.minimum(centres.max(axis=0) + reach + 1, grid.shape).astype(int).tolist()
    axes = [axis.part(a, b) for axis, a, b in zip(grid.axes, low, high, strict=True)]
    return (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])), Grid(axes[0], axes[1], axes[2])


def _beside_the_spine(maps: CoarseMaps, box: Box) -> tuple[tuple[Region, ...], Floats]:
    """Sacrum, ribs near the spine and canal, from the coarse network."""
    kinds = (Region.SACRUM, Region.RIB, Region.CANAL)
    return kinds, np.stack([maps.classes[kind][box] for kind in kinds]).astype(np.float32)


def _judged(decoded: Decoded, belief: Belief) -> tuple[Numbering, list[float]]:
    """How sure the names are as a whole, and for each the probability that it is right."""
    known = [belief(vertebra.name.probability) for vertebra in decoded.vertebrae]
    if decoded.numbering is Numbering.AMBIGUOUS:
        return Numbering.AMBIGUOUS, [min(one, HYPOTHESIS) for one in known]
    return decoded.numbering if max(known) >= DOUBTED_BELOW else Numbering.AMBIGUOUS, known


def _outline_score(vertebra: FoundVertebra) -> float:
    """How much speaks for one whole vertebra of any name, 0…1."""
    whole = min(1.0, max(0.05, vertebra.strength)) ** 0.5
    return float(np.clip(vertebra.certainty * whole, 0.0, 1.0))


def _result(
    volume: hd.Volume,
    oriented: Oriented,
    canvas: Canvas,
    decoded: Decoded,
    grid: Grid,
    remarks: tuple[str, ...],
    belief: Belief,
) -> SpineSegmentation:
    sizes = np.bincount(canvas.labels.ravel(), minlength=len(decoded.vertebrae) + 1)
    renumber = np.zeros(256, np.uint8)
    instances: list[VertebraInstance] = []
    numbering, confidences = _judged(decoded, belief)
    for index, vertebra in enumerate(decoded.vertebrae, start=1):
        if sizes[index] == 0:
            continue
        renumber[index] = len(instances) + 1
        confidence = confidences[index - 1]
        other = vertebra.name.alternative if confidence < DOUBTED_BELOW else vertebra.name.level
        instances.append(
            VertebraInstance(
                number=len(instances) + 1,
                level=vertebra.name.level,
                confidence=confidence,
                complete=not canvas.touches_border(index),
                centroid=oriented.to_patient(_millimetres(vertebra, grid)),
                alternative=None if other is vertebra.name.level else other,
                outline=_outline_score(vertebra),
            )
        )
    if not instances:
        return nothing_found(volume, (*remarks, "No vertebra was large enough to be outlined."))
    return SpineSegmentation(
        labels=oriented.back(canvas.whole(renumber[canvas.labels]), volume),
        regions=oriented.back(canvas.whole(canvas.regions), volume),
        vertebrae=tuple(instances),
        numbering=numbering,
        anchors=decoded.anchors,
        margin=decoded.margin,
        remarks=remarks,
    )
