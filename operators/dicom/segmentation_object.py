"""A label map as a DICOM Segmentation on the grid of the CT that was read: what all SEG objects share.

highdicom writes the structure of the object (frames, positions, references); the pixels are put in here.
Given the pixels too, it compares every slice with every segment, which takes longer than all the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from operators.body.label_boxes import Box, label_boxes
from operators.dicom.result_header import equipment, finish, source_headers
from operators.reading.case import Case
from operators.reading.options import Kind
from operators.reading.provenance import Provenance
from operators.reading.vertebra import Vertebra
from operators.results.identity import ResultIdentity
from operators.results.origin import MANUFACTURER, algorithm_parameters
from operators.results.plain_text import plain
from operators.results.source_frames import SourceFrame, source_frames
from operators.terms import codes


@dataclass(frozen=True)
class ObjectForm:
    """What distinguishes one SEG object from another.

    Attributes:
        kind: What it is.
        series_number: Of its series.
        content_label: Upper case, at most 16 characters.
        description: Of series and content.
        is_labelmap: One frame per slice whose pixels are segment numbers, instead of one bit mask per slice
            and segment.
    """

    kind: Kind
    series_number: int
    content_label: str
    description: str
    is_labelmap: bool = False


def encode_segments(
    case: Case, form: ObjectForm, labels: NDArray[np.uint8], segments: Sequence[hd.seg.SegmentDescription]
) -> Dataset:
    """Encode a label map.

    Args:
        case: The case; ``case.slices`` may lack pixel data.
        form: Which object.
        labels: Segment numbers on the grid of ``case.volume``, shape (slices, rows, columns); none but those
            of ``segments``, and at least one voxel.
        segments: Descriptions, numbered 1…N without gaps.

    Returns:
        The object, not yet written to disk; the same bytes for the same case.

    Raises:
        PermanentError: The volume's slices do not lie on the source images.
    """
    identity = ResultIdentity.of(case.reading)
    frames = source_frames(case)
    boxes = label_boxes(labels)
    presence = _presence(labels, boxes, len(segments))
    headers, pixels = _on_one_pixel(case, frames, presence)
    types = hd.seg.SegmentationTypeValues
    result = hd.seg.Segmentation(
        source_images=headers,
        pixel_array=pixels.max(axis=3) if form.is_labelmap else pixels,
        segmentation_type=types.LABELMAP if form.is_labelmap else types.BINARY,
        segment_descriptions=segments,
        series_instance_uid=identity.series_uid(form.kind),
        series_number=form.series_number,
        sop_instance_uid=identity.instance_uid(form.kind),
        instance_number=1,
        content_label=form.content_label,
        content_description=form.description,
        series_description=form.description,
        content_qualification=hd.ContentQualificationValues.RESEARCH,
        omit_empty_frames=True,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **equipment(case),
    )
    _put_pixels(result, labels, boxes, {frame.key: index for index, frame in enumerate(frames)})
    if form.is_labelmap:
        # OHIF colours by the item's place in the sequence and takes the first for segment 1.
        background, *others = result.SegmentSequence
        result.SegmentSequence = [*others, background]
    result.BodyPartExamined = "SPINE"
    result.ContentCreatorName = None  # Type 2: present, and no person made it
    for item in (*result.DimensionOrganizationSequence, *result.DimensionIndexSequence):
        item.DimensionOrganizationUID = identity.dimension_uid(form.kind)  # highdicom's is random
    finish(result, case)
    return result


def segment_numbers(case: Case, labels: hd.Volume | None) -> dict[int, int]:
    """Segment number of each vertebra by its number in a label map.

    Segments are numbered 1…N without gaps, as viewers expect them; a vertebra without a voxel has none.
    """
    boxes = label_boxes(None if labels is None else labels.array)
    present = [vertebra.number for vertebra in case.reading.vertebrae if vertebra.number in boxes]
    return {number: segment for segment, number in enumerate(dict.fromkeys(present), start=1)}


def described(case: Case, segments: Mapping[int, int]) -> Iterator[tuple[Vertebra, int]]:
    """The vertebrae that have a segment, each with its number, in the order of the segments."""
    by_number = {vertebra.number: vertebra for vertebra in case.reading.vertebrae}
    return ((by_number[number], segment) for number, segment in segments.items())


def renumbered(labels: NDArray[np.uint8], segments: Mapping[int, int]) -> NDArray[np.uint8]:
    """The label map with segment numbers in place of the vertebrae's own; every other label becomes 0."""
    if all(number == segment for number, segment in segments.items()) and int(labels.max()) <= len(segments):
        return labels
    table = np.zeros(256, dtype=np.uint8)
    table[list(segments)] = list(segments.values())
    changed: NDArray[np.uint8] = table[labels]
    return changed


