"""The CTs that the networks are judged on, read from the data folder, with what is known of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom as hd
import nibabel as nib
import numpy as np
import numpy.typing as npt
import pydicom
from highdicom.image import get_volume_from_series

from models.anatomy import Level
from models.label_ids import CORD_ID, HIGHEST_ID, ID_OF, S1_ID
from models.vertebrae.names.levels import TRAINED
from models.vertebrae.training.atlas import BONE_IDS, NOTHING_ID, REST_ID
from models.vertebrae.training.verse import MAPS
from models.vertebrae.training.verse import PAIRS as VERSE_PAIRS
from models.volume.body_split import cord_curve, split_body, with_canal

Array = npt.NDArray[Any]
Point = tuple[float, float, float]

UNSEEN = "chest_5mm"
"""The DICOM series of a chest (TCIA Lung-PET-CT-Dx, slices of 5 mm, sharp kernel) that no network was ever trained on
and that decided no threshold. Keep it so."""
JUDGED = ("chest_2p5mm", "lumbar_3mm", "s0015", "s0029", "thorax_1p5mm", "l3_crop", UNSEEN, *VERSE_PAIRS)
"""CTs with a truth. Weights may be judged on one only if they have not seen it, for which see :func:`trained_on`."""
NAMED = (
    "verse005", "verse008", UNSEEN, "thorax_1p5mm", "s0015", "s0029", "lumbar_3mm", "chest_2p5mm",
)  # fmt: skip
"""CTs with three named vertebrae or more. Random fields of view are drawn by the place in this list: add to its end."""
VERSE_LEVELS = {
    **{1 + place: level for place, level in enumerate(TRAINED[:24])},
    25: Level.L6,
    28: Level.T13,
}
"""Ids of VerSe's label maps (Sekuboyina et al. 2021; docs/science.md §4.1)."""
UNSEEN_CENTRES: dict[str, tuple[float, float, float]] = {
    "T1": (-9.0, 178.0, -161.0), "T2": (-9.0, 187.0, -180.0), "T3": (-8.0, 196.0, -201.0), "T4": (-11.0, 205.0, -222.0),
    "T5": (-13.0, 212.0, -242.0), "T6": (-18.0, 216.0, -264.0), "T7": (-20.0, 216.0, -288.0),
    "T8": (-19.0, 216.0, -313.0), "T9": (-19.0, 215.0, -339.0), "T10": (-20.0, 214.0, -367.0),
    "T11": (-20.0, 210.0, -395.0),
}  # fmt: skip
"""Centres of its bodies, LPS mm, as network 0.4.0 found them, checked by eye to lie in the bodies: they test names, not
places. The names were counted by eye: T1 is the vertebra that the first rib joins (slices 56 to 58 from below). What
the borders cut, C7 and T12, is left out."""
SPLIT_SPACING = 1.5
"""Voxel edge in mm on which bodies are told from arches."""
SLIVER = 6000.0
"""Volume in mm³ below which a reference mask is a cut-off rest and is not judged."""


@dataclass(frozen=True)
class Reference:
    """One CT with its truth.

    Attributes:
        name: Which CT.
        volume: HU.
        centres: Level to the centre of its body, LPS mm; empty where unknown.
        labels: Level to the mask of the whole vertebra on the volume's grid.
        bodies: Mask of all vertebral bodies, or None.
        bones: Mask of all bones, None where the reference does not know them all.
        organs: Mask of all vessels and organs that are known, None likewise.
    """

    name: str
    volume: hd.Volume
    centres: dict[Level, Point]
    labels: dict[Level, npt.NDArray[np.bool_]]
    bodies: npt.NDArray[np.bool_] | None
    bones: npt.NDArray[np.bool_] | None = None
    organs: npt.NDArray[np.bool_] | None = None


