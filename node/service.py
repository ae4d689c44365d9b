"""``osteon serve``: the receiver and the worker in one process, ended cleanly by SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from datetime import UTC, datetime

from node import log
from node.receiving.inbox import Inbox
from node.receiving.receiver import Receiver
from node.settings import Settings
from node.work.database import seat
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
    with seat(settings) as name:
        inbox = Inbox(settings.storage.inbox, name)
        space = int(settings.storage.min_free_gib * _GIB)
        receiver = Receiver(settings.receiver, inbox, space, notice=lambda study: worker.notice(study))
        worker = Worker(settings, name, inbox, receiver.is_sending, lambda: datetime.now(UTC), reader)
        worker.start()
        _listen(receiver, settings)
        log.event(_log, "ready", folder=str(settings.storage.folder), destinations=len(settings.destinations))
        while not stop.wait(_LOOK_SECONDS) and worker.refusal is None:
            pass
        log.event(_log, "stopping", error=None if worker.refusal is None else str(worker.refusal))
        receiver.stop()
        worker.stop()
    log.event(_log, "stopped")
    sys.stderr.flush()
    # Steps that wait to try again sit in threads which Python would wait for, up to an hour.
    os._exit(0 if worker.refusal is None else 1)


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
            f"cannot listen on {where} ({error.strerror or type(error).__name__}); "
            "end the other program there or set receiver.port"
        )
        raise PermanentError("cannot-listen", sentence) from error
