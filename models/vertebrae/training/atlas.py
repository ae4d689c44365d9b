"""Label maps made ready for synthesis: one canonical grid, and the distances that tissues need."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.anatomy import Region
from models.vertebrae.training.rib_heads import BONE_HU, rib_heads
from models.vertebrae.training.surroundings import with_surroundings
from models.vertebrae.training.targets import UNKNOWN, make_targets
from models.vertebrae.training.verse import MAPS, PAIR_MASK, from_verse_ids, unknown_bone, with_cord

Array = npt.NDArray[Any]

SPACING = 1.5
"""Voxel edge of every atlas in mm."""
BONE_IDS = (*range(25, 51), *range(69, 79), *range(91, 117))
VESSEL_IDS = (52, 63, 65, 66, 67, 68)
MUSCLE_IDS = range(80, 90)
LUNG_IDS = range(10, 15)
REST_ID = 120
"""Everything inside the body that has no label of its own."""
REST_OF_CHEST_ID = 118
NOTHING_ID = 0


@dataclass(frozen=True)
class Atlas:
    """One body on a 1.5 mm grid with axes towards the head, the back and the left.

    All maps have the same shape ``(z, y, x)``; distances are in half millimetres, clipped at 255.

    Attributes:
        name: Which body.
        labels: uint8, ids of TotalSegmentator v2; 120 = rest of the body, 0 = outside.
        regions: uint8, see :class:`models.vertebrae.training.targets.SpineTargets`.
        levels: uint8, the same.
        phase: uint8, the same.
        offset: int8, the same.
        bone_depth: Distance from a bone voxel to the surface of its bone, uint8.
        skin_depth: Distance to the outside of the body, uint8.
        bone_gap: Distance to the nearest bone or muscle, uint8.
        vessel_gap: Distance to the nearest great vessel, uint8.
        hu: Real HU, int16, or None for a body without CT.
        levels_present: Levels in the map, head first.
    """

    name: str
    labels: Array
    regions: Array
    levels: Array
    phase: Array
    offset: Array
    bone_depth: Array
    skin_depth: Array
    bone_gap: Array
    vessel_gap: Array
    hu: Array | None
    levels_present: Array

    def save(self, path: Path) -> None:
        """Write to an uncompressed ``.npz`` beside which nothing half-written is left."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        part = path.with_suffix(".part.npz")
        np.savez(part, **arrays)
        part.rename(path)

    @staticmethod
    def load(path: Path) -> Atlas:
        """Read what :meth:`save` wrote."""
        with np.load(path) as data:
            arrays = {key: data[key] for key in data.files}
        arrays["name"] = str(arrays["name"])
        arrays.setdefault("hu", None)
        return Atlas(**arrays)


def canonical(path: Path, order: int, spacing: float = SPACING) -> Array:
    """Read a NIfTI image onto a grid with axes head, back, left and the given voxel edge.

    Args:
        path: The image; its affine is RAS in mm.
        order: 0 for labels, 1 for HU.
        spacing: Voxel edge in mm.

    Returns:
        Array ``(z, y, x)``; only the axes' directions are kept, not the origin.
    """
    loaded: Any = nib.load(path)
    image: Any = nib.as_closest_canonical(loaded)  # type: ignore[no-untyped-call]
    data = np.asarray(image.dataobj)
    data = data.astype(np.uint8 if order == 0 else np.float32)
    zooms = np.array(image.header.get_zooms()[:3], dtype=float)
    data = np.ascontiguousarray(data[::-1, ::-1, :].transpose(2, 1, 0))
    factors = zooms[::-1] / spacing
    if np.allclose(factors, 1.0, atol=1e-3):
        return data
    return np.asarray(ndimage.zoom(data, factors, order=order, grid_mode=True, mode="nearest"))


