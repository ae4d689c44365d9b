"""The DICOM receiver: C-ECHO, and C-STORE of every storage class in every transfer syntax.

"Success" is answered when the instance is safely on disk, and only then. The received bytes are written
as they came; nothing is decoded beyond the UIDs, and no study is held in memory.

Answers (PS3.4 B.2.3): 0xA700 when the disk is full, 0xA900 when the data set is not the instance that
was announced, 0xC000 when it cannot be understood, 0x0110 when writing failed in another way.
"""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, _config, evt
from pynetdicom.dsutils import encode_file_meta

from node import log
from node.receiving.dataset import Identity, NotADatasetError, identify
from node.receiving.door import ApplicationEntity, Door, address_of
from node.receiving.inbox import Inbox, Receipt, is_uid
from node.settings import ReceiverSettings

VERIFICATION = "1.2.840.10008.1.1"
SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000

# The acceptor picks the first of its own list that the sender offers: uncompressed ones come first.
_PREFERRED = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]
TRANSFER_SYNTAXES = _PREFERRED + [uid for uid in ALL_TRANSFER_SYNTAXES if uid not in _PREFERRED]
_MAXIMUM_PDU = 1 << 18
_SENDING_SECONDS = 10.0
"""A sender that is silent for longer than this is not in the middle of an instance."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_log = log.logger("receiver")


def _nobody(study: str) -> None:
    """Nobody waits for instances."""


class Receiver:
    """Receiver of C-STORE: accepts associations and files their instances.

    Args:
        settings: AE title, address, limits.
        inbox: Where instances go.
        min_free_bytes: With less free space nothing is accepted.
        notice: Told the study of every instance that was filed, by the thread that filed it.
        elapsed: A clock in seconds that is never set.
    """

    def __init__(
        self,
        settings: ReceiverSettings,
        inbox: Inbox,
        min_free_bytes: int,
        notice: Callable[[str], None] = _nobody,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._inbox = inbox
        self._min_free = min_free_bytes
        self._notice = notice
        self._elapsed = elapsed
        self._open: dict[Any, _Visit] = {}
        self._lock = threading.Lock()
        self._ae = _application_entity(settings)
        self._door = Door(settings.association_timeout_seconds, 2 * settings.network_timeout_seconds, elapsed)
        self._server: Any = None

    def start(self) -> None:
        """Begin to listen.

        Raises:
            OSError: The address cannot be bound.
        """
        leftovers = self._inbox.forget_unacknowledged()
        address = (self._settings.host, self._settings.port)
        handlers: list[tuple[Any, Callable[..., Any]]] = [
            (evt.EVT_CONN_OPEN, self._connected),
            (evt.EVT_DATA_RECV, self._received_bytes),
            (evt.EVT_C_ECHO, self._echo),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_REJECTED, self._rejected),
            (evt.EVT_RELEASED, self._ended),
            (evt.EVT_ABORTED, self._ended),
            (evt.EVT_CONN_CLOSE, self._closed),
        ]
        self._server = self._ae.start_server(address, block=False, evt_handlers=handlers)
        self._door.open()
        log.event(
            _log,
            "listening",
            host=self._settings.host,
            port=self._settings.port,
            ae_title=self._settings.ae_title,
            unacknowledged_removed=leftovers,
        )

    def stop(self) -> None:
        """End all associations and stop listening; acknowledged instances are on disk."""
        if self._server is None:
            return
        for association in self._server.active_associations:
            # Only these: aborting one that is just closing breaks pynetdicom's state machine.
            if association.is_established:
                association.abort()
        self._server.shutdown()
        self._server = None
        self._door.close()

    def is_sending(self, study: str) -> bool:
        """Whether somebody is in the middle of sending more of this study.

        That is an association whose last instance was one of the study, and over which bytes came just now. One
        that is kept open, or that has gone on to another study, holds nothing up.
        """
        since = self._elapsed() - _SENDING_SECONDS
        with self._lock:
            return any(
                visit.study == study and visit.last_bytes >= since and association.is_alive()
                for association, visit in self._open.items()
            )

    def _echo(self, event: Any) -> int:
        log.event(_log, "echo", calling=_calling(event))
        return SUCCESS

    def _connected(self, event: Any) -> None:
        _acknowledge_at_once(event)
        self._door.enter(event.assoc)

    def _rejected(self, event: Any) -> None:
        log.event(
            _log,
            "association-rejected",
            logging.WARNING,
            calling=_calling(event),
            called=_printable(event.assoc.requestor.primitive.called_ae_title),
            address=address_of(event.assoc),
            reason=self._rejection(event.assoc.requestor.primitive),
        )

    def _rejection(self, request: Any) -> str:
        """Why a request was rejected, in the order in which pynetdicom decides."""
        if len(self._ae.active_associations) > self._settings.max_associations:
            return "as many associations are open as receiver.max_associations allows"
        if request.called_ae_title.strip() != self._settings.ae_title:
            return "it calls another AE title than receiver.ae_title"
        return "its AE title is not among receiver.calling_ae_titles"

    def _closed(self, event: Any) -> None:
        if self._door.leave(event.assoc):
            log.event(_log, "connection-without-association", address=address_of(event.assoc))
        self._ended(event)

    def _ended(self, event: Any) -> None:
        with self._lock:
            visit = self._open.pop(event.assoc, None)
        if visit is not None:
            log.event(
                _log,
                "association-ended",
                how={evt.EVT_RELEASED: "released", evt.EVT_ABORTED: "aborted"}.get(event.event, "lost"),
                calling=_calling(event),
                address=address_of(event.assoc),
                studies=",".join(sorted(visit.studies)),
                **visit.counts,
            )

    def _store(self, event: Any) -> int:
        syntax = UID(event.context.transfer_syntax)
        announced = str(event.request.AffectedSOPInstanceUID)
        encoded: bytes = event.encoded_dataset(include_meta=False)
        try:
            identity = identify(encoded, syntax)
        except NotADatasetError:
            return self._refuse(event, CANNOT_UNDERSTAND, "not-a-data-set")
        uids = (identity.study, identity.series, identity.instance, identity.sop_class)
        if not all(is_uid(uid) for uid in uids):
            return self._refuse(event, CANNOT_UNDERSTAND, "bad-uid")
        if (identity.instance, identity.sop_class) != (announced, str(event.request.AffectedSOPClassUID)):
            return self._refuse(event, DOES_NOT_MATCH, "not-the-announced-instance")
        try:
            free = self._inbox.free_bytes()
        except OSError as error:
            return self._refuse(event, PROCESSING_FAILURE, log.describe(error))
        if free < self._min_free + len(encoded):
            return self._refuse(event, OUT_OF_RESOURCES, "disk-nearly-full")
        header = b"\0" * 128 + b"DICM" + encode_file_meta(event.file_meta)
        visit = self._visit(event)
        visit.studies.add(identity.study)
        visit.study = identity.study
        try:
            receipt = self._inbox.put(identity, (header, encoded))
        except OSError as error:
            status = OUT_OF_RESOURCES if error.errno in _FULL else PROCESSING_FAILURE
            return self._refuse(event, status, log.describe(error))
        self._notice(identity.study)
        self._note(event, identity, receipt)
        return SUCCESS

    def _note(self, event: Any, identity: Identity, receipt: Receipt) -> None:
        self._visit(event).counts[receipt.value.replace("-", "_")] += 1
        level = logging.WARNING if receipt is Receipt.CONFLICT else logging.DEBUG
        if receipt is Receipt.OWN_RESULT:
            level = logging.INFO
        log.event(_log, receipt.value, level, study=identity.study, instance=identity.instance)

    def _refuse(self, event: Any, status: int, reason: str) -> int:
        self._visit(event).counts["refused"] += 1
        log.event(
            _log,
            "instance-refused",
            logging.WARNING,
            status=f"0x{status:04X}",
            reason=reason,
            calling=_calling(event),
            address=address_of(event.assoc),
        )
        return status

    def _visit(self, event: Any) -> _Visit:
        with self._lock:
            return self._open.setdefault(event.assoc, _Visit(self._elapsed()))

    def _received_bytes(self, event: Any) -> None:
        _acknowledge_at_once(event)
        self._door.move(event.assoc)
        with self._lock:
            visit = self._open.get(event.assoc)
            if visit is not None:
                visit.last_bytes = self._elapsed()


def _acknowledge_at_once(event: Any) -> None:
    """Ask the kernel for immediate TCP acknowledgements; Linux forgets the wish, so that every PDU repeats it.

    Most senders leave Nagle's algorithm on: they hold back the pixels of an instance until its announcement
    is acknowledged, which the kernel puts off by 40 ms.
    """
    connection = event.assoc.dul.socket
    if connection is not None and connection.socket is not None:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


class _Visit:
    """What one open association has brought so far.

    Attributes:
        studies: Whose instances.
        study: Whose instance was the last one.
        last_bytes: When something came last, by the clock that is never set.
        counts: How many instances of which fate.
    """

    def __init__(self, moment: float) -> None:
        self.studies: set[str] = set()
        self.study: str | None = None
        self.last_bytes = moment
        self.counts: Counter[str] = Counter()


def _application_entity(settings: ReceiverSettings) -> Any:
    # pynetdicom's own log handlers print data sets and cost time per message.
    _config.LOG_HANDLER_LEVEL = "none"
    entity = ApplicationEntity(ae_title=settings.ae_title)
    entity.maximum_associations = settings.max_associations
    entity.maximum_pdu_size = _MAXIMUM_PDU
    entity.network_timeout = settings.network_timeout_seconds
    entity.acse_timeout = 2 * settings.association_timeout_seconds  # the door closes them before
    entity.require_called_aet = True
    entity.require_calling_aet = list(settings.calling_ae_titles)
    entity.add_supported_context(VERIFICATION)
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(str(context.abstract_syntax), TRANSFER_SYNTAXES)
    return entity


def _calling(event: Any) -> str:
    return _printable(event.assoc.requestor.ae_title)


def _printable(ae_title: Any) -> str:
    """A stranger's AE title, such that it breaks no line of a log."""
    return "".join(character if character.isprintable() else "?" for character in str(ae_title)).strip()
