"""A reading to an HL7 v2 receiver: one message over MLLP, and what its acknowledgement means.

After 2.5.1, section 2.9: AA and CA are stored. AE (its content cannot be processed) and CR (its kind is not
wanted) are refused for good. AR and CE (the receiver cannot take it now, whatever it holds) and no answer are to
be tried again, with the same message control id. Texts of an acknowledgement are not repeated: they may quote
the patient.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from node.delivering.destinations import Hl7Destination
from operators.reading.errors import RetriableError

START, END = b"\x0b", b"\x1c\r"
"""First and last bytes of a block, MLLP release 1."""
_STORED = frozenset({"AA", "CA"})
_REFUSED = frozenset({"AE", "CR"})
_LATER = frozenset({"AR", "CE"})
_LONGEST = 1 << 20
_FACILITY, _TO_APPLICATION, _TO_FACILITY, _CONTROL_ID = 3, 4, 5, 9
"""Places of MSH-4, MSH-5, MSH-6 and MSH-10 when split at the field separator, which is MSH-1 itself."""


@dataclass(frozen=True)
class Hl7Answer:
    """Answer of a receiver to a message.

    Attributes:
        control_id: MSH-10 of the message.
        refusal: Why it was not taken; None where it was.
    """

    control_id: str
    refusal: str | None = None


def send_hl7(message: Path, to: Hl7Destination) -> Hl7Answer:
    """Send one message to a receiver and wait for the acknowledgement.

    Args:
        message: The file; sender and receiver are put in here.
        to: The receiver.

    Raises:
        RetriableError: The receiver cannot be reached, does not answer, or cannot take it now.
    """
    content, control_id = addressed(message.read_bytes(), to)
    code, about = _acknowledgement(_exchange(content, to), to)
    if about != control_id:
        raise RetriableError("peer-lost", f"{_receiver(to)} acknowledged another message than it was sent")
    if code in _REFUSED:
        return Hl7Answer(control_id, f"{_receiver(to)} answered {code}: it cannot process the message; see its log")
    if code in _LATER:
        raise RetriableError("peer-failed", f"{_receiver(to)} answered {code}: it cannot take the message now")
    if code not in _STORED:
        raise RetriableError("peer-lost", f"{_receiver(to)} gave an acknowledgement that HL7 does not know")
    return Hl7Answer(control_id)


def try_hl7(to: Hl7Destination) -> str:
    """Connect to a receiver without sending anything, since every HL7 message changes something.

    Returns:
        A sentence on it.

    Raises:
        RetriableError: It cannot be reached.
    """
    with _connected(to):
        return f"{_receiver(to)} accepts connections"


def addressed(message: bytes, to: Hl7Destination) -> tuple[bytes, str]:
    """Message with its sender, its receiver and its control id filled in."""
    head, separator, rest = message.partition(b"\r")
    fields = head.split(b"|")
    fields[_FACILITY] = to.sending_facility.encode()
    fields[_TO_APPLICATION] = to.receiving_application.encode()
    fields[_TO_FACILITY] = to.receiving_facility.encode()
    return b"|".join(fields) + separator + rest, fields[_CONTROL_ID].decode()


def _connected(to: Hl7Destination) -> socket.socket:
    try:
        return socket.create_connection((to.host, to.port), timeout=to.timeout_seconds)
    except (OSError, UnicodeError) as error:
        raise RetriableError("peer-unreachable", f"{_receiver(to)} cannot be reached; is it running?") from error


def _exchange(message: bytes, to: Hl7Destination) -> bytes:
    """Send a block and return the block that comes back."""
    with _connected(to) as connection:
        try:
            connection.sendall(START + message + END)
            received = b""
            while END not in received and len(received) < _LONGEST:
                chunk = connection.recv(1 << 16)
                if not chunk:
                    break
                received += chunk
        except OSError as error:
            sentence = f"{_receiver(to)} ended the connection or did not answer in time"
            raise RetriableError("peer-lost", sentence) from error
    start, end = received.find(START), received.find(END)
    if start < 0 or end < start:
        raise RetriableError("peer-lost", f"{_receiver(to)} ended the connection without an acknowledgement")
    return received[start + len(START) : end]


def _acknowledgement(block: bytes, to: Hl7Destination) -> tuple[str, str]:
    """Code and control id of the MSA segment."""
    segments = [segment.split("|") for segment in block.decode("utf-8", "replace").split("\r")]
    for fields in segments:
        if fields[0] == "MSA" and len(fields) > 2:
            return fields[1], fields[2]
    raise RetriableError("peer-lost", f"{_receiver(to)} answered with something that is no acknowledgement")


def _receiver(to: Hl7Destination) -> str:
    return f"the HL7 receiver at {to.host}:{to.port}"
