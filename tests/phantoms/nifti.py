"""NIfTI volumes as DICOM series: the way in which public CT data reach the node."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np

from tests.phantoms.ct_header import CTHeader
from tests.phantoms.ct_series import write_ct_series

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_nifti(path: Path, *, labels: bool = False) -> hd.Volume:
    """Read a NIfTI file as a volume.

    Args:
        path: ``.nii`` or ``.nii.gz``, three-dimensional, affine in mm.
        labels: True for a label map: uint8 instead of float32.

    Returns:
        The array with the axes of the file, the affine turned from RAS to LPS.

    Raises:
        ValueError: The file is no image, has a shear or is not three-dimensional, or labels exceed 255.
    """
    image = nib.load(path)
    if not isinstance(image, nib.spatialimages.SpatialImage):
        msg = f"{path.name} is no volume"
        raise ValueError(msg)
    array = np.asanyarray(image.dataobj) if labels else np.asarray(image.dataobj, dtype=np.float32)
    if array.ndim != 3:
        msg = f"{path.name} has {array.ndim} dimensions; a volume has three"
        raise ValueError(msg)
    if labels:
        if array.min() < 0 or array.max() > 255:
            msg = f"{path.name} has labels outside 0 to 255"
            raise ValueError(msg)
        array = array.astype(np.uint8)
    return hd.Volume(array, RAS_TO_LPS @ image.affine, coordinate_system="PATIENT")


def nifti_to_ct_series(
    path: Path, folder: Path, header: CTHeader | None = None, *, slice_thickness: float | None = None
) -> list[Path]:
    """Write a NIfTI CT as an axial DICOM series.

    CT numbers are rounded to whole HU, never resampled; positions and orientation are those of the
    file's affine.

    Args:
        path: CT numbers in HU.
        folder: Made if missing.
        header: Patient, study, series, encoding.
        slice_thickness: mm; the slice spacing when not given.

    Returns:
        The files, from head to feet.
    """
    return write_ct_series(read_nifti(path), folder, header, slice_thickness=slice_thickness)
