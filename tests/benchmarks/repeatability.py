"""Heights and CT numbers of one real vertebra, scanned again in other ways.

    python -m tests.benchmarks.repeatability

The CT is the L3 crop of the shared data (1.5 mm, TPTBox's reference sub-regions). It is rotated, shifted by
half a voxel, made noisier and resampled, image and masks alike, and measured every time. Expected: heights
within 0.5 mm and CT numbers within 3 HU of the original's.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from models.anatomy import Level, Region
from models.engine import Numbering, SpineSegmentation, VertebraInstance
from operators.case import Case
from operators.detect_fractures import detect_fractures
from operators.measure_bone_density import measure_bone_density
from operators.reading import Density, Heights, Measured
from tests.operators.measured_case import case_of

DATA = Path(os.environ.get("OSTEON_DATA", Path(__file__).parents[3] / "shared" / "data"))
L3, CORPUS = 22, (49, 50)
"""VerSe's number of L3, and TPTBox's of the corpus' border and inside."""


@dataclass(frozen=True)
class Rescan:
    """Another way of scanning: voxel spacing (slices, rows, columns), rotation in degrees, shift, noise in HU."""

    name: str
    spacing: tuple[float, float, float] = (1.5, 1.5, 1.5)
    rotation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    noise: float = 0.0


RESCANS = (
    Rescan("rotated 10° about x", rotation=(10, 0, 0)),
    Rescan("rotated 10° about y", rotation=(0, 10, 0)),
    Rescan("rotated 10° about z", rotation=(0, 0, 10)),
    Rescan("half a voxel further", shift=(0.75, 0.75, 0.75)),
    Rescan("20 HU of noise", noise=20.0),
    Rescan("1 mm", spacing=(1.0, 1.0, 1.0)),
    Rescan("slices of 2 mm", spacing=(2.0, 1.5, 1.5)),
    Rescan("slices of 3 mm", spacing=(3.0, 1.5, 1.5)),
)


def original() -> Case:
    """The crop with its reference masks, as an axial case."""
    folder = DATA / "ct" / "l3_crop"
    ct, vertebrae, parts = (
        _load(folder / f"sub-ct_{name}.nii.gz")
        for name in ("label-22_ct", "seg-vert_label-22_msk", "seg-subreg_label-22_msk")
    )
    own = vertebrae.array == L3
    body = own & np.isin(parts.array, CORPUS)
    regions = np.where(body, Region.BODY, np.where(own, Region.POSTERIOR_ELEMENTS, 0)).astype(np.uint8)
    x, y, z = ct.map_indices_to_reference(np.argwhere(body)).mean(axis=0)
    segmentation = SpineSegmentation(
        labels=ct.with_array(own.astype(np.uint8)),
        regions=ct.with_array(regions),
        vertebrae=(VertebraInstance(1, Level.L3, 1.0, True, (float(x), float(y), float(z))),),
        numbering=Numbering.RELATIVE,
    )
    return case_of(ct, segmentation)


def rescanned(case: Case, how: Rescan) -> Case:
    """The case on another grid: the image averaged over the new voxels, the masks by nearest neighbour."""
    old, size = case.volume.affine, np.array(case.volume.spatial_shape)
    edges = np.linalg.norm(old[:3, :3], axis=0)
    turn = Rotation.from_rotvec(np.radians(how.rotation)).as_matrix()
    shape = np.maximum(2, np.round(size * edges / how.spacing)).astype(int)
    new = np.eye(4)
    new[:3, :3] = turn @ (old[:3, :3] / edges) * np.array(how.spacing)
    centre = old[:3, :3] @ ((size - 1) / 2) + old[:3, 3] + how.shift
    new[:3, 3] = centre - new[:3, :3] @ ((shape - 1) / 2)
    back = np.linalg.inv(old) @ new

    def resampled(array: np.ndarray, order: int, places: Sequence[np.ndarray]) -> hd.Volume:
        source = array.astype(np.float32)
        parts = [
            ndimage.affine_transform(
                source, back[:3, :3], back[:3, :3] @ place + back[:3, 3], tuple(shape), order=order, mode="nearest"
            )
            for place in places
        ]
        return hd.Volume(np.mean(parts, axis=0), new, coordinate_system="PATIENT")

    within = [np.array([a, b, c]) for a in (-0.25, 0.25) for b in (-0.25, 0.25) for c in (-0.25, 0.25)]
    image = resampled(case.volume.array, 3, within)
    grain = np.random.default_rng(0).normal(0.0, how.noise, image.shape) if how.noise else 0.0
    assert case.segmentation is not None
    labels = resampled(case.segmentation.labels.array, 0, [np.zeros(3)])
    regions = resampled(case.segmentation.regions.array, 0, [np.zeros(3)])
    segmentation = replace(case.segmentation, labels=labels.astype(np.uint8), regions=regions.astype(np.uint8))
    return case_of(image.with_array((image.array + grain).astype(np.float32)), segmentation)


def measured(case: Case) -> np.ndarray:
    """Ha, Hm, Hp in mm and the mean HU; NaN where withheld."""
    (vertebra,) = measure_bone_density(detect_fractures(case)).reading.vertebrae
    heights, density = vertebra.heights, vertebra.density
    three = (heights.anterior, heights.middle, heights.posterior) if isinstance(heights, Heights) else (None,) * 3
    mean = density.mean if isinstance(density, Density) else None
    return np.array([q.value if isinstance(q, Measured) else np.nan for q in (*three, mean)])


def _load(path: Path) -> hd.Volume:
    image = nib.Nifti1Image.from_filename(path)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    array = np.asanyarray(image.dataobj)
    return hd.Volume(array, affine, coordinate_system="PATIENT").to_patient_orientation(("H", "P", "L"))


def main() -> None:
    """Print one line per rescan: the values and how far they are from the original's."""
    case = original()
    first = measured(case)
    print(f"{'':24}{'Ha':>8}{'Hm':>8}{'Hp':>8}{'HU':>8}   largest difference of a height, of HU")
    for how in (None, *RESCANS):
        values = first if how is None else measured(rescanned(case, how))
        apart = np.abs(values - first)
        name = "original" if how is None else how.name
        print(
            f"{name:24}" + "".join(f"{value:8.2f}" for value in values), f"  {apart[:3].max():.2f} mm {apart[3]:.1f} HU"
        )


if __name__ == "__main__":
    main()