def file_digest(path: Path) -> str:
    """SHA-256 of a file in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def build_atlas(
    name: str,
    labels: Array,
    hu: Array | None = None,
    complete_ribs: bool = True,
    unknown: npt.NDArray[np.bool_] | None = None,
) -> Atlas:
    """Derive everything that synthesis needs from a canonical label map at 1.5 mm.

    Args:
        name: Which body.
        labels: uint8 label map ``(z, y, x)``; changed nowhere.
        hu: Real HU on the same grid, if there is a CT.
        complete_ribs: Whether ribs lack their inner ends, see :mod:`models.vertebrae.training.rib_heads`.
        unknown: Voxels that the map does not know; what geometry derives there (discs, canal) stays known.

    Raises:
        models.vertebrae.training.targets.NoSpineError: Fewer than two vertebrae.
    """
    labels = labels.copy()
    inside = _body(labels, hu)
    labels[inside & ((labels == NOTHING_ID) | (labels == REST_OF_CHEST_ID))] = REST_ID
    labels[~inside & (labels == REST_OF_CHEST_ID)] = NOTHING_ID
    targets = make_targets(labels, SPACING)
    if complete_ribs:
        _complete_ribs(labels, targets.regions, hu)
    if unknown is not None:
        targets.regions[unknown & (targets.regions == Region.BACKGROUND)] = UNKNOWN
    bone_or_muscle = np.isin(labels, (*BONE_IDS, *MUSCLE_IDS))
    return Atlas(
        name=name,
        labels=labels,
        regions=targets.regions,
        levels=targets.levels,
        phase=targets.phase,
        offset=targets.offset,
        bone_depth=_bone_depth(labels),
        skin_depth=_halves(ndimage.distance_transform_edt(inside) * SPACING),
        bone_gap=_halves(ndimage.distance_transform_edt(~bone_or_muscle) * SPACING),
        vessel_gap=_halves(ndimage.distance_transform_edt(~np.isin(labels, VESSEL_IDS)) * SPACING),
        hu=None if hu is None else np.clip(np.round(hu), -1024, 3071).astype(np.int16),
        levels_present=np.array(sorted(targets.centres), dtype=np.int64),
    )


def _complete_ribs(labels: Array, regions: Array, hu: Array | None) -> None:
    """Give the ribs their inner ends, in both maps."""
    free = np.isin(labels, (NOTHING_ID, REST_ID, *MUSCLE_IDS)) & ~np.isin(regions, (Region.DISC, Region.CANAL))
    if hu is not None:
        free &= hu > BONE_HU
    added = rib_heads(labels, regions, free, SPACING)
    labels[added > 0] = added[added > 0]
    regions[added > 0] = Region.RIB


def _halves(distance: Array) -> Array:
    return np.minimum(np.round(distance * 2.0), 255).astype(np.uint8)


def _bone_depth(labels: Array) -> Array:
    """Depth under the surface of the own bone: neighbours that touch have a cortex between them."""
    depth = np.zeros(labels.shape, np.uint8)
    boxes = ndimage.find_objects(labels)
    for bone in BONE_IDS:
        box = boxes[bone - 1] if bone <= len(boxes) else None
        if box is None:
            continue
        mask = np.isin(labels[box], (25, 26)) if bone in (25, 26) else labels[box] == bone
        inner = _halves(ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1, 1:-1] * SPACING)
        depth[box] = np.where(labels[box] == bone, inner, depth[box])
    return depth


def _body(labels: Array, hu: Array | None) -> npt.NDArray[np.bool_]:
    """The inside of the body, from the CT, from its own label, or as a hull around all structures."""
    if hu is not None:
        tissue = ndimage.binary_opening(hu > -300, iterations=2) | (labels > 0) & (labels != REST_OF_CHEST_ID)
        parts, _ = ndimage.label(tissue)
        tissue = parts == np.argmax(np.bincount(parts.ravel())[1:]) + 1
    elif np.count_nonzero(labels == REST_ID) > 1000:
        tissue = labels > 0
    else:
        # The hull at a quarter of the resolution: 15 mm of flesh around everything that has a name.
        coarse = ndimage.maximum_filter(labels, 3)[::4, ::4, ::4] > 0
        reach = ndimage.distance_transform_edt(~np.pad(coarse, 16)) < 14
        closed = ndimage.distance_transform_edt(reach) > 14 - 15.0 / (4 * SPACING)
        closed = closed[16:-16, 16:-16, 16:-16]
        tissue = closed.repeat(4, 0).repeat(4, 1).repeat(4, 2)[tuple(slice(0, n) for n in labels.shape)]
        tissue |= labels > 0
    filled = np.zeros(labels.shape, bool)
    for index in range(labels.shape[0]):
        filled[index] = ndimage.binary_fill_holes(tissue[index])
    return filled


Pair = tuple[Array, Array]
"""Label map and HU on the grid of an atlas."""


def prepare_atlases(
    data: Path,
    cache: Path,
    label_maps: Sequence[str],
    pairs: Sequence[str],
    taught: Mapping[str, Callable[[], Pair]] = MappingProxyType({}),
    verse_maps: Sequence[str] = (),
    verse_pairs: Sequence[str] = (),
) -> list[Path]:
    """Build each atlas once and keep it in a cache folder.

    Args:
        data: The data folder, with ``labels/NAME_labels.nii.gz`` and ``ct/NAME/{ct,labels}.nii.gz``.
        cache: Where the atlases lie; made if missing.
        label_maps: Names of bodies without CT.
        pairs: Names of bodies with CT and labels.
        taught: Names of bodies with CT, and what makes their labels, see :mod:`models.vertebrae.training.teacher`.
        verse_maps: Names of bodies of :data:`models.vertebrae.training.verse.MAPS`.
        verse_pairs: Names of bodies of :data:`models.vertebrae.training.verse.PAIRS`.

    Returns:
        The files, in the order given.
    """
    cache.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in (*label_maps, *pairs, *taught, *verse_maps, *verse_pairs):
        path = cache / f"{name}.npz"
        if not path.exists():
            if name in verse_maps or name in verse_pairs:
                verse_atlas(data, name).save(path)
                paths.append(path)
                continue
            if name in taught:
                labels, hu = taught[name]()
            elif name in pairs:
                labels = canonical(data / "ct" / name / "labels.nii.gz", 0)
                hu = canonical(data / "ct" / name / "ct.nii.gz", 1)
            else:
                labels, hu = canonical(data / "labels" / f"{name}_labels.nii.gz", 0), None
            build_atlas(name, labels, hu, complete_ribs=name not in taught).save(path)
        paths.append(path)
    return paths


def verse_atlas(data: Path, name: str) -> Atlas:
    """The atlas of a body of VerSe, see :mod:`models.vertebrae.training.verse`.

    Args:
        data: The data folder.
        name: Body with or without CT.
    """
    if name in MAPS:
        vertebrae = from_verse_ids(canonical(data / "labels_verse" / f"{MAPS[name]}.nii.gz", 0))
        # What is painted depends on the body alone, so that an atlas can be built again.
        rng = np.random.default_rng(list(name.encode()))
        return build_atlas(name, with_surroundings(with_cord(vertebrae, SPACING), SPACING, rng))
    folder = data / "ct" / name
    labels = with_cord(from_verse_ids(canonical(folder / f"{PAIR_MASK}.nii.gz", 0)), SPACING)
    hu = canonical(folder / "ct.nii.gz", 1)
    return build_atlas(name, labels, hu, complete_ribs=False, unknown=unknown_bone(labels, hu, SPACING))
