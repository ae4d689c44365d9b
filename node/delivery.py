"""Results to a DICOM peer by C-STORE, in one association, with our own presentation contexts.

What a failed attempt means is a table: *stored* (success or a warning), *refused* for good, or *later*.
A repeat sends the same SOP Instance UIDs, so the peer ends with one of each.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, evt

from node import log
from node.settings import Destination
from operators.errors import RetriableError

_log = log.logger("delivery")
VERIFICATION = "1.2.840.10008.1.1"
_CONNECT_SECONDS = 15.0


class Fate(StrEnum):
    """What became of one object."""

    STORED = "stored"
    REFUSED = "refused"
    LATER = "later"


@dataclass(frozen=True)
class Outcome:
    """The answer of the peer to one object.

    Attributes:
        instance: SOP Instance UID.
        fate: What became of it.
        status: The DIMSE status, where there was one.
        reason: A sentence where it was not plainly stored.
    """

    instance: str
    fate: Fate
    status: int | None
    reason: str | None


def judge(status: int) -> tuple[Fate, str | None]:
    """The meaning of a C-STORE status, after PS3.4 table B.2-1 and PS3.7 annex C."""
    if status == 0x0000:
        return Fate.STORED, None
    if status in (0x0001, 0x0107, 0x0116) or 0xB000 <= status <= 0xBFFF:
        return Fate.STORED, "stored with a warning"
    if 0xA700 <= status <= 0xA7FF:
        return Fate.LATER, "the peer is out of resources; it needs space"
    if 0xA900 <= status <= 0xA9FF:
        return Fate.REFUSED, "the peer says that the data set does not match its SOP class"
    if 0xC000 <= status <= 0xCFFF:
        return Fate.REFUSED, "the peer cannot understand the object"
    if status in (0x0122, 0x0211, 0x0212):
        return Fate.REFUSED, "the peer does not store this kind of object"
    if status in (0x0124, 0x0105):
        return Fate.REFUSED, "the peer does not allow us to store; its settings must be changed"
    return Fate.LATER, "the peer failed"


def deliver(files: Sequence[Path], to: Destination, calling: str) -> tuple[Outcome, ...]:
    """Send files to a peer.

    Args:
        files: DICOM files.
        to: The peer.
        calling: Our AE title.

    Returns:
        What became of each file, in order. None of them has :attr:`Fate.LATER`.

    Raises:
        RetriableError: The peer cannot be reached, rejects the association, or has failed on an
            object; all files are to be sent again.
    """
    heads = [dcmread(file, stop_before_pixels=True) for file in files]
    association = _associate(sorted({str(head.SOPClassUID) for head in heads}), to, calling)
    accepted = {context.abstract_syntax for context in association.accepted_contexts}
    outcomes = []
    try:
        for file, head in zip(files, heads, strict=True):
            if head.SOPClassUID not in accepted:
                reason = f"the peer does not accept the SOP class {head.SOPClassUID}; allow it there"
                outcomes.append(Outcome(str(head.SOPInstanceUID), Fate.REFUSED, None, reason))
                continue
            outcomes.append(_store(association, file, str(head.SOPInstanceUID), to))
    finally:
        _end(association)
    return tuple(outcomes)


def echo(to: Destination, calling: str) -> None:
    """C-ECHO a peer.

    Raises:
        RetriableError: It does not answer as it should, and why.
    """
    association = _associate([VERIFICATION], to, calling)
    try:
        answer = association.send_c_echo()
    finally:
        _end(association)
    if answer.get("Status") != 0x0000:
        sentence = f"{_peer(to)} did not answer C-ECHO with success"
        raise RetriableError("peer-failed", sentence)


def _store(association: Any, file: Path, instance: str, to: Destination) -> Outcome:
    answer = association.send_c_store(dcmread(file))
    if "Status" not in answer:
        sentence = f"{_peer(to)} ended the connection or did not answer in time"
        raise RetriableError("peer-lost", sentence)
    status = int(answer.Status)
    fate, reason = judge(status)
    if fate is Fate.LATER:
        raise RetriableError("peer-failed", f"{_peer(to)} answered 0x{status:04X}: {reason}")
    if reason is not None:
        log.event(_log, f"object-{fate}", logging.WARNING, instance=instance, status=f"0x{status:04X}")
    return Outcome(instance, fate, status, reason)


def _associate(classes: Sequence[str], to: Destination, calling: str) -> Any:
    _config.LOG_HANDLER_LEVEL = "none"
    entity = AE(ae_title=to.calling_ae_title or calling)
    entity.connection_timeout = min(_CONNECT_SECONDS, to.timeout_seconds)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = to.timeout_seconds
    for uid in classes:
        # One context per transfer syntax: the peer may accept both, or only one.
        entity.add_requested_context(uid, ExplicitVRLittleEndian)
        entity.add_requested_context(uid, ImplicitVRLittleEndian)
    association = entity.associate(
        to.host, to.port, ae_title=to.ae_title, max_pdu=0, evt_handlers=[(evt.EVT_CONN_OPEN, _send_at_once)]
    )
    if association.is_established:
        return association
    if association.is_rejected:
        sentence = (
            f"{_peer(to)} rejects the association from {entity.ae_title.strip()}; both AE titles must be known there"
        )
        raise RetriableError("peer-rejects", sentence)
    if association.rejected_contexts:
        sentence = f"{_peer(to)} accepts none of the SOP classes {', '.join(classes)}; allow them there"
        raise RetriableError("peer-accepts-nothing", sentence)
    raise RetriableError("peer-unreachable", f"{_peer(to)} cannot be reached; is it running?")


def _send_at_once(event: Any) -> None:
    """Small messages follow each other in DICOM; waiting to fill a packet costs 40 ms each."""
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _end(association: Any) -> None:
    if association.is_established:
        association.release()


def _peer(to: Destination) -> str:
    return f"the peer {to.ae_title} at {to.host}:{to.port}"
