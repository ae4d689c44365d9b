"""``osteon resume``: what ended without success is taken up again, because somebody has seen to it."""

from __future__ import annotations

from dbos import DBOSClient, EnqueueOptions, WorkflowStatus
from sqlalchemy.exc import SQLAlchemyError

from node.settings import Settings
from node.work import ledger
from node.work.lookup import latest_attempts, open_client, unreadable, workflows_of
from operators.reading.errors import PermanentError

_GOOD = ("read", "delivered", ledger.LATER)


def resume_study(settings: Settings, study: str) -> list[str]:
    """Take up every ended reading and delivery of a study that did not succeed.

    Args:
        settings: The settings tree.
        study: Study Instance UID.

    Returns:
        What was taken up, by name.

    Raises:
        PermanentError: The study is not known, or nothing of it has failed.
    """
    client = open_client(settings)
    try:
        attempts = latest_attempts(workflows_of(client, settings, study))
        if not attempts:
            raise PermanentError("no-such-study", f"no reading of a study {study} is known; see osteon status")
        resumed = [_resume(client, workflow) for workflow in attempts if _has_failed(workflow)]
    except SQLAlchemyError as error:
        raise unreadable(error) from error
    finally:
        client.destroy()
    if not resumed:
        raise PermanentError("nothing-to-resume", f"nothing of the study {study} has failed; see osteon status")
    return resumed


def _resume(client: DBOSClient, last: WorkflowStatus) -> str:
    """Enqueue one more attempt, as if none had failed; gives its name."""
    attributes = dict(last.attributes or {})
    destination = attributes.get("destination")
    given = last.input["args"] if last.input else []
    options = EnqueueOptions(
        workflow_name=last.name,
        class_name=last.class_name or "",
        instance_name=ledger.INSTANCE,
        queue_name=ledger.delivery_queue(destination) if destination else ledger.READING_QUEUE,
        workflow_id=ledger.attempt_id(ledger.first_attempt(last.workflow_id), ledger.serial(last.workflow_id) + 1),
        app_version=ledger.WORKFLOWS_VERSION,
        attributes=attributes,
    )
    if destination:
        client.enqueue(options, *given[:3], None, attributes.get("study", ""))
        return f"delivery to {destination}"
    client.enqueue(options, given[0])
    return "reading"


def _has_failed(workflow: WorkflowStatus) -> bool:
    if workflow.status in ("ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"):
        return True
    return workflow.status == "SUCCESS" and (workflow.output or {}).get("outcome") not in _GOOD
