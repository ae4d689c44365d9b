"""The worker: watches the inbox for studies that settle, and runs their workflows."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer

from node import log
from node.delivering.outbox import Outbox
from node.receiving.inbox import Inbox
from node.settings import Settings
from node.work.inputs import FrozenInputs
from node.work.priors import Priors
from node.work.reader import Reader, reader_command
from node.work.settler import Settler
from node.work.workflow import (
    READING_QUEUE,
    WORKFLOWS_VERSION,
    StudyWorkflows,
    Tools,
    delivery_queue,
    enqueue_reading,
)

_log = log.logger("worker")
_TICK_SECONDS = 0.5
_DELIVERIES_AT_ONCE = 2


class Worker:
    """Runs everything between the inbox and the destinations.

    Args:
        settings: The settings tree.
        inbox: Where instances come from.
        is_sending: Whether an association that brings a study is open.
        now: The clock.
        command: How the reader process is started; None means our own.
    """

    def __init__(
        self,
        settings: Settings,
        inbox: Inbox,
        is_sending: Callable[[str], bool],
        now: Callable[[], datetime],
        command: tuple[str, ...] | None = None,
    ) -> None:
        self._settings = settings
        self._outbox = Outbox(settings.storage.work, settings.storage.outbox)
        reading = settings.reading
        self._reader = Reader(command or reader_command(reading.memory_gib), reading.timeout_seconds)
        inputs = FrozenInputs(settings.storage.inputs, settings.storage.work)
        self._settler = Settler(settings, inbox, inputs, self._outbox, is_sending, now)
        priors = Priors(settings.storage.folder / "patients", self._outbox)
        self._workflows = StudyWorkflows(Tools(settings, inputs, self._outbox, self._reader, priors, now))
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="settling", daemon=True)

    def start(self) -> None:
        """Take up what an earlier run left, then watch the inbox."""
        launch(self._settings)
        self._watcher.start()

    def stop(self) -> None:
        """Stop watching and end the reader; open workflows stay open and go on at the next start."""
        self._stop.set()
        self._watcher.join()
        self._reader.close()
        DBOS.destroy()

    def notice(self, study: str) -> None:
        """Say that an instance of a study has come; by any thread."""
        self._settler.notice(study)

    def is_alive(self) -> bool:
        """Whether the inbox is still being watched."""
        return self._watcher.is_alive()

    def _watch(self) -> None:
        while not self._stop.wait(_TICK_SECONDS):
            try:
                for settled in self._settler.settle():
                    enqueue_reading(self._workflows, settled.study)
                    self._settler.remember(settled)
            except OSError as error:  # disk full or a file system gone for a while
                log.event(_log, "inbox-not-readable", logging.ERROR, error=log.describe(error))
                self._stop.wait(10 * _TICK_SECONDS)


def launch(settings: Settings) -> None:
    """Start DBOS on the settings' database; open workflows of this executor are taken up again."""
    settings.storage.folder.mkdir(parents=True, exist_ok=True)
    config = DBOSConfig(
        name="osteon",
        system_database_url=settings.database_url,
        application_version=WORKFLOWS_VERSION,
        executor_id=settings.database.executor,
        serializer=DBOSPortableJSONSerializer(),
        log_level="WARNING",
    )
    DBOS(config=config)
    DBOS.launch()
    DBOS.register_queue(READING_QUEUE, worker_concurrency=1, polling_interval_sec=0.5)
    for name in settings.destinations:
        DBOS.register_queue(delivery_queue(name), worker_concurrency=_DELIVERIES_AT_ONCE, polling_interval_sec=0.5)
