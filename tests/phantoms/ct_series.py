"""Volumes as DICOM series: the CT itself, and what else lies in a study beside it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    SecondaryCaptureImageStorage,
)
from pydicom.valuerep import DSfloat

from tests.phantoms.ct_header import CTHeader, add_frame_of_reference, new_object, stored_values
from tests.phantoms.enhanced import write_enhanced_ct
from tests.phantoms.stack import Plane, SliceStack
from tests.phantoms.truth import Phantom

__all__ = [
    "CTHeader",
    "Plane",
    "SliceStack",
    "write_ct_series",
    "write_enhanced_ct",
    "write_localizer",
    "write_phantom",
    "write_reformat",
    "write_secondary_capture",
]


def write_ct_series(
    source: hd.Volume | SliceStack,
    folder: Path,
    header: CTHeader | None = None,
    *,
    slice_thickness: float | None = None,
) -> list[Path]:
    """Write a CT series, one file per slice.

    Args:
        source: CT numbers in HU; a volume in any orientation is cut into axial slices from head to
            feet without interpolation, a stack is written as it is.
        folder: Made if missing.
        header: Patient, study, series, encoding.
        slice_thickness: mm; the slice spacing when not given. A stack has its own.

    Returns:
        The files, in the order of the slices, whatever their names and instance numbers are.

    Raises:
        ValueError: A CT number does not fit into 16 bits under the header's rescaling.
    """
    header = header or CTHeader()
    stack = source if isinstance(source, SliceStack) else SliceStack.of(source, Plane.AXIAL, slice_thickness)
    folder.mkdir(parents=True, exist_ok=True)
    stored = stored_values(stack.hu, header)
    numbers = np.arange(1, stack.count + 1)
    if header.shuffled:
        numbers = np.random.default_rng(stack.count).permutation(numbers)
    paths = []
    for index in range(stack.count):
        number = int(numbers[index])
        ds = _ct_slice(header, stack, index, number)
        _put_pixels(ds, stored[index], header)
        path = folder / f"IM{number:05d}.dcm"
        save(ds, path, header)
        paths.append(path)
    return paths


def write_phantom(phantom: Phantom, folder: Path, header: CTHeader | None = None) -> list[Path]:
    """Write a phantom's volume with the tube voltage and slice thickness that it was made with."""
    header = replace(header or CTHeader(), kvp=phantom.kvp)
    return write_ct_series(phantom.volume, folder, header, slice_thickness=phantom.slice_thickness)


def _ct_slice(header: CTHeader, stack: SliceStack, index: int, number: int) -> Dataset:
    ds = new_object(header, CTImageStorage, header.instance(index), number)
    add_frame_of_reference(ds, header)
    ds.ImageType = list(header.image_type)
    ds.AcquisitionNumber = 1
    ds.AcquisitionDate, ds.AcquisitionTime = header.study_date, header.study_time
    ds.KVP = header.kvp
    ds.ConvolutionKernel = header.kernel
    ds.SliceThickness = DSfloat(stack.thickness, auto_format=True)
    if stack.gantry_tilt is not None:
        ds.GantryDetectorTilt = DSfloat(stack.gantry_tilt, auto_format=True)
    if header.contrast_agent is not None:
        ds.ContrastBolusAgent = header.contrast_agent
    position = stack.positions[index]
    ds.ImagePositionPatient = [DSfloat(v, auto_format=True) for v in position]
    ds.ImageOrientationPatient = [DSfloat(v, auto_format=True) for v in stack.orientation]
    ds.SliceLocation = DSfloat(float(position @ stack.normal), auto_format=True)
    ds.PixelSpacing = [DSfloat(v, auto_format=True) for v in stack.pixel_spacing]
    ds.RescaleIntercept = DSfloat(header.intercept, auto_format=True)
    ds.RescaleSlope = DSfloat(header.slope, auto_format=True)
    if "LOCALIZER" not in header.image_type:
        ds.RescaleType = "HU"
    ds.WindowCenter, ds.WindowWidth = 300, 1500
    return ds


def _put_pixels(ds: Dataset, pixels: NDArray[np.integer], header: CTHeader) -> None:
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    ds.PixelRepresentation = int(header.signed)
    ds.PixelData = np.ascontiguousarray(pixels).astype(pixels.dtype.newbyteorder("<")).tobytes()


def save(ds: Dataset, path: Path, header: CTHeader) -> None:
    """Write a data set in the header's transfer syntax.

    Raises:
        FileNotFoundError: JPEG lossless was asked for and dcmcjpeg is not installed.
    """
    syntax = header.transfer_syntax
    if syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        ds.file_meta.TransferSyntaxUID = syntax
    elif syntax != JPEGLosslessSV1:
        ds.compress(syntax, generate_instance_uid=False)
    ds.save_as(path, enforce_file_format=True)
    if syntax == JPEGLosslessSV1:
        tool = shutil.which("dcmcjpeg")
        if tool is None:
            msg = "JPEG lossless needs dcmcjpeg of DCMTK (apt install dcmtk)"
            raise FileNotFoundError(msg)
        subprocess.run([tool, "+e1", path, path], check=True, capture_output=True)


def write_reformat(
    volume: hd.Volume, folder: Path, header: CTHeader, plane: Plane = Plane.SAGITTAL, every: int = 4
) -> list[Path]:
    """Write a sagittal or coronal reformat: a series that is derived and must not be read as axial."""
    stack = SliceStack.of(volume, plane)
    stack = replace(stack.taking(np.arange(0, stack.count, every)), thickness=stack.thickness * every)
    return write_ct_series(stack, folder, replace(header, image_type=("DERIVED", "SECONDARY", "MPR")))


def write_localizer(volume: hd.Volume, folder: Path, header: CTHeader) -> list[Path]:
    """Write a frontal localizer: one projection, the mean CT number along the patient's depth."""
    stack = SliceStack.of(volume, Plane.CORONAL)
    middle = stack.positions.mean(axis=0)[None, :]
    projection = replace(stack, hu=stack.hu.mean(axis=0, keepdims=True), positions=middle, thickness=1.0)
    return write_ct_series(projection, folder, replace(header, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")))


def write_secondary_capture(volume: hd.Volume, folder: Path, header: CTHeader) -> list[Path]:
    """Write a screenshot of the middle sagittal slice: 8 bits, no geometry, no CT numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    stack = SliceStack.of(volume, Plane.SAGITTAL)
    window = np.clip((stack.hu[stack.count // 2] + 450) / 1500, 0, 1)
    pixels = (255 * window).astype(np.uint8)
    ds = new_object(header, SecondaryCaptureImageStorage, header.instance("capture"), 1)
    ds.Modality, ds.ConversionType = "CT", "WSD"
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.BurnedInAnnotation = "NO"
    ds.PatientOrientation = ""
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = pixels.tobytes() + b"\0" * (pixels.size % 2)
    path = folder / "SC00001.dcm"
    save(ds, path, replace(header, transfer_syntax=ExplicitVRLittleEndian))
    return [path]
