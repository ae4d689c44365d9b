"""Small CT slices for tests of the way of a study, where the pixels do not matter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

PATIENT_NAME = "Zyxwvut^Quentin"
PATIENT_ID = "PID-7719-SECRET"
ROOT_UID = "1.2.826.0.1.3680043.8.498.77"


def ct_slice(number: int, study: str = f"{ROOT_UID}.1", series: str | None = None, size: int = 32) -> Dataset:
    """Slice ``number`` of an axial series, 2 mm apart, with a texture of its own."""
    found = Dataset()
    found.SpecificCharacterSet = "ISO_IR 100"
    found.SOPClassUID = CTImageStorage
    found.SOPInstanceUID = f"{study}.9.{number}"
    found.StudyInstanceUID = study
    found.SeriesInstanceUID = series or f"{study}.8"
    found.FrameOfReferenceUID = f"{study}.7"
    found.PatientName = PATIENT_NAME
    found.PatientID = PATIENT_ID
    found.PatientBirthDate = "19470203"
    found.Manufacturer = "Scanner Works"
    found.Modality = "CT"
    found.InstanceNumber = number
    found.ImagePositionPatient = [0, 0, 2.0 * number]
    found.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    found.PixelSpacing = [1, 1]
    found.SliceThickness = 2
    found.RescaleSlope, found.RescaleIntercept = 1, -1024
    found.Rows = found.Columns = size
    found.SamplesPerPixel = 1
    found.PhotometricInterpretation = "MONOCHROME2"
    found.BitsAllocated, found.BitsStored, found.HighBit, found.PixelRepresentation = 16, 12, 11, 0
    pixels = np.random.default_rng(number).integers(0, 4096, (size, size), dtype=np.uint16)
    found.PixelData = pixels.tobytes()
    found["PixelData"].VR = "OW"
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.file_meta.MediaStorageSOPClassUID = CTImageStorage
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID
    return found


def write_series(folder: Path, count: int, study: str = f"{ROOT_UID}.1") -> list[Path]:
    """A series as files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number in range(1, count + 1):
        path = folder / f"{number:03}.dcm"
        ct_slice(number, study).save_as(path, enforce_file_format=True)
        files.append(path)
    return files
