"""What stands in the workflow database: inputs and results of the workflows, and what their ids tell.

A reading has the id of its content's digest, its delivery to a destination ``<digest>-<destination>``. An attempt that
failed and may succeed later ends its workflow and enqueues the next one, ``<id>~2``, ``<id>~3`` …, which waits in the
database and holds no place in a queue meanwhile.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

READING_QUEUE = "reading"
PROGRESS = "progress"
INSTANCE = "osteon"
"""Name of the configured instance that the workflows belong to."""
READ = "StudyWorkflows.read"
WORKFLOWS_VERSION = "1"
"""Version of the steps and stored values. DBOS resumes only workflows of the same version: bump it when a workflow of
the release before could not go on any more."""
LATER = "later"
"""Outcome of an attempt that another one follows."""
_SERIAL = "~"


class SettledStudy(TypedDict):
    """Input of the reading workflow.

    Keys:
        reading: Name of the reading: digest of the study's content.
        study: Study Instance UID.
        instances: Number of instances.
        at: When it settled, ISO 8601; the time that the results carry.
        rule: Which rule decided that it had settled.
        replaces: The reading of this study that this one comes after, if there is one.
    """

    reading: str
    study: str
    instances: int
    at: str
    rule: str
    replaces: str | None


class Trouble(TypedDict):
    """Why the attempt before this one failed, as the second input of a workflow.

    Keys:
        attempts: Number of attempts that have failed.
        blamed: Number of those that the study itself may be to blame for.
        code, sentence: Of the last one.
    """

    attempts: int
    blamed: int
    code: str
    sentence: str


class ReadingOutcome(TypedDict):
    """Result of the reading workflow.

    Keys:
        outcome: ``read``, ``refused`` or ``later``.
        code, sentence: Why it was refused or put off.
        objects: File names of the DICOM objects in the reading's folder.
        trouble: What the next attempt is told.
    """

    outcome: str
    code: str | None
    sentence: str | None
    objects: list[str]
    trouble: NotRequired[Trouble]


class DeliveryOutcome(TypedDict):
    """Result of a delivery.

    Keys:
        outcome: ``delivered``, ``refused`` (some objects, for good), ``gave-up`` or ``later``.
        code, sentence: Why it was not delivered.
        delivered: SOP Instance UIDs that the peer has stored.
        instead: What was sent in place of something that the peer does not accept, and why.
        trouble: What the next attempt is told.
    """

    outcome: str
    code: str | None
    sentence: str | None
    delivered: list[str]
    instead: NotRequired[list[str]]  # readings of earlier releases have none
    trouble: NotRequired[Trouble]


def delivery_queue(destination: str) -> str:
    """Name of a destination's queue."""
    return f"delivery-{destination}"


def delivery_id(reading: str, destination: str) -> str:
    """Id of the first attempt to deliver a reading."""
    return f"{reading}-{destination}"


def first_attempt(workflow: str) -> str:
    """Id of the first attempt of what a workflow is an attempt of."""
    return workflow.partition(_SERIAL)[0]


def serial(workflow: str) -> int:
    """Which attempt a workflow is, from 1."""
    return int(workflow.partition(_SERIAL)[2] or 1)


def attempt_id(first: str, number: int) -> str:
    """Id of an attempt, from 1."""
    return first if number == 1 else f"{first}{_SERIAL}{number}"


def troubled(before: Trouble | None, code: str, sentence: str, *, blames_study: bool = False) -> Trouble:
    """What the next attempt is told after one more has failed."""
    return Trouble(
        attempts=1 + (before["attempts"] if before else 0),
        blamed=int(blames_study) + (before["blamed"] if before else 0),
        code=code,
        sentence=sentence,
    )
