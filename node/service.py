"""``osteon serve``: the receiver and the worker in one process, ended cleanly by SIGTERM or SIGINT."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from node import log
from node.receiving.inbox import Inbox
from node.receiving.receiver import Receiver
from node.settings import Settings
from node.work.worker import Worker
from operators.reading.errors import PermanentError

_log = log.logger("service")
_GIB = 1 << 30
_LOOK_SECONDS = 1.0


def serve(settings: Settings, reader: tuple[str, ...] | None = None) -> int:
    """Run the node until it is told to end.

    Args:
        settings: The settings tree.
        reader: How the reader process is started; None means our own.

    Returns:
        The exit status: 0 when it was told to end, 1 when a part of it failed.

    Raises:
        PermanentError: It cannot start, and why.
    """
    log.configure(settings.logs.level, settings.logs.format, sys.stderr)
    threading.excepthook = _report_thread
    os.umask(0o077)  # what is received here is for nobody but the node
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    with _only_one(settings):
        inbox = Inbox(settings.storage.inbox)
        space = int(settings.storage.min_free_gib * _GIB)
        receiver = Receiver(settings.receiver, inbox, space, notice=lambda study: worker.notice(study))
        worker = Worker(settings, inbox, receiver.is_sending, lambda: datetime.now(UTC), reader)
        worker.start()
        _listen(receiver, settings)
        log.event(_log, "ready", folder=str(settings.storage.folder), destinations=len(settings.destinations))
        healthy = True
        while not stop.wait(_LOOK_SECONDS) and healthy:
            healthy = worker.is_alive()
        log.event(_log, "stopping" if healthy else "worker-died", logging.INFO if healthy else logging.ERROR)
        receiver.stop()
        worker.stop()
    log.event(_log, "stopped")
    sys.stderr.flush()
    # Steps that wait to try again sit in threads which Python would wait for, up to an hour.
    os._exit(0 if healthy else 1)


def _report_thread(failure: threading.ExceptHookArgs) -> None:
    """Stands in for Python's own report, which quotes the values an exception carries."""
    name = failure.thread.name if failure.thread else None
    error = log.describe(failure.exc_value) if failure.exc_value else failure.exc_type.__name__
    log.event(_log, "thread-failed", logging.ERROR, thread=name, error=error)


def _listen(receiver: Receiver, settings: Settings) -> None:
    try:
        receiver.start()
    except OSError as error:
        where = f"{settings.receiver.host}:{settings.receiver.port}"
        sentence = (
            f"cannot listen on {where} ({os.strerror(error.errno or 0)}); "
            "end the other program there or set receiver.port"
        )
        raise PermanentError("cannot-listen", sentence) from error


@contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    """Keep a second node off the same folder; a killed one does not stand in the way."""
    folder = settings.storage.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "osteon.lock").open("w")
    except OSError as error:
        sentence = f"the folder {folder} cannot be written ({os.strerror(error.errno or 0)}); set storage.folder"
        raise PermanentError("folder-not-writable", sentence) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            sentence = f"another osteon serve works on {folder}; end it or set storage.folder"
            raise PermanentError("already-running", sentence) from error
        yield
