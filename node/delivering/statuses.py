"""What a peer's answer to C-STORE means to a delivery: the standard's statuses, one row each, with our decision.

The storage service has the ranges and warnings of PS3.4 B.2.3, the rest are the general statuses of PS3.7 annex C
that PS3.7 9.1.1.1.9 allows for C-STORE or that archives are known to answer all the same. What no row names is a
failure (PS3.7 C.5 leaves other codes to the implementation), and the next attempt may find the peer in order.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Fate(StrEnum):
    """What became of one object."""

    STORED = "stored"
    REFUSED = "refused"
    LATER = "later"


class StatusRow(NamedTuple):
    """One status, or a range of them that means the same.

    Attributes:
        first, last: The codes, both included.
        standard: Its name in the standard.
        fate: What it means to us.
        sentence: Why, for the person who looks; None where there is nothing to say.
        may_stand_in: Whether the peer takes no object of this kind, so that one of another kind may stand in.
    """

    first: int
    last: int
    standard: str
    fate: Fate
    sentence: str | None
    may_stand_in: bool = False


_WARNING = "stored with a warning"
_NOT_ALLOWED = "the peer does not allow us to store; its settings must be changed"
_NO_SUCH_KIND = "the peer does not store this kind of object"
_BROKEN = "the peer says that the object is not valid"
_FAILED = "the peer failed"

STORE_STATUSES: tuple[StatusRow, ...] = (
    StatusRow(0x0000, 0x0000, "Success", Fate.STORED, None),
    StatusRow(0x0001, 0x0001, "Warning: requested optional attributes are not supported", Fate.STORED, _WARNING),
    StatusRow(0x0105, 0x0105, "No such attribute", Fate.REFUSED, _BROKEN),
    StatusRow(0x0106, 0x0106, "Invalid attribute value", Fate.REFUSED, _BROKEN),
    StatusRow(0x0107, 0x0107, "Warning: attribute list error", Fate.STORED, _WARNING),
    StatusRow(0x0110, 0x0110, "Processing failure", Fate.LATER, _FAILED),
    # Our UIDs derive from the content: what the peer has under this UID is what it is sent.
    StatusRow(0x0111, 0x0111, "Duplicate SOP Instance", Fate.STORED, "the peer has it already"),
    StatusRow(0x0116, 0x0116, "Warning: attribute value out of range", Fate.STORED, _WARNING),
    StatusRow(0x0117, 0x0117, "Invalid SOP Instance", Fate.REFUSED, _BROKEN),
    StatusRow(0x0118, 0x0118, "No such SOP Class", Fate.REFUSED, _NO_SUCH_KIND, True),
    StatusRow(0x0119, 0x0119, "Class-instance conflict", Fate.REFUSED, _BROKEN),
    StatusRow(0x0120, 0x0121, "Missing attribute, or its value", Fate.REFUSED, _BROKEN),
    StatusRow(0x0122, 0x0122, "Refused: SOP Class not supported", Fate.REFUSED, _NO_SUCH_KIND, True),
    StatusRow(0x0124, 0x0124, "Refused: not authorized", Fate.REFUSED, _NOT_ALLOWED),
    StatusRow(0x0210, 0x0210, "Duplicate invocation", Fate.LATER, _FAILED),
    StatusRow(0x0211, 0x0211, "Unrecognized operation", Fate.REFUSED, _NO_SUCH_KIND, True),
    StatusRow(0x0212, 0x0212, "Mistyped argument", Fate.REFUSED, _NO_SUCH_KIND, True),
    StatusRow(0x0213, 0x0213, "Resource limitation", Fate.LATER, "the peer is out of resources"),
    StatusRow(0xA700, 0xA7FF, "Refused: out of resources", Fate.LATER, "the peer is out of resources; it needs space"),
    StatusRow(
        0xA900,
        0xA9FF,
        "Error: Data Set does not match SOP Class",
        Fate.REFUSED,
        "the peer says that the data set does not match its SOP class",
    ),
    StatusRow(0xB000, 0xB000, "Warning: coercion of data elements", Fate.STORED, "stored; the peer changed elements"),
    StatusRow(0xB006, 0xB006, "Warning: elements discarded", Fate.STORED, "stored; the peer discarded elements"),
    StatusRow(0xB007, 0xB007, "Warning: Data Set does not match SOP Class", Fate.STORED, _WARNING),
    StatusRow(0xB001, 0xBFFF, "Warning, any other", Fate.STORED, _WARNING),
    StatusRow(0xC000, 0xCFFF, "Error: cannot understand", Fate.REFUSED, "the peer cannot understand the object"),
)
"""The first row that holds a code decides."""

ANY_OTHER = StatusRow(0x0000, 0xFFFF, "Failure", Fate.LATER, _FAILED)


def store_status(code: int) -> StatusRow:
    """The row of a C-STORE status."""
    return next((row for row in STORE_STATUSES if row.first <= code <= row.last), ANY_OTHER)
