"""Finds the studies that have settled since they were last handed on.

The receiver says which study an instance has come for, so that a look costs what is unread and not what is stored;
a look through the whole inbox, at the start and once a minute, finds the rest. Quiet times are counted by a clock
that nobody sets. Whatever is wrong with one study, the others go on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from node import log
from node.delivering.outbox import Outbox
from node.receiving.dataset import NotADatasetError, stored_values
from node.receiving.inbox import Inbox, content_digest
from node.settings import Settings
from node.work.inputs import FrozenInputs
from node.work.ledger import SettledStudy
from node.work.notes import Note, Notes
from node.work.settling import PLACE, Rule, Waiting, count_missing_slices, settled_by

_log = log.logger("settling")
_SCAN_SECONDS = 60.0
_REST_SECONDS = 5.0


@dataclass(frozen=True)
class Settled:
    """A study to be handed on.

    Attributes:
        study: Input of its workflow.
        mark: State of the inbox that it was made from.
    """

    study: SettledStudy
    mark: int


@dataclass
class _Unread:
    """A study with instances that no reading has seen.

    Attributes:
        first, last: When the first and the last of them came, by the clock that is never set.
        is_older: Nobody has said when they came, and only the files can tell.
        mark: State of the inbox when it was last looked at; None before the first look.
        checked: The state in which every instance was looked at, and how many slices are missing then.
        rests_until: After a disk that was full or gone, when it is looked at again.
        trouble: What was wrong then.
    """

    first: float
    last: float
    is_older: bool = False
    mark: int | None = None
    checked: tuple[int, int] | None = None
    rests_until: float = 0.0
    trouble: str | None = None


class Settler:
    """Finds studies with instances that no reading has seen, once they have settled.

    Args:
        settings: Quiet times, and the work folder that the notes lie in.
        inbox: Where instances come from.
        inputs: Where settled studies are frozen.
        outbox: Where finished readings lie.
        is_sending: Whether somebody is in the middle of sending more of a study.
        now: The clock on the wall.
        elapsed: A clock in seconds that is never set.
    """

    def __init__(
        self,
        settings: Settings,
        inbox: Inbox,
        inputs: FrozenInputs,
        outbox: Outbox,
        is_sending: Callable[[str], bool],
        now: Callable[[], datetime],
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settling = settings.settling
        self._inbox = inbox
        self._inputs = inputs
        self._outbox = outbox
        self._is_sending = is_sending
        self._now = now
        self._elapsed = elapsed
        self._notes = Notes(settings.storage.work)
        self._lock = threading.Lock()
        self._noticed: dict[str, float] = {}
        self._unread: dict[str, _Unread] = {}
        self._troubled: dict[str, int] = {}
        self._scanned: float | None = None

    def notice(self, study: str) -> None:
        """Say that an instance of a study has come; by any thread."""
        with self._lock:
            self._noticed[study] = self._elapsed()

    def settle(self) -> list[Settled]:
        """The studies that have settled by now, frozen for their reading.

        Raises:
            OSError: The inbox cannot be looked through; everything is as before.
        """
        self._take_notice()
        if self._scanned is None or self._elapsed() - self._scanned >= _SCAN_SECONDS:
            self._scan()
        found = []
        for study in sorted(self._unread):
            settled = self._look_at(study)
            if settled is not None:
                found.append(settled)
        return found

    def remember(self, settled: Settled) -> None:
        """Note that a study was handed on; until then it settles again at the next look."""
        study = settled.study["study"]
        self._notes.save(study, Note(mark=settled.mark, at=settled.study["at"], reading=settled.study["reading"]))
        if self._inbox.mark(study) == settled.mark:
            self._unread.pop(study, None)
            return
        moment = self._elapsed()  # more has come meanwhile
        self._unread[study] = _Unread(first=moment, last=moment)

    def _take_notice(self) -> None:
        with self._lock:
            noticed, self._noticed = self._noticed, {}
        for study, moment in noticed.items():
            unread = self._unread.setdefault(study, _Unread(first=moment, last=moment))
            unread.last = max(unread.last, moment)
            unread.mark = None  # that it has changed is known

    def _scan(self) -> None:
        """Find the studies that nobody has spoken of: left by an earlier run, or received by another node."""
        handed_on = self._notes.marks()
        for study, mark in self._inbox.marks().items():
            if study in self._unread or handed_on.get(study) == mark or self._troubled.get(study) == mark:
                continue
            # A sender that was cut off by the end of the last run needs time to come back.
            now = self._elapsed()
            self._unread[study] = _Unread(first=now, last=now, is_older=True)
        self._scanned = self._elapsed()

    def _age(self, study: str) -> float:
        """For how long the first unread instance of a study has been there, by the clock on the wall, as a hint."""
        note = self._notes.load(study)
        before = datetime.fromisoformat(note["at"]).timestamp() if note else 0.0
        times = self._inbox.arrivals(study).times
        first = min([time for time in times if time >= before] or times, default=self._now().timestamp())
        return min(max(0.0, self._now().timestamp() - first), self._settling.longest_wait_seconds)

    def _look_at(self, study: str) -> Settled | None:
        unread = self._unread[study]
        if self._elapsed() < unread.rests_until:
            return None
        try:
            mark = self._inbox.mark(study)
            if unread.mark is None and self._notes.is_handed_on(study, mark):  # only repeats have come
                del self._unread[study]
                return None
            if unread.is_older:
                unread.first -= self._age(study)
                unread.is_older = False
            if unread.mark not in (None, mark):  # received by another node
                unread.last = self._elapsed()
            unread.mark = mark
            rule = self._rule(study, unread)
            return None if rule is None else self._hand_on(study, rule)
        except OSError as error:  # disk full, read-only or gone, or somebody has deleted the study
            self._let_rest(study, unread, error)
        except Exception as error:  # noqa: BLE001  # the border between one study and the service
            self._set_aside(study, unread, log.describe(error))
        return None

    def _let_rest(self, study: str, unread: _Unread, error: OSError) -> None:
        if not self._inbox.holds(study):
            del self._unread[study]
            return
        unread.rests_until = self._elapsed() + _REST_SECONDS
        if unread.trouble != log.describe(error):
            unread.trouble = log.describe(error)
            log.event(_log, "study-rests", logging.ERROR, study=study, error=unread.trouble)

    def _set_aside(self, study: str, unread: _Unread, trouble: str) -> None:
        """Leave a study alone until more of it arrives or the node starts again."""
        del self._unread[study]
        self._troubled[study] = unread.mark or 0
        log.event(_log, "study-set-aside", logging.ERROR, study=study, error=trouble)
        try:
            self._notes.save_trouble(study, f"{trouble}; tried again at the next start and when more of it arrives")
        except OSError as error:
            log.event(_log, "note-not-written", logging.ERROR, study=study, error=log.describe(error))

    def _rule(self, study: str, unread: _Unread) -> Rule | None:
        waiting = Waiting(unread.first, unread.last, self._is_sending(study))
        return settled_by(waiting, self._elapsed(), self._settling, lambda: self._missing(study, unread))

    def _missing(self, study: str, unread: _Unread) -> int:
        """Missing slices, counted once per state of the inbox: this reads every header."""
        if unread.checked is None or unread.checked[0] != self._inbox.mark(study):
            missing = self._check(study)
            unread.mark = self._inbox.mark(study)
            unread.checked = (unread.mark, missing)
        return unread.checked[1]

    def _check(self, study: str) -> int:
        """Set broken instances aside and count the slices that are missing between the others."""
        heads = []
        for file in self._inbox.arrivals(study).files:
            try:
                heads.append(stored_values(file, PLACE))
            except NotADatasetError:
                self._inbox.set_aside(file)
                log.event(_log, "instance-set-aside", logging.ERROR, study=study, instance=file.stem)
        return count_missing_slices(heads)

    def _hand_on(self, study: str, rule: Rule) -> Settled | None:
        unread = self._unread[study]
        self._missing(study, unread)  # after the longest wait nobody has looked for broken ones yet
        arrivals = self._inbox.arrivals(study)
        if not arrivals.files:  # all of them are broken
            del self._unread[study]
            self._troubled[study] = arrivals.mark
            return None
        reading = content_digest(study, arrivals.files)
        if not self._outbox.has(reading):
            self._inputs.freeze(reading, arrivals.files)
        note = self._notes.load(study)
        log.event(_log, "settled", study=study, rule=rule.value, instances=len(arrivals.files), reading=reading)
        return Settled(
            study=SettledStudy(
                reading=reading,
                study=study,
                instances=len(arrivals.files),
                at=self._now().astimezone(UTC).isoformat(timespec="seconds"),
                rule=rule.value,
                replaces=note["reading"] if note and note["reading"] != reading else None,
            ),
            mark=arrivals.mark,
        )