def trained_on(folder: Path) -> tuple[str, ...] | None:
    """The bodies that weights were trained on, None where nothing says so.

    Args:
        folder: Of the weights. A ``data.json`` in it, as :mod:`models.vertebrae.training.pool` leaves it in the
            pool, speaks for them; else the ``trained_on`` of their bundle (``../configs/metadata.json``).
    """
    pool, bundle = folder / "data.json", folder.parent / "configs" / "metadata.json"
    if pool.exists():
        files = [Path(name) for name in json.loads(pool.read_text())]
        # labels/BODY_labels.nii.gz, labels_verse/FILE.nii.gz or ct/BODY/ct.nii.gz; the teacher and the known centres
        # are no bodies.
        bodies = [f for f in files if f.parts[0] in ("labels", "ct", "labels_verse")]
        return tuple(dict.fromkeys(_body_of(file) for file in bodies))
    if bundle.exists():
        known = json.loads(bundle.read_text()).get("trained_on")
        return None if known is None else tuple(known)
    return None


def _body_of(file: Path) -> str:
    """The body that a file of the data folder shows."""
    if file.parts[0] == "labels_verse":
        return {name: body for body, name in MAPS.items()}[file.name.removesuffix(".nii.gz")]
    return file.name.partition("_labels")[0] if file.parts[0] == "labels" else file.parts[1]


def read_volume(path: Path) -> hd.Volume:
    """A NIfTI image as a volume in LPS patient coordinates."""
    image: Any = nib.load(path)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(image.affine, dtype=np.float64)
    data = np.asarray(image.dataobj)
    data = np.round(data).astype(np.int16) if data.dtype.kind == "f" or data.dtype.itemsize > 2 else data
    return hd.Volume(data, affine, coordinate_system="PATIENT")


def _read_labels(path: Path) -> Array:
    image: Any = nib.load(path)
    return np.asarray(image.dataobj)


def level_of(label: int) -> Level | None:
    """The level of an id of TotalSegmentator v2."""
    return TRAINED[50 - label] if 26 <= label <= 50 else None


def _centre(mask: npt.NDArray[np.bool_], volume: hd.Volume) -> Point:
    index = np.argwhere(mask).mean(axis=0)
    point = volume.affine @ np.array([*index, 1.0])
    return float(point[0]), float(point[1]), float(point[2])


def _placed(path: Path, volume: hd.Volume) -> npt.NDArray[np.bool_]:
    """A mask of the same spacing and axes that covers another part of space, on the volume's grid."""
    other = read_volume(path)
    shift = np.round(volume.inverse_affine @ other.affine[:, 3])[:3].astype(int)
    result = np.zeros(volume.spatial_shape, bool)
    index = np.argwhere(other.array > 0) + shift
    inside = np.all((index >= 0) & (index < volume.spatial_shape), axis=1)
    result[tuple(index[inside].T)] = True
    return result


def _bodies(labels: Array, volume: hd.Volume) -> npt.NDArray[np.bool_]:
    """The bodies of a label map that does not tell them from the arches: what lies before the canal."""
    turned = volume.with_array(labels).to_patient_orientation("HPL")
    fine = [round(n * s / SPLIT_SPACING) for n, s in zip(turned.spatial_shape, turned.spacing, strict=True)]
    nearest = [
        np.minimum(((np.arange(count) + 0.5) * SPLIT_SPACING / s).astype(int), n - 1)
        for count, n, s in zip(fine, turned.spatial_shape, turned.spacing, strict=True)
    ]
    grid = np.asarray(turned.array)[np.ix_(*nearest)]
    vertebrae = [np.argwhere(grid == label) for label in range(S1_ID + 1, HIGHEST_ID + 1)]
    grid = with_canal(grid, [voxels for voxels in vertebrae if len(voxels)], SPLIT_SPACING)
    cord = cord_curve(grid, SPLIT_SPACING)
    body = np.zeros(grid.shape, bool)
    for label in range(S1_ID + 1, HIGHEST_ID + 1):
        voxels = np.argwhere(grid == label)
        if len(voxels) >= 200:
            body[tuple(voxels.T)] = split_body(grid, label, cord, SPLIT_SPACING)
    back = [
        np.minimum(((np.arange(n) + 0.5) * s / SPLIT_SPACING).astype(int), count - 1)
        for count, n, s in zip(fine, turned.spatial_shape, turned.spacing, strict=True)
    ]
    on_grid = turned.with_array(body[np.ix_(*back)].astype(np.uint8)).match_orientation(volume)
    return np.asarray(on_grid.array > 0) & (labels > S1_ID) & (labels <= HIGHEST_ID)


