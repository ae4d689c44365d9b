"""Third step: the chosen slices as one volume in HU, and what is known of the series they come from."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.dataelem import DataElement
from pydicom.errors import BytesLengthException
from pydicom.uid import UID

from operators.reading.case import Case, Job
from operators.reading.errors import PermanentError, Refusal
from operators.reading.reading import Provenance, SeriesVerdict, SourceSeries, SpineReading
from operators.study.select import Selection, kernel_of
from operators.study.spectrum import spectrum_of
from operators.study.stacks import Stack

_AIR = -1024.0
"""Stands for pixels outside the reconstructed circle, whatever the scanner writes there, HU."""
_UNDECODABLE = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What decoders raise on bytes that are no image of this transfer syntax."""


def load_volume(job: Job, selection: Selection, provenance: Provenance) -> Case:
    """Decode the chosen slices.

    Args:
        job: What was asked.
        selection: The slices, in the order of the volume.
        provenance: What will read them.

    Returns:
        The case with volume and source; the slices are kept without their pixels.

    Raises:
        PermanentError: Pixels cannot be decoded, or are no Hounsfield units.
    """
    stack = selection.stack
    multi_frame = "NumberOfFrames" in stack.header
    volume = _load_frames(stack) if multi_frame else _load_slices(stack)
    slices = tuple(instance.header for instance in stack.instances)
    reading = SpineReading(
        series=selection.verdicts,
        source=_describe_source(slices, volume, stack.spacing, selection.verdicts),
        provenance=provenance,
        remarks=selection.remarks,
    )
    return Case(job=job, slices=slices, volume=volume, reading=reading)


def _load_slices(stack: Stack) -> hd.Volume:
    header = stack.header
    array = np.empty((stack.slices, int(header.Rows), int(header.Columns)), dtype=np.float32)

    def load(index: int) -> None:
        array[index] = _hounsfield(stack, index, array.shape[1:])

    # Decoders work without the interpreter's lock; what is not compressed is no work to share.
    threads = len(os.sched_getaffinity(0)) if _is_compressed(stack) else 1
    with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
        # They may quote values; what matters is raised. Filters are those of the process: set once for all threads.
        warnings.simplefilter("ignore")
        for _ in pool.map(load, range(stack.slices)):
            pass
    return hd.Volume.from_attributes(
        array=array,
        image_position=[float(v) for v in header.ImagePositionPatient],
        image_orientation=[float(v) for v in header.ImageOrientationPatient],
        pixel_spacing=[float(v) for v in header.PixelSpacing],
        spacing_between_slices=stack.spacing,
        coordinate_system="PATIENT",
        frame_of_reference_uid=str(header.FrameOfReferenceUID),
    )


def _is_compressed(stack: Stack) -> bool:
    syntax = UID(stack.instances[0].transfer_syntax)
    return syntax.is_transfer_syntax and syntax.is_compressed