def identify_algorithm(by: Provenance) -> hd.AlgorithmIdentificationSequence:
    """What drew the segments."""
    return hd.AlgorithmIdentificationSequence(
        name=plain(by.engine)[:64],
        family=codes.ARTIFICIAL_INTELLIGENCE,
        version=plain(by.engine_version)[:64],
        source=MANUFACTURER,
        parameters=dict(algorithm_parameters(by)),
    )


def _presence(labels: NDArray[np.uint8], boxes: Mapping[int, Box], segments: int) -> NDArray[np.uint8]:
    """Which slice holds which segment: one pixel per slice, shape (slices, 1, 1, segments), 0 or 1."""
    presence = np.zeros((labels.shape[0], 1, 1, segments), dtype=np.uint8)
    for number, box in boxes.items():
        presence[box[0], 0, 0, number - 1] = (labels[box] == number).any(axis=(1, 2))
    return presence


def _on_one_pixel(
    case: Case, frames: tuple[SourceFrame, ...], presence: NDArray[np.uint8]
) -> tuple[tuple[Dataset, ...], NDArray[np.uint8]]:
    """The source images that hold a segment, as images of one pixel, and their presences in the same order."""
    order = np.argsort([frame.place for frame in frames])
    if "NumberOfFrames" in case.slices[0]:
        headers = source_headers(case)
    else:
        order = order[presence[order].any(axis=(1, 2, 3))]
        headers = source_headers(case, [frames[index].place for index in order])
    for header in headers:
        header.Rows = header.Columns = 1
    return headers, presence[order]


def _put_pixels(
    result: Dataset,
    labels: NDArray[np.uint8],
    boxes: Mapping[int, Box],
    planes: Mapping[tuple[str, int | None], int],
) -> None:
    """Fill the frames that highdicom has laid out, each from the slice that it says it was derived from."""
    result.Rows, result.Columns = labels.shape[1:]
    result.SegmentsOverlap = "NO"
    packed = _FramePacker(labels.shape[1] * labels.shape[2])
    shared = result.SharedFunctionalGroupsSequence[0]
    for frame in result.PerFrameFunctionalGroupsSequence:
        (source,) = frame.DerivationImageSequence[0].SourceImageSequence
        # Type 3, and says no more than grid and frame of reference do; it costs twelve bytes per frame.
        source.pop("SpatialLocationsPreserved", None)
        plane = planes[str(source.ReferencedSOPInstanceUID), source.get("ReferencedFrameNumber")]
        if result.SegmentationType == "LABELMAP":
            packed.add_bytes(labels[plane])
            continue
        groups = frame if "SegmentIdentificationSequence" in frame else shared
        number = int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        packed.add_bits(labels[plane], boxes[number], number)
    pixels = packed.whole()
    result.PixelData = pixels + b"\0" * (len(pixels) % 2)


class _FramePacker:
    """Frames one after the other, as Pixel Data holds them: bits without gaps (PS3.5 8.1.1), or bytes."""

    def __init__(self, pixels: int) -> None:
        self._pixels = pixels
        self._parts: list[bytes] = []
        self._left = np.zeros(0, dtype=bool)
        """Bits of frames that do not yet fill a byte."""

    def add_bytes(self, plane: NDArray[np.uint8]) -> None:
        """One byte per pixel."""
        self._parts.append(plane.tobytes())

    def add_bits(self, plane: NDArray[np.uint8], box: Box, number: int) -> None:
        """One bit per pixel: whether it has this number, which it has inside ``box`` only."""
        mask = np.zeros(plane.shape, dtype=bool)
        mask[box[1:]] = plane[box[1:]] == number
        bits = mask.ravel()
        if self._pixels % 8:
            bits = np.concatenate([self._left, bits])
            whole = len(bits) // 8 * 8
            bits, self._left = bits[:whole], bits[whole:]
        self._parts.append(np.packbits(bits, bitorder="little").tobytes())

    def whole(self) -> bytes:
        """All frames."""
        rest = np.packbits(self._left, bitorder="little").tobytes()
        return b"".join([*self._parts, rest])
