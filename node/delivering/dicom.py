"""Results to a DICOM peer by C-STORE, in one association, with our own presentation contexts.

What an answer means stands in the table of :mod:`node.delivering.statuses`: *stored*, *refused* for good, or *later*.
A repeat sends the same SOP Instance UIDs, so the peer ends with one of each.

What the peer does not take is replaced by what it takes (:data:`node.delivering.profiles.FALLBACKS`): everything that
may be sent is proposed in the one association, and the answer to the proposal decides.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, evt

from node import log
from node.delivering.destinations import Destination
from node.delivering.profiles import FALLBACKS, SOP_CLASSES, sop_class_name, with_fallbacks
from node.delivering.statuses import Fate, store_status
from operators.reading.errors import RetriableError
from operators.reading.options import Kind

_log = log.logger("delivery")
VERIFICATION = "1.2.840.10008.1.1"
TRANSFER_SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
"""Transfer syntaxes to propose for every object, each in a context of its own: a peer may accept only one."""
_CONNECT_SECONDS = 15.0


_NOT_ACCEPTED: Mapping[int | None, str] = {
    1: "rejected by the user",
    2: "no reason",
    3: "abstract syntax",
    4: "transfer syntax",
}
"""Result/Reason of a presentation context (PS3.8 table 9-18)."""


@dataclass(frozen=True)
class Outcome:
    """Answer of a peer to one object.

    Attributes:
        kind: What the object is.
        instance: SOP Instance UID.
        fate: What became of it.
        status: The DIMSE status, where there was one.
        reason: A sentence where it was not plainly stored.
    """

    kind: Kind
    instance: str
    fate: Fate
    status: int | None
    reason: str | None

    @property
    def is_unsupported(self) -> bool:
        """Whether the peer takes no object of this kind, so that another may stand in."""
        return self.fate is Fate.REFUSED and (self.status is None or store_status(self.status).may_stand_in)


@dataclass(frozen=True)
class Substitution:
    """Object that a peer got instead of one that it does not take.

    Attributes:
        wanted: What the destination should get.
        sent: What it got.
        reason: Why.
    """

    wanted: Kind
    sent: Kind
    reason: str

    def __str__(self) -> str:
        return f"{self.sent} instead of {self.wanted} ({self.reason})"


@dataclass(frozen=True)
class Delivery:
    """Fate of the objects of a reading at one destination.

    Attributes:
        outcomes: Of every object that was stored, or refused without another in its place, as sent.
        substitutions: What stands in for what.
    """

    outcomes: tuple[Outcome, ...]
    substitutions: tuple[Substitution, ...] = ()


def deliver(objects: Mapping[Kind, Path], to: Destination, calling: str) -> Delivery:
    """Send a peer the objects that its destination wants, or those that it takes in their place.

    Args:
        objects: The files of a reading. A kind that is not there had nothing to say.
        to: The peer.
        calling: Our AE title.

    Returns:
        What became of the objects. None of them has :attr:`Fate.LATER`.

    Raises:
        RetriableError: The peer cannot be reached, rejects the association, or has failed on an
            object; everything is to be sent again.
    """
    wanted = [kind for kind in to.kinds if kind in objects]
    if not wanted:
        return Delivery(())
    parcels = {kind: _Parcel.of(kind, objects[kind]) for kind in with_fallbacks(wanted) if kind in objects}
    association = _associate(sorted({parcel.sop_class for parcel in parcels.values()}), to, calling)
    try:
        return _Sender(association, parcels, to).send(wanted)
    finally:
        _end(association)


@dataclass(frozen=True)
class _Parcel:
    """One file to be sent."""

    kind: Kind
    file: Path
    sop_class: str
    instance: str

    @classmethod
    def of(cls, kind: Kind, file: Path) -> _Parcel:
        head = dcmread(file, stop_before_pixels=True)
        return cls(kind, file, str(head.SOPClassUID), str(head.SOPInstanceUID))


class _Sender:
    """Sends parcels over one association, each at most once."""

    def __init__(self, association: Any, parcels: Mapping[Kind, _Parcel], to: Destination) -> None:
        self._association = association
        self._parcels = parcels
        self._to = to
        self._not_accepted = _not_accepted(association)
        self._outcomes: dict[Kind, Outcome] = {}

    def send(self, wanted: Iterable[Kind]) -> Delivery:
        substitutions = []
        replaced = set()
        for kind in wanted:
            taken = self._send_or_replace(kind)
            if taken is not kind and self._outcomes[taken].fate is Fate.STORED:
                substitutions.append(Substitution(kind, taken, str(self._outcomes[kind].reason)))
                replaced.add(kind)
        kept = [item for kind, item in self._outcomes.items() if item.fate is Fate.STORED or kind in wanted]
        return Delivery(tuple(item for item in kept if item.kind not in replaced), tuple(substitutions))

    def _send_or_replace(self, kind: Kind) -> Kind:
        """Send an object, or the first that the peer takes in its place, and return the one that was sent."""
        for candidate in (kind, *FALLBACKS[kind]):
            if candidate not in self._parcels:
                continue
            if candidate not in self._outcomes:
                self._outcomes[candidate] = self._send(self._parcels[candidate])
            if not self._outcomes[candidate].is_unsupported:
                return candidate
        return kind

    def _send(self, parcel: _Parcel) -> Outcome:
        reason = self._not_accepted.get(parcel.sop_class)
        if reason is None:
            return _store(self._association, parcel, self._to)
        sentence = f"{sop_class_name(parcel.sop_class)} {parcel.sop_class} not accepted: {reason}"
        return Outcome(parcel.kind, parcel.instance, Fate.REFUSED, None, sentence)


def _not_accepted(association: Any) -> dict[str, str]:
    """Reason of the peer for each SOP class of which it takes nothing."""
    accepted = {str(context.abstract_syntax) for context in association.accepted_contexts}
    return {
        str(context.abstract_syntax): _NOT_ACCEPTED.get(context.result, f"result {context.result}")
        for context in association.rejected_contexts
        if str(context.abstract_syntax) not in accepted
    }


def try_out(to: Destination, calling: str) -> tuple[str, ...]:
    """Ask a peer what it would take, without sending anything.

    Returns:
        One sentence for each object of the destination's profile that it would not take.

    Raises:
        RetriableError: The peer cannot be reached, or rejects the association.
    """
    classes = {uid for kind in to.possible_kinds for uid in SOP_CLASSES[kind]}
    association = _associate([VERIFICATION, *sorted(classes)], to, calling)
    not_accepted = _not_accepted(association)
    _end(association)

    def takes(kind: Kind) -> bool:
        return any(uid not in not_accepted for uid in SOP_CLASSES[kind])

    sentences = []
    for kind in to.kinds:
        if not takes(kind):
            instead = next((other for other in FALLBACKS[kind] if takes(other)), None)
            reason = not_accepted[SOP_CLASSES[kind][0]]
            sentences.append(f"{instead or 'nothing'} instead of {kind} (not accepted: {reason})")
    return tuple(sentences)


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


def _store(association: Any, parcel: _Parcel, to: Destination) -> Outcome:
    answer = association.send_c_store(dcmread(parcel.file))
    if "Status" not in answer:
        sentence = f"{_peer(to)} ended the connection or did not answer in time"
        raise RetriableError("peer-lost", sentence)
    status = int(answer.Status)
    row = store_status(status)
    if row.fate is Fate.LATER:
        raise RetriableError("peer-failed", f"{_peer(to)} answered 0x{status:04X}: {row.sentence}")
    if row.sentence is not None:
        log.event(_log, f"object-{row.fate}", logging.WARNING, instance=parcel.instance, status=f"0x{status:04X}")
    reason = row.sentence and f"status 0x{status:04X}: {row.sentence}"
    return Outcome(parcel.kind, parcel.instance, row.fate, status, reason)


def _associate(classes: Iterable[str], to: Destination, calling: str) -> Any:
    _config.LOG_HANDLER_LEVEL = "none"
    entity = AE(ae_title=to.calling_ae_title or calling)
    entity.connection_timeout = min(_CONNECT_SECONDS, to.timeout_seconds)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = to.timeout_seconds
    for uid in classes:
        for syntax in TRANSFER_SYNTAXES:
            entity.add_requested_context(uid, syntax)
    try:
        association = entity.associate(
            to.host, to.port, ae_title=to.ae_title, max_pdu=0, evt_handlers=[(evt.EVT_CONN_OPEN, _send_at_once)]
        )
    except (OSError, UnicodeError) as error:  # a name server that is away is no reason to give up
        sentence = f"{_peer(to)} cannot be found: its name does not resolve ({type(error).__name__})"
        raise RetriableError("peer-unknown-host", sentence) from error
    if association.is_established:
        return association
    if association.is_rejected:
        sentence = (
            f"{_peer(to)} rejects the association from {entity.ae_title.strip()}; both AE titles must be known there"
        )
        raise RetriableError("peer-rejects", sentence)
    if association.rejected_contexts:
        refused = ", ".join(f"{uid} ({reason})" for uid, reason in _not_accepted(association).items())
        sentence = f"{_peer(to)} accepts none of the SOP classes {refused}; allow them there"
        raise RetriableError("peer-accepts-nothing", sentence)
    raise RetriableError("peer-unreachable", f"{_peer(to)} cannot be reached; is it running?")


def _send_at_once(event: Any) -> None:
    """Switch off Nagle's algorithm: DICOM sends small messages in a row, and each would wait for 40 ms."""
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _end(association: Any) -> None:
    if association.is_established:
        association.release()


def _peer(to: Destination) -> str:
    return f"the peer {to.ae_title} at {to.host}:{to.port}"
