"""Third step: the chosen slices as one volume in HU, with a description of their series."""

from __future__ import annotations

import hashlib
import math
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataelem import DataElement
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.uid import UID
from pydicom.valuerep import DSfloat

from operators.reading.case import Case
from operators.reading.errors import PermanentError, Refusal
from operators.reading.job import Job
from operators.reading.provenance import Provenance
from operators.reading.reading import SpineReading
from operators.reading.source import SeriesVerdict, SourceSeries
from operators.study.acquisitions import has_contrast, kernel_of
from operators.study.age import age_of
from operators.study.problem import named
from operators.study.receive import Instance, read_dataset
from operators.study.select import Selection, select_series
from operators.study.spectrum import spectrum_of
from operators.study.stacks import Stack

_AIR = -1024.0
"""HU given to pixels outside the reconstructed circle, whatever the scanner writes there."""
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
"""Exceptions of decoders on bytes that are no image of their transfer syntax."""


def load_volume(job: Job, selection: Selection, provenance: Provenance) -> Case:
    """Decode the chosen slices into a volume in HU.

    Args:
        job: What was asked.
        selection: The slices, in the order of the volume.
        provenance: What will read them.

    Returns:
        The case with volume and source; the slices are kept without their pixels.

    Raises:
        PermanentError: Too few of the slices can be decoded, or they are no Hounsfield units.
    """
    while True:
        stack = selection.stack
        broken: list[Instance] = []
        volume = _load_frames(stack) if "NumberOfFrames" in stack.header else _load_slices(stack, broken)
        if not broken:
            break
        selection = _without(broken, selection)
    slices = tuple(_on_grid(instance.header, stack) for instance in stack.instances)
    reading = SpineReading(
        series=selection.verdicts,
        source=_describe_source(slices, volume, stack.spacing, selection.verdicts),
        provenance=provenance,
        remarks=(*selection.remarks, *_missing_identity(slices[0])),
    )
    return Case(job=job, slices=slices, volume=volume, reading=reading)


def _on_grid(header: Dataset, stack: Stack) -> Dataset:
    """The header with the orientation and pixel spacing of the whole stack, about which those of its slices jitter."""
    if "NumberOfFrames" in header:
        return header
    own = np.array([*header.ImageOrientationPatient, *header.PixelSpacing], dtype=np.float64)
    shared = np.array([*stack.orientation, *stack.header.PixelSpacing], dtype=np.float64)
    if np.array_equal(own, shared):
        return header
    changed = Dataset(header)
    changed.file_meta = header.file_meta
    changed.ImageOrientationPatient = [DSfloat(value, auto_format=True) for value in stack.orientation]
    changed.PixelSpacing = stack.header.PixelSpacing
    return changed


def _missing_identity(header: Dataset) -> tuple[str, ...]:
    if header.get("PatientID"):
        return ()
    return ("The study has no patient ID: no HL7 message is made of its reading.",)


def _without(broken: Sequence[Instance], selection: Selection) -> Selection:
    """What is chosen when it is known that some slices cannot be decoded."""
    try:
        return select_series(selection.study.without_pixels_of(broken))
    except PermanentError as error:
        which = named(instance.header for instance in broken)
        raise PermanentError(
            Refusal.UNREADABLE_PIXELS,
            f"{len(broken)} of {selection.stack.slices} slices {which} cannot be decoded, and without them "
            f"{error.sentence}: send the study again",
        ) from error