def _hounsfield(stack: Stack, index: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """One slice of a stack in HU."""
    try:
        dataset = dcmread(stack.instances[index].path, force=True)
        stored = dataset.pixel_array
        hounsfield = _to_hounsfield(stored, dataset)
    except _UNDECODABLE as error:
        raise PermanentError(
            Refusal.UNREADABLE_PIXELS,
            f"slice {index + 1} of {stack.slices} cannot be decoded ({type(error).__name__}): send the study again",
        ) from error
    if stored.shape != shape:
        raise PermanentError(
            Refusal.UNREADABLE_PIXELS, f"slice {index + 1} of {stack.slices} is not a grey-scale image"
        )
    return hounsfield


def _to_hounsfield(stored: NDArray[np.generic], dataset: Dataset) -> NDArray[np.float32]:
    """Rescale one slice; padding becomes air. Slope and intercept are those of this slice, not of the series."""
    values = stored.astype(np.float32)
    hounsfield = values * np.float32(dataset.RescaleSlope)
    hounsfield += np.float32(dataset.RescaleIntercept)
    padding = dataset.get("PixelPaddingValue")
    if padding not in (None, ""):
        limit = dataset.get("PixelPaddingRangeLimit")
        low, high = sorted((int(padding), int(padding if limit in (None, "") else limit)))
        hounsfield[(values >= low) & (values <= high)] = _AIR
    np.maximum(hounsfield, np.float32(_AIR), out=hounsfield)
    return hounsfield


def _load_frames(stack: Stack) -> hd.Volume:
    """The frames of an enhanced CT; highdicom applies each frame's own rescaling."""
    try:
        dataset = dcmread(stack.instances[0].path)
        volume = hd.Image.from_dataset(dataset, copy=False).get_volume(
            apply_real_world_transform=False, apply_modality_transform=True, dtype=np.float32
        )
    except _UNDECODABLE as error:
        raise PermanentError(
            Refusal.UNREADABLE_PIXELS,
            f"the frames of the enhanced CT cannot be decoded ({type(error).__name__}): send the study again",
        ) from error
    return volume.with_array(np.maximum(volume.array, np.float32(_AIR)))


def _describe_source(
    slices: tuple[Dataset, ...], volume: hd.Volume, spacing: float, verdicts: tuple[SeriesVerdict, ...]
) -> SourceSeries:
    header = slices[0]
    rows, columns = volume.spatial_shape[1:]
    spectrum, mono_energy = spectrum_of(header)
    return SourceSeries(
        study_uid=str(header.StudyInstanceUID),
        series_uid=str(header.SeriesInstanceUID),
        frame_of_reference_uid=volume.frame_of_reference_uid,
        content_digest=_digest(slices, volume, verdicts),
        slices=int(volume.spatial_shape[0]),
        rows=int(rows),
        columns=int(columns),
        pixel_spacing=(float(volume.spacing[1]), float(volume.spacing[2])),
        slice_spacing=spacing,
        slice_thickness=_find_number(header, "SliceThickness"),
        kvp=_find_number(header, "KVP"),
        kernel=kernel_of(header) or _find_text(header, "ConvolutionKernel"),
        contrast_recorded=bool(header.get("ContrastBolusAgent") or header.get("ContrastBolusAgentSequence")),
        manufacturer=_text(header, "Manufacturer"),
        model=_text(header, "ManufacturerModelName"),
        age_years=age_at_study(header),
        sex=header.PatientSex if header.get("PatientSex") in ("M", "F", "O") else None,
        spectrum=spectrum,
        mono_energy=mono_energy,
    )


def age_at_study(header: Dataset) -> float | None:
    """Age in years from birth date and study date, else from Patient's Age, else None; never a default.

    Source: science.md §18.1 (5).
    """
    born, studied = _date(header.get("PatientBirthDate")), _date(header.get("StudyDate"))
    if born and studied and studied >= born:
        return round((studied - born).days / 365.25, 1)
    text = str(header.get("PatientAge") or "")
    days = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}
    if len(text) == 4 and text[:3].isdigit() and text[3] in days:
        return round(int(text[:3]) * days[text[3]] / 365.25, 1)
    return None


def _date(value: object) -> date | None:
    text = str(value or "")
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8])) if len(text) == 8 else None
    except ValueError:
        return None


def _text(header: Dataset, keyword: str) -> str | None:
    value = header.get(keyword)
    return str(value) if value not in (None, "") else None


def _find(header: Dataset, keyword: str) -> object:
    """The value of an attribute, in the header or in the functional groups of an enhanced CT."""
    if keyword in header:
        return header.get(keyword)
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in list(header.get(groups) or [])[:1]:
            for element in group:
                if element.VR == "SQ" and element.value and keyword in element.value[0]:
                    return element.value[0].get(keyword)
    return None


def _find_number(header: Dataset, keyword: str) -> float | None:
    value = _find(header, keyword)
    try:
        return None if value in (None, "") else float(str(value))
    except ValueError:
        return None


def _find_text(header: Dataset, keyword: str) -> str | None:
    value = _find(header, keyword)
    return str(value) if value not in (None, "") else None


def _digest(slices: Iterable[Dataset], volume: hd.Volume, verdicts: tuple[SeriesVerdict, ...]) -> str:
    """SHA-256 over all that a result can depend on: HU, geometry, public attributes, the verdicts.

    Independent of transfer syntax and file layout, so that the same study from another archive gives the
    same UIDs; a corrected patient name gives others.
    """
    digest = hashlib.sha256()
    for header in slices:
        for line in _lines(header):
            digest.update(line.encode("utf-8", "surrogateescape"))
    digest.update(np.round(volume.affine, 4).tobytes())
    digest.update(np.ascontiguousarray(volume.array, dtype=np.float32).data)
    for verdict in verdicts:
        digest.update(verdict.model_dump_json().encode())
    return digest.hexdigest()


def _lines(dataset: Dataset) -> Iterator[str]:
    """The public attributes of a data set as text, in the order of their tags."""
    for element in dataset:
        if element.tag.is_private or element.tag.group <= 0x0002 or element.tag.group == 0x7FE0:
            continue
        yield from _element_lines(element)


def _element_lines(element: DataElement) -> Iterator[str]:
    if element.VR == "SQ":
        for item in element.value or []:
            yield f"{element.tag}["
            yield from _lines(item)
        return
    yield f"{element.tag}={element.value!r};"
