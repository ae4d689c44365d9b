"""Identity of a received data set: all that the node itself must know of it.

The bytes come from a stranger. Nothing is decoded beyond the few values needed, and no error message
quotes a value.
"""

from __future__ import annotations

import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.charset import convert_encodings, decode_bytes
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
from pynetdicom.dsutils import encode, split_dataset

from node.receiving.head import MalformedError, data_set_start, find_elements
from operators.results.origin import MANUFACTURER
from operators.study.broken import BROKEN

_SOP_CLASS = 0x00080016
_SOP_INSTANCE = 0x00080018
_CHARACTER_SET = 0x00080005
_MANUFACTURER = 0x00080070
_STUDY = 0x0020000D
_SERIES = 0x0020000E
_HEAD_LIMIT = 1 << 24
"""Bytes to search for the UIDs: a deflated bomb stays small, and garbage costs little time."""

_SHORT_HEAD = 1 << 16
"""Bytes of a file that are read first: they hold the values that are looked for in nearly every one."""

_NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
_IMAGES = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
"""SOP Classes that Osteon reads and never makes: its own phantom, sent to it, is an ordinary study."""


_WANTED = frozenset({_SOP_CLASS, _SOP_INSTANCE, _MANUFACTURER, _STUDY, _SERIES})


class NotADatasetError(Exception):
    """The bytes are no data set with the UIDs that an instance must have."""


@dataclass(frozen=True)
class Identity:
    """UIDs of an instance, and whether Osteon made it.

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

    try:
        values = find_elements(
            encoded[:_HEAD_LIMIT],
            _WANTED,
            is_implicit=transfer_syntax == ImplicitVRLittleEndian,
            is_little=transfer_syntax != ExplicitVRBigEndian,
        )
        study, series, sop_class, instance = (
            _text(values[tag]) for tag in (_STUDY, _SERIES, _SOP_CLASS, _SOP_INSTANCE)
        )
        manufacturer = _text(values.get(_MANUFACTURER, b""), "latin-1")
    except (MalformedError, KeyError, UnicodeDecodeError) as error:
        raise NotADatasetError from error
    return Identity(
        study=study,
        series=series,
        sop_class=sop_class,
        instance=instance,
        is_own_result=manufacturer == MANUFACTURER and sop_class not in _IMAGES,
    )


def stored_values(file: Path, wanted: frozenset[int]) -> dict[int, str]:
    """Values of the wanted elements of a received file, as text; those that it does not have are left out.

    Args:
        file: The file.
        wanted: Tags as numbers; everything before the last of them must have a structure that can be followed.

    Raises:
        NotADatasetError: Its structure breaks off or is none.
        OSError: It cannot be read.
    """
    with file.open("rb") as stream:
        content = stream.read(_SHORT_HEAD)
        try:
            found = _values(content, wanted)
        except NotADatasetError:
            found = {}
        if len(found) == len(wanted):
            return found
        return _values(content + stream.read(_HEAD_LIMIT - _SHORT_HEAD), wanted)


def _values(file: bytes, wanted: frozenset[int]) -> dict[int, str]:
    try:
        syntax, start = data_set_start(file)
        encoded = file[start:] if syntax != DeflatedExplicitVRLittleEndian else _inflate_head(file[start:])
        found = find_elements(
            encoded,
            wanted | {_CHARACTER_SET},
            is_implicit=syntax == ImplicitVRLittleEndian,
            is_little=syntax != ExplicitVRBigEndian,
        )
    except MalformedError as error:
        raise NotADatasetError from error
    character_set = _text(found.pop(_CHARACTER_SET, b""), "latin-1")
    return {tag: _decoded(value, character_set) for tag, value in found.items()}


def _decoded(value: bytes, character_set: str) -> str:
    """A value in the data set's own character set where that is one, else byte for byte."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote what they complain of
        try:
            encodings = convert_encodings(character_set.split("\\") if character_set else "")
            return decode_bytes(value, encodings, set()).rstrip("\0 ")
        except (LookupError, TypeError, ValueError):
            return _text(value, "latin-1")


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
        plain_one, plain_other = (encode(dcmread(path), True, True) for path in (one, other))
    except BROKEN:  # then the bytes alone decide
        return False
    return plain_one is not None and plain_one == plain_other


def _inflate_head(encoded: bytes) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(encoded, _HEAD_LIMIT)
    except zlib.error as error:
        raise NotADatasetError from error


def _text(value: bytes, encoding: str = "ascii") -> str:
    return value.decode(encoding).rstrip("\0 ")
