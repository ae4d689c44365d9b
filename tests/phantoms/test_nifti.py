"""A NIfTI CT becomes a DICOM series with the same CT numbers in the same places."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from tests.phantoms.nifti import nifti_to_ct_series, read_nifti


@pytest.mark.parametrize("codes", ["RAS", "LPI", "PIR", "SAL"])
def test_values_and_places_are_kept(tmp_path: Path, codes: str) -> None:
    rng = np.random.default_rng(5)
    values = rng.integers(-1024, 3000, (6, 7, 8)).astype(np.int16)
    image = nib.Nifti1Image(values, np.array([[1.5, 0, 0, -40], [0, 1.25, 0, 22.5], [0, 0, 2.0, 310], [0, 0, 0, 1]]))
    source = nib.orientations.io_orientation(image.affine)
    turned = image.as_reoriented(nib.orientations.ornt_transform(source, nib.orientations.axcodes2ornt(codes)))
    path = tmp_path / "ct.nii.gz"
    nib.save(turned, path)
    files = nifti_to_ct_series(path, tmp_path / "dicom")
    assert len(files) == 8
    ds = pydicom.dcmread(files[0])
    # Head first: the first file is the last NIfTI slice, at z = 310 + 7 * 2; x and y change sign in LPS.
    assert ds.ImagePositionPatient == pytest.approx([40 - 5 * 1.5, -22.5 - 6 * 1.25, 324.0])
    assert ds.PixelSpacing == pytest.approx([1.25, 1.5])
    stored = np.stack([pydicom.dcmread(f).pixel_array - 1024 for f in files])
    assert np.array_equal(stored, values[::-1, ::-1, ::-1].transpose(2, 1, 0))


def test_a_shear_is_refused(tmp_path: Path) -> None:
    affine = np.array([[1.0, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    path = tmp_path / "sheared.nii"
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3), np.float32), affine), path)
    with pytest.raises(ValueError, match="orthogonal"):
        read_nifti(path)


@pytest.mark.data
def test_a_real_ct_keeps_its_values(tmp_path: Path) -> None:
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    data = Path(os.environ.get("OSTEON_DATA", default))
    found = sorted((data / "ct" / "lumbar_3mm").glob("ct*.nii.gz")) if data.exists() else []
    if not found:
        pytest.skip(f"the shared data are not at {data}; set OSTEON_DATA")
    files = nifti_to_ct_series(found[0], tmp_path)
    image = nib.as_closest_canonical(nib.load(found[0]))
    expected = np.rint(np.asarray(image.dataobj))[::-1, ::-1, ::-1].transpose(2, 1, 0)
    assert len(files) == expected.shape[0]
    middle = len(files) // 2
    assert np.array_equal(pydicom.dcmread(files[middle]).pixel_array - 1024, expected[middle])
