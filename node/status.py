"""``osteon status``: where every study stands and why, read from the inbox and the workflow database.

Works beside a running node and without one. Studies are named by their UIDs; no patient data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from dbos import DBOSClient, WorkflowStatus
from sqlalchemy.exc import SQLAlchemyError

from node.receiving.inbox import Inbox
from node.settings import Settings
from node.work import ledger
from node.work.lookup import (
    attempts_of,
    latest_attempts,
    newest_readings,
    open_client,
    unreadable,
    workflows_of,
)
from node.work.notes import Notes

_STATES = {
    "ENQUEUED": "waiting",
    "DELAYED": "waiting",
    "PENDING": "reading",
    "ERROR": "failed",
    "CANCELLED": "cancelled",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "failed",
}
_DELIVERY_STATES = {**_STATES, "PENDING": "sending"}
_FAILED = "an error nobody expected; the log names its place. Resume it with: osteon resume"


@dataclass(frozen=True)
class DeliveryStatus:
    """How far the results are on their way to one destination.

    Attributes:
        destination: Its name.
        state: ``waiting``, ``sending``, ``delivered``, ``refused``, ``gave-up``, ``failed``, ``cancelled``.
        reason: Code and sentence where it does not go on by itself or was refused.
        attempt: Which attempt is running.
        instead: What was sent in place of something that the peer does not accept, and why.
    """

    destination: str
    state: str
    reason: str | None = None
    attempt: int | None = None
    instead: tuple[str, ...] = ()


@dataclass(frozen=True)
class StudyStatus:
    """Where one reading of a study stands, or a study that has no reading yet.

    Attributes:
        study: Study Instance UID.
        reading: Name of the reading; None while instances are still expected.
        state: ``receiving``, ``set-aside``, ``waiting``, ``reading``, ``read``, ``refused``, ``failed``, ``cancelled``.
        since: When it settled, ISO 8601.
        instances: Number of instances.
        rule: Which rule decided that it had settled.
        step: The step that is running.
        attempt: Its attempt.
        reason: Code and sentence where it does not go on by itself or was refused.
        conflicts: Instances kept beside others with the same SOP Instance UID.
        broken: Instances in quarantine: their data set breaks off or is none.
        replaces: The earlier reading of this study.
        deliveries: One per destination.
    """

    study: str
    reading: str | None
    state: str
    since: str | None = None
    instances: int | None = None
    rule: str | None = None
    step: str | None = None
    attempt: int | None = None
    reason: str | None = None
    conflicts: int = 0
    broken: int = 0
    replaces: str | None = None
    deliveries: tuple[DeliveryStatus, ...] = field(default=())

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen by itself."""
        ends = {"read", "refused", "failed", "cancelled", "set-aside"}
        sent = {"delivered", "refused", "gave-up", "failed", "cancelled"}
        return self.state in ends and all(delivery.state in sent for delivery in self.deliveries)


@dataclass(frozen=True)
class Page:
    """Which studies are asked for.

    Attributes:
        limit: At most so many readings, the newest; None for all.
        offset: So many of the newest are passed over.
        study: Only this study; then ``limit`` and ``offset`` do not count.
    """

    limit: int | None = None
    offset: int = 0
    study: str | None = None


EVERYTHING = Page()


def study_statuses(settings: Settings, page: Page = EVERYTHING) -> list[StudyStatus]:
    """Studies with their readings, the newest last; at the end those that have unread instances.

    Raises:
        RetriableError: The workflow database cannot be read.
    """
    inbox, notes = Inbox(settings.storage.inbox, make=False), Notes(settings.storage.work, make=False)
    found = _from_database(settings, inbox, page) if _database_exists(settings) else []
    if page.offset:
        return found
    marks = inbox.marks()
    handed_on = notes.marks()
    unread = sorted(
        study
        for study, mark in marks.items()
        if page.study in (None, study) and handed_on.get(study) != mark and not notes.is_handed_on(study, mark)
    )
    only_broken = sorted(set(inbox.with_broken()) - set(marks)) if page.study is None else []
    return found + [_unread(study, inbox, notes) for study in (*unread, *only_broken)]


def _unread(study: str, inbox: Inbox, notes: Notes) -> StudyStatus:
    """A study with instances that no reading has seen."""
    instances = len(inbox.arrivals(study).files) if inbox.holds(study) else 0
    trouble = notes.trouble(study)
    return StudyStatus(
        study,
        None,
        state="set-aside" if trouble or not instances else "receiving",
        instances=instances,
        reason=None if trouble is None else f"cannot-look-at-study: {trouble}",
        conflicts=inbox.conflicts(study),
        broken=inbox.broken(study),
    )


