"""``osteon status``: where every study stands and why, read from the inbox and the workflow database.

Works beside a running node and without one. Studies are named by their UIDs; no patient data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from dbos import DBOSClient, DBOSPortableJSONSerializer, WorkflowStatus
from sqlalchemy.exc import SQLAlchemyError

from node.receiving.inbox import Inbox
from node.settings import Settings
from node.work.notes import Notes
from node.work.workflow import PROGRESS
from operators.reading.errors import RetriableError

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
        state: ``receiving``, ``waiting``, ``reading``, ``read``, ``refused``, ``failed``, ``cancelled``.
        since: When it settled, ISO 8601.
        instances: Number of instances.
        rule: Which rule decided that it had settled.
        step: The step that is running.
        attempt: Its attempt.
        reason: Code and sentence where it does not go on by itself or was refused.
        conflicts: Instances kept beside others with the same SOP Instance UID.
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
    replaces: str | None = None
    deliveries: tuple[DeliveryStatus, ...] = field(default=())

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen by itself."""
        ends = {"read", "refused", "failed", "cancelled"}
        sent = {"delivered", "refused", "gave-up", "failed", "cancelled"}
        return self.state in ends and all(delivery.state in sent for delivery in self.deliveries)


def study_statuses(settings: Settings) -> list[StudyStatus]:
    """All studies, the newest last.

    Raises:
        RetriableError: The workflow database cannot be read.
    """
    inbox = Inbox(settings.storage.inbox)
    found = _from_database(settings, inbox) if _database_exists(settings) else []
    notes = Notes(settings.storage.work)
    for study in inbox.studies():
        note = notes.load(study)
        if note is None or note["mark"] != inbox.mark(study):
            instances = len(inbox.arrivals(study).files)
            conflicts = inbox.conflicts(study)
            found.append(StudyStatus(study, None, "receiving", instances=instances, conflicts=conflicts))
    return found


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


def open_client(settings: Settings) -> DBOSClient:
    """A connection to the workflow database.

    Raises:
        RetriableError: It cannot be reached.
    """
    try:
        return DBOSClient(
            system_database_url=settings.database_url,
            serializer=DBOSPortableJSONSerializer(),
            application_name="osteon",
            retry_connection_errors=False,
        )
    except SQLAlchemyError as error:
        raise _unreadable(error) from error


def _unreadable(error: SQLAlchemyError) -> RetriableError:
    kind = type(error).__name__  # its message may quote the password in the URL
    sentence = f"the workflow database cannot be read ({kind}); is it running, and has osteon serve run on it?"
    return RetriableError("no-database", sentence)


def _database_exists(settings: Settings) -> bool:
    """False before the first start; asking SQLite would create an empty file."""
    is_sqlite = settings.database_url.startswith("sqlite")
    if not is_sqlite or settings.database.url is not None:
        return True
    return (settings.storage.folder / "osteon.sqlite").is_file()


def _from_database(settings: Settings, inbox: Inbox) -> list[StudyStatus]:
    client = open_client(settings)
    try:
        workflows = client.list_workflows()
        deliveries: dict[str, list[DeliveryStatus]] = {}
        for workflow in workflows:
            attributes = workflow.attributes or {}
            if "destination" in attributes:
                deliveries.setdefault(attributes["reading"], []).append(_delivery(client, workflow))
        return [
            _study(client, workflow, tuple(deliveries.get(workflow.workflow_id, ())), inbox)
            for workflow in workflows
            if "destination" not in (workflow.attributes or {})
        ]
    except SQLAlchemyError as error:
        raise _unreadable(error) from error
    finally:
        client.destroy()


def _study(
    client: DBOSClient, workflow: WorkflowStatus, deliveries: tuple[DeliveryStatus, ...], inbox: Inbox
) -> StudyStatus:
    given = workflow.input["args"][0] if workflow.input else {}
    progress = _progress(client, workflow)
    outcome = workflow.output or {}
    state = outcome.get("outcome", "read") if workflow.status == "SUCCESS" else _STATES[workflow.status]
    reason = _reason(outcome) or _reason(progress)
    if state == "failed":
        reason = _FAILED
    return StudyStatus(
        study=given.get("study", "?"),
        reading=workflow.workflow_id,
        state=state,
        since=given.get("at"),
        instances=given.get("instances"),
        rule=given.get("rule"),
        step=progress.get("step"),
        attempt=progress.get("attempt"),
        reason=reason,
        conflicts=inbox.conflicts(given.get("study", "?")),
        replaces=given.get("replaces"),
        deliveries=deliveries,
    )


def _delivery(client: DBOSClient, workflow: WorkflowStatus) -> DeliveryStatus:
    progress = _progress(client, workflow)
    outcome = workflow.output or {}
    state = _DELIVERY_STATES.get(workflow.status) or outcome.get("outcome", "delivered")
    return DeliveryStatus(
        destination=(workflow.attributes or {})["destination"],
        state=state,
        reason=_FAILED if state == "failed" else _reason(outcome) or _reason(progress),
        attempt=progress.get("attempt"),
        instead=tuple(outcome.get("instead", ())),
    )


def _progress(client: DBOSClient, workflow: WorkflowStatus) -> dict[str, Any]:
    if workflow.status != "PENDING":
        return {}
    progress: dict[str, Any] | None = client.get_event(workflow.workflow_id, PROGRESS, 0)
    return progress or {}


def _reason(source: dict[str, Any]) -> str | None:
    if not source.get("code"):
        return None
    return f"{source['code']}: {source['sentence']}"