def _read_l3_crop(folder: Path) -> Reference:
    """The crop around L3, whose labels follow VerSe: vertebra 22 is L3, its body 49 and 50."""
    volume = read_volume(folder / "sub-ct_label-22_ct.nii.gz")
    whole = _read_labels(folder / "sub-ct_seg-vert_label-22_msk.nii.gz") == 22
    parts = _read_labels(folder / "sub-ct_seg-subreg_label-22_msk.nii.gz")
    body = np.isin(parts, (49, 50))
    return Reference(folder.name, volume, {Level.L3: _centre(whole & body, volume)}, {Level.L3: whole}, body)


def _read_verse(folder: Path) -> Reference:
    """A CT of VerSe, whose label map was made by people and tells no body from its arch."""
    volume = read_volume(folder / "ct.nii.gz")
    found = read_volume(folder / "vertebrae_verse_ids.nii.gz").match_orientation(volume)
    levels = {int(i): VERSE_LEVELS[int(i)] for i in np.unique(found.array) if int(i) in VERSE_LEVELS}
    labels = {level: np.asarray(found.array == i) for i, level in levels.items()}
    ids = np.zeros(found.spatial_shape, np.uint8)
    for level, mask in labels.items():
        ids[mask] = ID_OF[level]
    bodies = _bodies(ids, volume)
    large = {level: mask for level, mask in labels.items() if np.count_nonzero(mask) * volume.voxel_volume > SLIVER}
    centres = {level: _centre(mask & bodies, volume) for level, mask in large.items() if np.any(mask & bodies)}
    return Reference(folder.name, volume, centres, labels, bodies)


def _read_unseen(folder: Path) -> Reference:
    """The chest of which the names are known and nothing else."""
    slices = [pydicom.dcmread(file) for file in sorted(folder.glob("*.dcm"))]
    volume = get_volume_from_series(slices, dtype=np.int16)
    return Reference(folder.name, volume, {Level(name): centre for name, centre in UNSEEN_CENTRES.items()}, {}, None)


_OTHERWISE = {
    "l3_crop": ("ct", _read_l3_crop),
    "verse005": ("ct", _read_verse),
    "verse008": ("ct", _read_verse),
    UNSEEN: ("dicom", _read_unseen),
}


def read_reference(data: Path, name: str) -> Reference:
    """Read one CT and its truth.

    Args:
        data: The data folder.
        name: Folder under ``ct``, or ``UNSEEN``.
    """
    if name in _OTHERWISE:
        kind, read = _OTHERWISE[name]
        return read(data / kind / name)
    folder = data / "ct" / name
    volume = read_volume(folder / "ct.nii.gz")
    known = json.loads((data / "truth_centroids.json").read_text()).get(name, {})
    # The file's points are RAS.
    centres = {Level(level): (-p[0], -p[1], p[2]) for level, p in known.items()}
    labels: dict[Level, npt.NDArray[np.bool_]] = {}
    bodies = bones = organs = None
    for file in ("vertebrae.nii.gz", "labels.nii.gz"):
        if not (folder / file).exists():
            continue
        found = _read_labels(folder / file)
        for value in np.unique(found).tolist():
            level = level_of(int(value))
            if level is not None:
                labels[level] = found == value
        if CORD_ID in found:
            bodies, bones = _bodies(found, volume), np.isin(found, BONE_IDS)
            organs = ~bones & (found != NOTHING_ID) & (found != REST_ID)
    if (folder / "vertebrae_T12.nii.gz").exists():
        labels[Level.T12] = _placed(folder / "vertebrae_T12.nii.gz", volume)
    if (folder / "bodies.nii.gz").exists():
        bodies = _read_labels(folder / "bodies.nii.gz") == 1
    if labels and not centres:
        for level, mask in labels.items():
            part = mask & bodies if bodies is not None and np.any(mask & bodies) else mask
            if np.count_nonzero(mask) * volume.voxel_volume > SLIVER:
                centres[level] = _centre(part, volume)
    return Reference(name, volume, centres, labels, bodies, bones, organs)
