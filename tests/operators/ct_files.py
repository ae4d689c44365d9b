"""Small CT series written slice by slice, with every attribute open to damage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

STUDY = "2.25.1000"
Change = Callable[[Dataset, int], None]


def plain_slice(index: int, series: int = 1, *, spacing: float = 2.5, size: int = 16) -> Dataset:
    """One axial slice whose stored values are 1000 + its index, rescaled by slope 1 and intercept -1024."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = f"2.25.{series}{index + 1:05d}"
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyInstanceUID = STUDY
    dataset.SeriesInstanceUID = f"2.25.{series}"
    dataset.FrameOfReferenceUID = "2.25.77"
    dataset.Modality = "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.PatientID = "P1"
    dataset.PatientName = "SECRET^NAME"
    dataset.StudyDate = "20260102"
    dataset.PatientBirthDate = "19560101"
    dataset.PatientSex = "F"
    dataset.SeriesNumber = series
    # Against the position on purpose: whoever sorts by it gets the volume upside down.
    dataset.InstanceNumber = 1000 - index
    dataset.KVP = 120
    dataset.ConvolutionKernel = "STANDARD"
    dataset.SliceThickness = spacing
    dataset.ImagePositionPatient = [-8.0, -8.0, 100.0 + index * spacing]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [0.8, 0.7]
    dataset.Rows = dataset.Columns = size
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, -1024, "HU"
    set_pixels(dataset, np.full((size, size), 1000 + index, dtype=np.uint16))
    return dataset


def set_pixels(dataset: Dataset, stored: NDArray[np.generic]) -> None:
    dataset.PixelData = stored.tobytes()


def write(folder: Path, slices: list[Dataset]) -> Path:
    """Write data sets under names that tell nothing about their order."""
    folder.mkdir(parents=True, exist_ok=True)
    for dataset in slices:
        name = f"{hash(dataset.SOPInstanceUID) & 0xFFFFFFFF:08x}.dcm"
        dataset.save_as(folder / name, enforce_file_format=True)
    return folder


def series(count: int = 30, number: int = 1, change: Change | None = None, **options: float | int) -> list[Dataset]:
    """``count`` slices, each passed through ``change`` with its index."""
    slices = [plain_slice(index, number, **options) for index in range(count)]  # type: ignore[arg-type]
    for index, dataset in enumerate(slices):
        if change is not None:
            change(dataset, index)
    return slices
