"""As much of a received data set as the node itself must know: whose instance it is.

The bytes come from a stranger. Nothing is decoded beyond the few values needed, and no error message
quotes a value.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    LegacyConvertedEnhancedCTImageStorage,
)
from pynetdicom.dsutils import split_dataset

_SOP_CLASS = Tag(0x00080016)
_SOP_INSTANCE = Tag(0x00080018)
_MANUFACTURER = Tag(0x00080070)
_STUDY = Tag(0x0020000D)
_SERIES = Tag(0x0020000E)
_HEAD_LIMIT = 1 << 20
"""Bytes of a deflated data set that are inflated to find the UIDs; a bomb stays small."""

_NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
OUR_MANUFACTURER = "Osteon"
_IMAGES = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
"""What Osteon reads and never makes; a phantom of ours that is sent to us is an ordinary study."""


class NotADatasetError(Exception):
    """The bytes are no data set with the UIDs that an instance must have."""


@dataclass(frozen=True)
class Identity:
    """Whose instance it is.

    Attributes:
        study, series, sop_class, instance: UIDs as in the data set.
        is_own_result: Osteon made it.
    """

    study: str
    series: str
    sop_class: str
    instance: str
    is_own_result: bool = False


def identify(encoded: bytes, transfer_syntax: UID) -> Identity:
    """Find the UIDs of an encoded data set (without preamble and file meta information).

    Raises:
        NotADatasetError: It cannot be parsed as far as the UIDs, or one of them is missing.
    """
    if transfer_syntax == DeflatedExplicitVRLittleEndian:
        encoded = _inflate_head(encoded)

    def beyond(tag: BaseTag, vr: str | None, length: int) -> bool:
        return bool(tag > _SERIES)

    try:
        head = read_dataset(
            BytesIO(encoded),
            is_implicit_VR=transfer_syntax == ImplicitVRLittleEndian,
            is_little_endian=transfer_syntax != ExplicitVRBigEndian,
            stop_when=beyond,
            specific_tags=[_SOP_CLASS, _SOP_INSTANCE, _MANUFACTURER, _STUDY, _SERIES],
        )
        values = {tag: _text(head.get_item(tag)) for tag in (_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES)}
        manufacturer = _text(head.get_item(_MANUFACTURER)) if _MANUFACTURER in head else ""
    except _PARSE_ERRORS as error:
        raise NotADatasetError from error
    return Identity(
        study=values[_STUDY],
        series=values[_SERIES],
        sop_class=values[_SOP_CLASS],
        instance=values[_SOP_INSTANCE],
        is_own_result=manufacturer == OUR_MANUFACTURER and values[_SOP_CLASS] not in _IMAGES,
    )


def same_content(one: Path, other: Path) -> bool:
    """Whether two DICOM files hold the same data set.

    The file meta information does not count: it names the software that wrote the file. The same data
    set in another uncompressed transfer syntax counts as the same; a PACS may negotiate differently
    when it repeats a study.
    """
    meta_one, start_one = split_dataset(one)
    meta_other, start_other = split_dataset(other)
    if meta_one.TransferSyntaxUID == meta_other.TransferSyntaxUID:
        return one.read_bytes()[start_one:] == other.read_bytes()[start_other:]
    if meta_one.TransferSyntaxUID not in _NATIVE or meta_other.TransferSyntaxUID not in _NATIVE:
        return False
    try:
        return bool(dcmread(one) == dcmread(other))
    except _PARSE_ERRORS:
        return False


_PARSE_ERRORS = (
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    KeyError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What pydicom raises on bytes that are no data set (found by fuzzing; see the tests)."""


def _inflate_head(encoded: bytes) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(encoded, _HEAD_LIMIT)
    except zlib.error as error:
        raise NotADatasetError from error


def _text(element: object) -> str:
    """Text of an element that was not decoded; an absent one is an error."""
    value = getattr(element, "value", None)
    if isinstance(value, bytes):
        return value.decode("ascii").rstrip("\0 ")
    if isinstance(value, str):
        return value.rstrip("\0 ")
    msg = "absent"
    raise ValueError(msg)