def table(statuses: Sequence[StudyStatus]) -> str:
    """The statuses for a person to read."""
    if not statuses:
        return "no study has been received yet"
    lines = []
    for status in statuses:
        lines.append(f"{status.study}")
        facts = [status.state]
        if status.step and status.state == "reading":
            facts.append(status.step)
        if status.attempt and status.attempt > 1:
            facts.append(f"attempt {status.attempt}")
        if status.instances is not None:
            facts.append(f"{status.instances} instances")
        if status.rule:
            facts.append(f"settled {status.since} by {status.rule}")
        if status.replaces:
            facts.append("later slices, read again")
        if status.conflicts:
            facts.append(f"{status.conflicts} conflicting instances kept aside")
        if status.broken:
            facts.append(f"{status.broken} broken instances in quarantine, send them again")
        lines.append("    " + ", ".join(facts))
        if status.reason:
            lines.append(f"    why: {status.reason}")
        for delivery in status.deliveries:
            attempt = f", attempt {delivery.attempt}" if delivery.attempt and delivery.attempt > 1 else ""
            reason = f": {delivery.reason}" if delivery.reason else ""
            lines.append(f"    to {delivery.destination}: {delivery.state}{attempt}{reason}")
            lines += [f"        {sentence}" for sentence in delivery.instead]
    return "\n".join(lines)


def as_json(statuses: Sequence[StudyStatus]) -> list[dict[str, Any]]:
    """The statuses for a program to read."""
    return [asdict(status) for status in statuses]


def _database_exists(settings: Settings) -> bool:
    """False before the first start; asking SQLite would create an empty file."""
    is_sqlite = settings.database_url.startswith("sqlite")
    if not is_sqlite or settings.database.url is not None:
        return True
    return (settings.storage.folder / "osteon.sqlite").is_file()


def _from_database(settings: Settings, inbox: Inbox, page: Page) -> list[StudyStatus]:
    client = open_client(settings)
    try:
        workflows = _workflows(client, settings, page)
        deliveries: dict[str, list[DeliveryStatus]] = {}
        readings = []
        for workflow in sorted(latest_attempts(workflows), key=lambda found: found.created_at or 0):
            reading = (workflow.attributes or {}).get("reading")
            if reading is not None:
                deliveries.setdefault(reading, []).append(_delivery(workflow))
            else:
                readings.append(workflow)
        first = {workflow.workflow_id: workflow.created_at or 0 for workflow in workflows}
        readings.sort(key=lambda found: first.get(ledger.first_attempt(found.workflow_id), 0))
        return [
            _study(client, workflow, tuple(deliveries.get(ledger.first_attempt(workflow.workflow_id), ())), inbox)
            for workflow in readings
        ]
    except SQLAlchemyError as error:
        raise unreadable(error) from error
    finally:
        client.destroy()


def _workflows(client: DBOSClient, settings: Settings, page: Page) -> list[WorkflowStatus]:
    if page.study is not None:
        return workflows_of(client, settings, page.study)
    if page.limit is None and not page.offset:
        return client.list_workflows()
    newest = newest_readings(client, page.limit, page.offset)
    return attempts_of(client, [workflow.workflow_id for workflow in newest])


def _study(
    client: DBOSClient, workflow: WorkflowStatus, deliveries: tuple[DeliveryStatus, ...], inbox: Inbox
) -> StudyStatus:
    given = workflow.input["args"][0] if workflow.input else {}
    progress = _progress(client, workflow)
    trouble = _trouble(workflow, 1)
    outcome = workflow.output or {}
    state = _state(workflow, _STATES, "read")
    study = given.get("study", "?")
    return StudyStatus(
        study=study,
        reading=ledger.first_attempt(workflow.workflow_id),
        state=state,
        since=given.get("at"),
        instances=given.get("instances"),
        rule=given.get("rule"),
        step=progress.get("step"),
        attempt=progress.get("attempt") or _attempt(trouble),
        reason=_FAILED if state == "failed" else _reason(outcome) or _reason(trouble),
        conflicts=inbox.conflicts(study),
        broken=inbox.broken(study),
        replaces=given.get("replaces"),
        deliveries=deliveries,
    )


def _delivery(workflow: WorkflowStatus) -> DeliveryStatus:
    trouble = _trouble(workflow, 3)
    outcome = workflow.output or {}
    state = _state(workflow, _DELIVERY_STATES, "delivered")
    return DeliveryStatus(
        destination=(workflow.attributes or {})["destination"],
        state=state,
        reason=_FAILED if state == "failed" else _reason(outcome) or _reason(trouble),
        attempt=_attempt(trouble),
        instead=tuple(outcome.get("instead", ())),
    )


def _state(workflow: WorkflowStatus, states: Mapping[str, str], good: str) -> str:
    if workflow.status != "SUCCESS":
        return states[workflow.status]
    outcome = str((workflow.output or {}).get("outcome", good))
    return "waiting" if outcome == ledger.LATER else outcome  # the next attempt is just being enqueued


def _trouble(workflow: WorkflowStatus, place: int) -> dict[str, Any]:
    """What an attempt was told of the one before it: the input at a place, where there is one."""
    given = workflow.input["args"] if workflow.input else ()
    found: dict[str, Any] = (given[place] if len(given) > place else None) or {}
    return found


def _attempt(trouble: dict[str, Any]) -> int | None:
    return 1 + int(trouble["attempts"]) if trouble else None


def _progress(client: DBOSClient, workflow: WorkflowStatus) -> dict[str, Any]:
    if workflow.status != "PENDING":
        return {}
    progress: dict[str, Any] | None = client.get_event(workflow.workflow_id, ledger.PROGRESS, 0)
    return progress or {}


def _reason(source: dict[str, Any]) -> str | None:
    if not source.get("code"):
        return None
    return f"{source['code']}: {source['sentence']}"
