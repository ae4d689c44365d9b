"""``osteon resume``: what ended without success is taken up again, because somebody has seen to it."""

from __future__ import annotations

from dbos import WorkflowStatus

from node.settings import Settings
from node.status import open_client
from node.work.workflow import READING_QUEUE, WORKFLOWS_VERSION, delivery_queue
from operators.reading.errors import PermanentError

_GOOD = ("read", "delivered")


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
        # Not filtered by the database: SQLite cannot.
        known = client.list_workflows(load_input=False)
        workflows = [found for found in known if (found.attributes or {}).get("study") == study]
        if not workflows:
            raise PermanentError("no-such-study", f"no reading of a study {study} is known; see osteon status")
        resumed = []
        for workflow in workflows:
            if not _has_failed(workflow):
                continue
            destination = (workflow.attributes or {}).get("destination")
            queue = delivery_queue(destination) if destination else READING_QUEUE
            client.rewind_workflow(workflow.workflow_id, application_version=WORKFLOWS_VERSION, queue_name=queue)
            resumed.append(f"delivery to {destination}" if destination else "reading")
    finally:
        client.destroy()
    if not resumed:
        raise PermanentError("nothing-to-resume", f"nothing of the study {study} has failed; see osteon status")
    return resumed


def _has_failed(workflow: WorkflowStatus) -> bool:
    if workflow.status in ("ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"):
        return True
    return workflow.status == "SUCCESS" and (workflow.output or {}).get("outcome") not in _GOOD
