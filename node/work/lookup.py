"""Looks into the workflow database from outside: which workflows belong to which study, and which attempt is the last.

Every look asks for what it shows, by ids and pages, because a database keeps every reading there ever was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dbos import DBOSClient, DBOSPortableJSONSerializer, WorkflowStatus
from sqlalchemy.exc import SQLAlchemyError

from node.settings import Settings
from node.work import ledger
from node.work.notes import Notes
from operators.reading.errors import RetriableError


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
        raise unreadable(error) from error


def unreadable(error: SQLAlchemyError) -> RetriableError:
    """What to say of a database that cannot be read."""
    kind = type(error).__name__  # its message may quote the password in the URL
    sentence = f"the workflow database cannot be read ({kind}); is it running, and has osteon serve run on it?"
    return RetriableError("no-database", sentence)


def newest_readings(client: DBOSClient, limit: int | None = None, offset: int = 0) -> list[WorkflowStatus]:
    """First attempts of readings, the newest first."""
    found = client.list_workflows(
        name=ledger.READ, has_parent=False, limit=limit, offset=offset, sort_desc=True, load_output=False
    )
    return [workflow for workflow in found if ledger.serial(workflow.workflow_id) == 1]


def attempts_of(client: DBOSClient, readings: Sequence[str]) -> list[WorkflowStatus]:
    """Every attempt to read and to deliver these readings."""
    return client.list_workflows(workflow_id_prefix=list(readings)) if readings else []


def workflows_of(client: DBOSClient, settings: Settings, study: str) -> list[WorkflowStatus]:
    """Every attempt to read and to deliver a study, all of its readings included."""
    note = Notes(settings.storage.work, make=False).load(study)
    if note is None:  # handed on, and not yet noted; SQLite cannot filter by attributes
        known = client.list_workflows(load_input=False, load_output=False)
        mine = {workflow.workflow_id for workflow in known if (workflow.attributes or {}).get("study") == study}
        return client.list_workflows(workflow_ids=sorted(mine)) if mine else []
    found: list[WorkflowStatus] = []
    reading: str | None = note["reading"]
    while reading is not None:
        attempts = attempts_of(client, [reading])
        found = attempts + found  # the oldest first
        first = next((workflow for workflow in attempts if workflow.workflow_id == reading), None)
        reading = first.input["args"][0].get("replaces") if first is not None and first.input else None
    return found


def latest_attempts(workflows: Iterable[WorkflowStatus]) -> list[WorkflowStatus]:
    """The last attempt of each reading and delivery."""
    latest: dict[str, WorkflowStatus] = {}
    for workflow in workflows:
        first = ledger.first_attempt(workflow.workflow_id)
        if first not in latest or ledger.serial(workflow.workflow_id) > ledger.serial(latest[first].workflow_id):
            latest[first] = workflow
    return list(latest.values())
