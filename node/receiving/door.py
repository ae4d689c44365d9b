"""Connections that have not asked for an association yet, or hang in the middle of a message: for how long they stay.

A connection costs two threads. One on which nobody says who he is, and one whose message never ends, is closed after
a time, by a thread of its own: the thread that reads it waits inside the system. Neither counts as an association, so
that strangers who connect and stop keep nobody else out.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pynetdicom import AE

from node import log

_log = log.logger("receiver")
_LOOK_SECONDS = 0.5
_MOST_WAITING = 200
"""Connections that may wait for their association request at once; the oldest goes for a new one."""


class ApplicationEntity(AE):
    """An application entity that counts as associations only those that were asked for."""

    @property
    def active_associations(self) -> list[Any]:
        """Associations that are open or being negotiated."""
        return [found for found in super().active_associations if found.requestor.primitive is not None]


@dataclass
class _Guest:
    """One connection.

    Attributes:
        since: When it was opened.
        moved: When a whole message came last.
    """

    since: float
    moved: float


class Door:
    """Closes connections that keep still.

    Args:
        request_seconds: For how long a connection may stay without an association.
        message_seconds: For how long a message of an association may take.
        elapsed: A clock in seconds that is never set.
    """

    def __init__(self, request_seconds: float, message_seconds: float, elapsed: Callable[[], float]) -> None:
        self._request_seconds = request_seconds
        self._message_seconds = message_seconds
        self._elapsed = elapsed
        self._guests: dict[Any, _Guest] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="door", daemon=True)

    def open(self) -> None:
        """Begin to look."""
        self._watcher.start()

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        self._watcher.join()

    def enter(self, association: Any) -> None:
        """A connection was opened."""
        moment = self._elapsed()
        with self._lock:
            self._guests[association] = _Guest(moment, moment)
            waiting = [guest for guest in self._guests if not guest.is_established]
        if len(waiting) > _MOST_WAITING:
            self._turn_out(waiting[0], "too many connections without an association")

    def move(self, association: Any) -> None:
        """A whole message came."""
        with self._lock:
            if association in self._guests:
                self._guests[association].moved = self._elapsed()

    def leave(self, association: Any) -> bool:
        """A connection was closed; True where it was known and never became an association."""
        with self._lock:
            guest = self._guests.pop(association, None)
        return guest is not None and association.requestor.primitive is None

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            for association, reason in self._overdue():
                self._turn_out(association, reason)

    def _overdue(self) -> list[tuple[Any, str]]:
        now = self._elapsed()
        found = []
        with self._lock:
            for association, guest in list(self._guests.items()):
                if not association.is_established and now - guest.since > self._request_seconds:
                    found.append((association, "no association was asked for in time"))
                elif association.is_established and now - guest.moved > self._message_seconds:
                    found.append((association, "a message did not end in time"))
        return found

    def _turn_out(self, association: Any, reason: str) -> None:
        self.leave(association)
        log.event(_log, "connection-closed", logging.WARNING, reason=reason, address=address_of(association))
        connection = association.dul.socket
        if connection is not None and connection.socket is not None:
            with suppress(OSError):  # it has just gone by itself
                connection.socket.shutdown(socket.SHUT_RDWR)


def address_of(association: Any) -> str:
    """Address and port of whoever connected."""
    requestor = association.requestor
    return f"{requestor.address}:{requestor.port}" if requestor.address_info is not None else "unknown"