def _load_slices(stack: Stack, broken: list[Instance]) -> hd.Volume:
    """The slices as a volume; those that cannot be decoded are added to ``broken``, and their planes are void."""
    header = stack.header
    array = np.empty((stack.slices, int(header.Rows), int(header.Columns)), dtype=np.float32)

    def load(index: int) -> bool:
        """Decode one slice into its plane; False where that cannot be done."""
        try:
            dataset = read_dataset(stack.instances[index].path)
            array[index] = _to_hounsfield(dataset.pixel_array, dataset)
        except _UNDECODABLE:
            return False
        return True

    # Decoders work without the interpreter's lock; what is not compressed is no work to share.
    threads = len(os.sched_getaffinity(0)) if _is_compressed(stack) else 1
    with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
        # They may quote values; what matters is raised. Filters are those of the process: set once for all threads.
        warnings.simplefilter("ignore")
        decoded = pool.map(load, range(stack.slices))
        broken += [instance for instance, good in zip(stack.instances, decoded, strict=True) if not good]
    return hd.Volume.from_attributes(
        array=array,
        image_position=stack.origin,
        image_orientation=stack.orientation,
        pixel_spacing=[float(v) for v in header.PixelSpacing],
        spacing_between_slices=stack.spacing,
        coordinate_system="PATIENT",
        frame_of_reference_uid=str(header.FrameOfReferenceUID),
    )


def _is_compressed(stack: Stack) -> bool:
    syntax = UID(stack.instances[0].transfer_syntax)
    return syntax.is_transfer_syntax and syntax.is_compressed


def _to_hounsfield(stored: NDArray[np.generic], dataset: Dataset) -> NDArray[np.float32]:
    """Rescale one slice by its own slope and intercept, not those of the series; padding becomes air."""
    values = stored.astype(np.float32)
    hounsfield = values * np.float32(dataset.RescaleSlope)
    hounsfield += np.float32(dataset.RescaleIntercept)
    padding, limit = (_first(dataset, name) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit"))
    if padding is not None:
        low, high = sorted((padding, padding if limit is None else limit))
        hounsfield[(values >= low) & (values <= high)] = _AIR
    np.maximum(hounsfield, np.float32(_AIR), out=hounsfield)
    return hounsfield


def _first(dataset: Dataset, keyword: str) -> float | None:
    """Number of an attribute, or the first of several where there may be one only; None where there is none."""
    value = dataset.get(keyword)
    try:
        return float(next(iter(value), "") if isinstance(value, MultiValue | list) else value)
    except (TypeError, ValueError):
        return None


def _load_frames(stack: Stack) -> hd.Volume:
    """Load the frames of an enhanced CT; highdicom applies each frame's own rescaling."""
    try:
        dataset = read_dataset(stack.instances[0].path)
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
    age = age_of(header)
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
        contrast_recorded=has_contrast(header),
        manufacturer=_text(header, "Manufacturer"),
        model=_text(header, "ManufacturerModelName"),
        age_years=age.years,
        age_doubt=age.doubt or None,
        sex=header.PatientSex if header.get("PatientSex") in ("M", "F", "O") else None,
        spectrum=spectrum,
        mono_energy=mono_energy,
    )


def age_at_study(header: Dataset) -> float | None:
    """Age in years, None where it is not known or not believed; see :func:`operators.study.age.age_of`."""
    return age_of(header).years


def _text(header: Dataset, keyword: str) -> str | None:
    value = header.get(keyword)
    return str(value) if value not in (None, "") else None


def _find(header: Dataset, keyword: str) -> object:
    """Value of an attribute, in the header or in the functional groups of an enhanced CT."""
    if keyword in header:
        return header.get(keyword)
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in list(header.get(groups) or [])[:1]:
            for element in group:
                if element.VR == "SQ" and element.value and keyword in element.value[0]:
                    return element.value[0].get(keyword)
    return None


def _find_number(header: Dataset, keyword: str) -> float | None:
    try:
        value = float(str(_find(header, keyword)))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _find_text(header: Dataset, keyword: str) -> str | None:
    value = _find(header, keyword)
    return str(value) if value not in (None, "") else None


def _digest(slices: Iterable[Dataset], volume: hd.Volume, verdicts: tuple[SeriesVerdict, ...]) -> str:
    """SHA-256 over everything a result can depend on: HU, geometry, public attributes, the verdicts.

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
    """Public attributes of a data set as text, in the order of their tags."""
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
