"""Label maps for CTs that have none: the outlines of networks that are trained already, under names that are known.

Label maps without CT teach shapes, and CTs without labels teach what scanners and people look like. A network trained
on the former outlines the vertebrae of the latter; which vertebra is which comes from centres that were placed by eye
(or from a reference), never from the network. What comes out takes part in the training as any label map with its CT.
"""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.anatomy import Level, Region
from models.compute import Compute
from models.engine import SpineSegmentation
from models.label_ids import CORD_ID, HIGHEST_ID, RIB_IDS, SACRUM_ID
from models.vertebrae.belief import Belief
from models.vertebrae.engine import VertebraNetwork, coarse_input
from models.vertebrae.evaluation.references import Point, read_reference
from models.vertebrae.inference import run_coarse
from models.vertebrae.names.levels import TRAINED
from models.vertebrae.training.atlas import NOTHING_ID, SPACING, Array
from models.vertebrae.weights import COARSE_FILE, load_coarse
from models.volume.grid import Axis, Grid, resample, resample_small
from models.volume.orientation import Oriented

NEAR = 15.0
"""Distance in mm within which an instance belongs to a known centre."""
RIB_HU = 100.0
"""HU from which a voxel that the coarse network takes for rib, 3 mm wide, is bone."""
CORD_MARGIN = 2
"""Voxels of 1.5 mm by which the canal is wider than the cord, as :func:`models.vertebrae.training.targets.make_targets`
has it."""


class TeachingError(ValueError):
    """The teacher's vertebrae cannot be told by the known centres."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} cannot be taught: {reason}; use a teacher that finds its vertebrae, or leave it out")


def true_names(name: str, result: SpineSegmentation, centres: dict[Level, Point]) -> list[Level]:
    """The name of every instance: its place in the row, counted from those that lie at known centres.

    Args:
        name: Which CT, for messages.
        result: The teacher's answer; its names are not used.
        centres: Known centres, LPS mm.

    Raises:
        TeachingError: A known vertebra was not found, or those found do not follow each other as the known ones do.
    """
    places = np.array([vertebra.centroid for vertebra in result.vertebrae]).reshape(-1, 3)
    shifts = set()
    for level, centre in centres.items():
        distances = np.linalg.norm(places - np.array(centre), axis=1) if len(places) else np.array([np.inf])
        if distances.min() > NEAR:
            raise TeachingError(name, f"no vertebra was found near {level}")
        shifts.add(TRAINED.index(level) - int(distances.argmin()))
    if len(shifts) != 1:
        raise TeachingError(name, "a vertebra was missed, or found twice")
    shift = shifts.pop()
    if shift < 0 or shift + len(places) > len(TRAINED):
        raise TeachingError(name, "more vertebrae were found than a spine has")
    return list(TRAINED[shift : shift + len(places)])


def taught(data: Path, name: str, weights: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Label map and HU of a CT, on the grid of an atlas.

    Args:
        data: The data folder.
        name: Folder under ``ct``.
        weights: Folder of the teacher's weights.

    Returns:
        Labels (ids of TotalSegmentator v2: vertebrae, sacrum, cord, and every rib as the first one) and HU, both
        ``(z, y, x)`` towards head, back and left at ``SPACING``.

    Raises:
        TeachingError: See :func:`true_names`.
    """
    reference = read_reference(data, name)
    volume = _at_atlas_spacing(reference.volume)
    engine = VertebraNetwork(folder=weights, belief=Belief())
    result = engine.segment(volume)
    names = true_names(name, result, reference.centres)
    labels = np.full(volume.spatial_shape, NOTHING_ID, np.uint8)
    regions = np.asarray(result.regions.array)
    hu = np.asarray(volume.array, np.float32)
    labels[_ribs(volume, weights) & (hu > RIB_HU)] = RIB_IDS[0]
    if Level.S1 in names:
        labels[regions == Region.SACRUM] = SACRUM_ID
    canal = regions == Region.CANAL
    labels[ndimage.binary_erosion(canal, iterations=CORD_MARGIN, border_value=1) & canal] = CORD_ID
    for vertebra, level in zip(result.vertebrae, names, strict=True):
        own = np.asarray(result.labels.array) == vertebra.number
        labels[own] = HIGHEST_ID - TRAINED.index(level)
    return labels, hu


def _ribs(volume: hd.Volume, weights: Path) -> npt.NDArray[np.bool_]:
    """All ribs as the coarse network sees them: the engine itself paints those near the spine only."""
    oriented = Oriented.of(volume)
    prepared = coarse_input(oriented, [])
    if prepared is None:
        return np.zeros(volume.spatial_shape, bool)
    hu, grid = prepared
    compute = Compute.here()
    maps = run_coarse(load_coarse(weights / COARSE_FILE.name).to(compute.device), hu, compute)
    share = resample_small(maps.classes[Region.RIB][None].astype(np.float32), grid, oriented.grid)[0]
    # The volume's axes run as the oriented ones do already.
    return np.asarray(share > 0.5)


def _at_atlas_spacing(volume: hd.Volume) -> hd.Volume:
    """The volume with axes towards head, back and left, at ``SPACING``."""
    turned = volume.to_patient_orientation("HPL")
    axes = [Axis(0.0, float(s), n) for s, n in zip(turned.spacing, turned.spatial_shape, strict=True)]
    wanted = [axis.covered(SPACING, 1, 1) for axis in axes]
    array: Array = np.asarray(turned.array, np.float32)
    if not np.allclose(turned.spacing, SPACING, atol=1e-3):
        array = resample(array, Grid(axes[0], axes[1], axes[2]), Grid(wanted[0], wanted[1], wanted[2]))
    affine = turned.affine.copy()
    for index, (old, new) in enumerate(zip(axes, wanted, strict=True)):
        affine[:3, 3] += turned.affine[:3, index] / old.spacing * (new.start - old.start)
        affine[:3, index] *= new.spacing / old.spacing
    return hd.Volume(np.round(array).astype(np.int16), affine, coordinate_system="PATIENT")
