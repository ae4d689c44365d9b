"""Exceptions of pydicom on bytes that are no DICOM, or no longer: one list for the receiver and for the reading."""

from __future__ import annotations

import struct
import zlib

from pydicom.errors import BytesLengthException, InvalidDicomError

BROKEN = (
    InvalidDicomError,
    BytesLengthException,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""None of them is the machine's fault, so that trying again does not help."""
