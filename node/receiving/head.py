"""Search for single elements at the head of an encoded data set, without decoding or trusting it.

A library that reads whole data sets guesses, warns and quotes values where bytes are wrong. The receiver
only needs five UIDs of bytes that a stranger sent: this walks over everything else by its length
(PS3.5 7.1, 7.5), never recursively, and each step moves on by at least eight bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

_UNDEFINED = 0xFFFFFFFF
_DELIMITERS = 0xFFFE
_ITEM, _ITEM_END, _SEQUENCE_END = 0xE000, 0xE00D, 0xE0DD
_META_GROUP = b"\x02\x00"
_META_LENGTH, _TRANSFER_SYNTAX = 0x00020000, 0x00020010
_LONG = frozenset(str(vr).encode() for vr in EXPLICIT_VR_LENGTH_32)


class MalformedError(Exception):
    """The bytes are no data set."""


def data_set_start(file: bytes) -> tuple[str, int]:
    """Transfer Syntax UID of a DICOM file (PS3.10 7.1), and where its data set begins.

    Args:
        file: At least the preamble and the file meta information.

    Raises:
        MalformedError: It is none, or its file meta information names no transfer syntax.
    """
    if file[128:132] != b"DICM":
        raise MalformedError
    syntax, position, end = b"", 132, len(file)
    while position + 8 <= end and file[position : position + 2] == _META_GROUP:
        element = _header(file, position, _Encoding(is_implicit=False, is_little=True))
        position = element.start + element.length
        value = file[element.start : position]
        if element.tag == _META_LENGTH and element.length == 4:
            end = position + int.from_bytes(value, "little")
        elif element.tag == _TRANSFER_SYNTAX:
            syntax = value
    if not syntax or position > len(file):
        raise MalformedError
    return syntax.decode("latin-1").rstrip("\0 "), position


@dataclass(frozen=True)
class _Encoding:
    is_implicit: bool
    is_little: bool

    @property
    def order(self) -> str:
        return "<" if self.is_little else ">"


@dataclass(frozen=True)
class _Element:
    """Header of an element: tag, length and start of the value, and VR where it is explicit."""

    tag: int
    length: int
    start: int
    vr: bytes


def find_elements(encoded: bytes, wanted: frozenset[int], *, is_implicit: bool, is_little: bool) -> dict[int, bytes]:
    """Values of the wanted elements of the outermost data set.

    Args:
        encoded: The data set, without preamble and file meta information; it may end anywhere behind
            the last wanted element.
        wanted: Tags as numbers.
        is_implicit: Implicit VR.
        is_little: Little endian.

    Raises:
        MalformedError: The bytes cannot be followed up to the last wanted element.
    """
    found: dict[int, bytes] = {}
    last = max(wanted)
    for element in _elements(encoded, _Encoding(is_implicit, is_little)):
        if element.tag > last or len(found) == len(wanted):
            break
        if element.tag in wanted:
            end = element.start + element.length
            if end > len(encoded):
                raise MalformedError
            found[element.tag] = encoded[element.start : end]
    return found


def _elements(encoded: bytes, encoding: _Encoding) -> Iterator[_Element]:
    position = 0
    while position < len(encoded):
        element = _header(encoded, position, encoding)
        yield element
        if element.length == _UNDEFINED:
            position = _after_undefined(encoded, element, encoding)
        else:
            position = element.start + element.length
    if position > len(encoded):
        raise MalformedError


def _header(encoded: bytes, position: int, encoding: _Encoding) -> _Element:
    try:
        group, number = struct.unpack_from(f"{encoding.order}HH", encoded, position)
        if encoding.is_implicit or group == _DELIMITERS:
            (length,) = struct.unpack_from(f"{encoding.order}L", encoded, position + 4)
            return _Element(group << 16 | number, length, position + 8, b"")
        vr = encoded[position + 4 : position + 6]
        if not (vr.isalpha() and vr.isupper()):
            raise MalformedError
        if vr in _LONG:
            (length,) = struct.unpack_from(f"{encoding.order}L", encoded, position + 8)
            return _Element(group << 16 | number, length, position + 12, vr)
        (length,) = struct.unpack_from(f"{encoding.order}H", encoded, position + 6)
        return _Element(group << 16 | number, length, position + 8, vr)
    except struct.error as error:
        raise MalformedError from error


def _inside(element: _Element, encoding: _Encoding) -> _Encoding:
    """Encoding of the items of an element of undefined length (PS3.5 6.2.2 for UN)."""
    return _Encoding(is_implicit=True, is_little=True) if element.vr == b"UN" else encoding


def _after_undefined(encoded: bytes, element: _Element, encoding: _Encoding) -> int:
    """Position at which the data set goes on behind an element of undefined length."""
    open_levels = [_inside(element, encoding)]
    position = element.start
    while open_levels:
        inner = _header(encoded, position, open_levels[-1])
        position = inner.start
        group, number = inner.tag >> 16, inner.tag & 0xFFFF
        if group == _DELIMITERS and number in (_ITEM_END, _SEQUENCE_END):
            open_levels.pop()
        elif inner.length == _UNDEFINED:
            open_levels.append(_inside(inner, open_levels[-1]))
        else:
            position += inner.length
    return position
