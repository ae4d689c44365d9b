"""Looks through the inbox for studies that have settled since they were last handed on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

from node import log
from node.delivering.outbox import Outbox
from node.durable import write_json
from node.receiving.inbox import Arrivals, Inbox, content_digest
from node.settings import Settings
from node.work.inputs import FrozenInputs
from node.work.settling import Rule, Waiting, count_missing_slices, settled_by
from node.work.workflow import SettledStudy

_log = log.logger("settling")


@dataclass(frozen=True)
class Settled:
    """A study to be handed on.

    Attributes:
        study: Input of its workflow.
        mark: State of the inbox that it was made from.
    """

    study: SettledStudy
    mark: int


class Note(TypedDict):
    """What is noted on disk of a study that was handed on."""

    mark: int
    at: str
    reading: str


class Notes:
    """Small files that say up to where each study was handed on.

    By them a start does not read the whole inbox again. A lost one costs a look at the study's files:
    their digest leads to the same workflow.

    Args:
        work: The work folder.
    """

    def __init__(self, work: Path) -> None:
        self._folder = work / "settled"
        self._folder.mkdir(parents=True, exist_ok=True)

    def load(self, study: str) -> Note | None:
        """The note on a study, if there is one."""
        path = self._path(study)
        if not path.is_file():
            return None
        note: Note = json.loads(path.read_text())
        return note

    def save(self, study: str, note: Note) -> None:
        """Note a study durably."""
        write_json(self._path(study), note)

    def _path(self, study: str) -> Path:
        return self._folder / f"{study}.json"


class Settler:
    """Finds studies with instances that no reading has seen, once they have settled.

    Args:
        settings: Quiet times, and the work folder that the notes lie in.
        inbox: Where instances come from.
        inputs: Where settled studies are frozen.
        outbox: Where finished readings lie.
        is_sending: Whether an association that brings a study is open.
        now: The clock.
    """

    def __init__(
        self,
        settings: Settings,
        inbox: Inbox,
        inputs: FrozenInputs,
        outbox: Outbox,
        is_sending: Callable[[str], bool],
        now: Callable[[], datetime],
    ) -> None:
        self._settling = settings.settling
        self._inbox = inbox
        self._inputs = inputs
        self._outbox = outbox
        self._is_sending = is_sending
        self._now = now
        self._started = now().timestamp()
        self._on_disk = Notes(settings.storage.work)
        self._notes: dict[str, Note | None] = {}
        self._gaps: dict[str, tuple[int, int]] = {}

    def settle(self) -> list[Settled]:
        """The studies that have settled by now, frozen for their reading."""
        found = []
        for study in self._inbox.studies():
            if study not in self._notes:
                self._notes[study] = self._on_disk.load(study)
            note = self._notes[study]
            if note is None or self._inbox.mark(study) != note["mark"]:
                settled = self._settle_one(study, note)
                if settled is not None:
                    found.append(settled)
        return found

    def remember(self, settled: Settled) -> None:
        """Note that a study was handed on; until then it settles again at the next look."""
        study = settled.study["study"]
        note = Note(mark=settled.mark, at=settled.study["at"], reading=settled.study["reading"])
        self._on_disk.save(study, note)
        self._notes[study] = note
        self._gaps.pop(study, None)

    def _settle_one(self, study: str, note: Note | None) -> Settled | None:
        arrivals = self._inbox.arrivals(study)
        rule = self._rule(study, arrivals, note)
        if rule is None:
            return None
        reading = content_digest(study, arrivals.files)
        if not self._outbox.has(reading):
            self._inputs.freeze(reading, arrivals.files)
        previous = note["reading"] if note else None
        log.event(_log, "settled", study=study, rule=rule.value, instances=len(arrivals.files), reading=reading)
        return Settled(
            study=SettledStudy(
                reading=reading,
                study=study,
                instances=len(arrivals.files),
                at=self._now().astimezone(UTC).isoformat(timespec="seconds"),
                rule=rule.value,
                replaces=previous if previous != reading else None,
            ),
            mark=arrivals.mark,
        )

    def _rule(self, study: str, arrivals: Arrivals, note: Note | None) -> Rule | None:
        before = datetime.fromisoformat(note["at"]).timestamp() if note else 0.0
        unread = [time for time in arrivals.times if time >= before] or list(arrivals.times)
        if not unread:
            return None
        waiting = Waiting(
            first=min(unread),
            # A sender that we cut off by ending needs time to come back.
            last=max(*unread, self._started),
            sending=self._is_sending(study),
        )
        return settled_by(waiting, self._now().timestamp(), self._settling, lambda: self._missing(study, arrivals))

    def _missing(self, study: str, arrivals: Arrivals) -> int:
        """Missing slices, counted once per state of the inbox: this reads every header."""
        mark, missing = self._gaps.get(study, (0, 0))
        if mark != arrivals.mark:
            missing = count_missing_slices(arrivals.files)
            self._gaps[study] = (arrivals.mark, missing)
        return missing
