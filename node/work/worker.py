"""The worker: watches the inbox for studies that settle, and runs their workflows."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from dbos import DBOS

from node import log
from node.delivering.outbox import Outbox
from node.receiving.inbox import Inbox
from node.settings import Settings
from node.work.database import launch, take_up
from node.work.inputs import FrozenInputs
from node.work.priors import Priors
from node.work.reader import Reader, reader_command
from node.work.settler import Settler
from node.work.workflow import StudyWorkflows, Tools, enqueue_reading
from operators.reading.errors import PermanentError, RetriableError

_log = log.logger("worker")
_TICK_SECONDS = 0.5
_TAKE_UP_SECONDS = 10.0
_REST_SECONDS = 5.0
_LONGEST_REST_SECONDS = 60.0


class Worker:
    """Runs everything between the inbox and the destinations.

    Nothing that is wrong with a study, a disk or a database ends it: it rests and goes on.

    Args:
        settings: The settings tree.
        name: Of this node in the workflow database.
        inbox: Where instances come from.
        is_sending: Whether somebody is in the middle of sending more of a study.
        now: The clock.
        command: How the reader process is started; None means our own.
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        inbox: Inbox,
        is_sending: Callable[[str], bool],
        now: Callable[[], datetime],
        command: tuple[str, ...] | None = None,
    ) -> None:
        self._settings = settings
        self._name = name
        outbox = Outbox(settings.storage.work, settings.storage.outbox)
        reading = settings.reading
        self._reader = Reader(command or reader_command(reading.memory_gib), reading.timeout_seconds)
        inputs = FrozenInputs(settings.storage.inputs, settings.storage.work)
        self._settler = Settler(settings, inbox, inputs, outbox, is_sending, now)
        priors = Priors(settings.storage.folder / "patients", outbox)
        self._workflows = StudyWorkflows(Tools(settings, inputs, outbox, self._reader, priors, now))
        self._is_launched = False
        self._refusal: PermanentError | None = None
        self._left: frozenset[str] = frozenset()
        self._next_take_up = 0
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="settling", daemon=True)

    def start(self) -> None:
        """Take up what an earlier run left, then watch the inbox.

        A database that is away is waited for: receiving does not depend on it.

        Raises:
            PermanentError: The database is that of another folder, or its driver is not installed.
        """
        try:
            self._launch()
        except RetriableError as error:
            log.event(_log, "waiting", logging.ERROR, error=str(error))
        self._watcher.start()

    def stop(self) -> None:
        """Stop watching and end the reader; open workflows stay open and go on at the next start."""
        self._stop.set()
        self._watcher.join()
        self._reader.close()
        if self._is_launched:
            DBOS.destroy()

    def notice(self, study: str) -> None:
        """Say that an instance of a study has come; by any thread."""
        self._settler.notice(study)

    @property
    def refusal(self) -> PermanentError | None:
        """Why the work cannot go on, found out after the start; None while it goes on."""
        return self._refusal

    def _launch(self) -> None:
        launch(self._settings, self._name)
        self._is_launched = True

    def _watch(self) -> None:
        rest, trouble = _REST_SECONDS, None
        while not self._stop.wait(_TICK_SECONDS):
            try:
                self._work()
            except PermanentError as error:
                self._refusal = error
                return
            except Exception as error:  # noqa: BLE001  # the border between whatever has failed and the service
                if trouble != log.describe(error):
                    trouble = log.describe(error)
                    log.event(_log, "waiting", logging.ERROR, error=trouble)
                self._stop.wait(rest)
                rest = min(2 * rest, _LONGEST_REST_SECONDS)
                continue
            if trouble is not None:
                log.event(_log, "going-on")
            rest, trouble = _REST_SECONDS, None

    def _work(self) -> None:
        if not self._is_launched:
            self._launch()
        for settled in self._settler.settle():
            enqueue_reading(self._workflows, settled.study)
            self._settler.remember(settled)
        self._next_take_up -= 1
        if self._next_take_up <= 0:
            self._next_take_up = round(_TAKE_UP_SECONDS / _TICK_SECONDS)
            self._left = take_up(self._settings, self._name, self._workflows.running, self._left)
