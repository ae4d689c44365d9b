"""The durable way of a settled study: read it, then deliver the results to every destination.

Two workflows, both on DBOS. ``read`` runs once per study content; its id is the digest of the study's
UID and instances, so that a repeated start is the same workflow. It ends by enqueuing one ``deliver``
per destination, each on that destination's own queue: a peer that is down holds up nothing but itself.

Every step can be repeated. Workflow arguments and results are ids, times and sentences; data sets stay
in files. Steps give expected failures as results, because what a recorded exception was is lost when a
workflow is replayed from JSON.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NotRequired, TypedDict

from dbos import DBOS, DBOSConfiguredInstance, SetWorkflowAttributes, SetWorkflowID, StepOptions

from node import log
from node.delivering.dispatch import dispatch
from node.delivering.outbox import Outbox
from node.settings import Settings
from node.work.inputs import FrozenInputs
from node.work.priors import Priors
from node.work.reader import Reader
from operators.reading.errors import PermanentError, Refusal, RetriableError
from operators.reading.job import Job

READING_QUEUE = "reading"
PROGRESS = "progress"
WORKFLOWS_VERSION = "1"
"""Of the workflows' steps and stored values. Only workflows of the same version are taken up again, so
it changes when those change, and not with every release."""

_log = log.logger("workflow")


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


class ReadingOutcome(TypedDict):
    """Result of the reading workflow.

    Keys:
        outcome: ``read`` or ``refused``.
        code, sentence: Why it was refused.
        objects: File names of the DICOM objects in the reading's folder.
    """

    outcome: str
    code: str | None
    sentence: str | None
    objects: list[str]


class DeliveryOutcome(TypedDict):
    """Result of a delivery.

    Keys:
        outcome: ``delivered``, ``refused`` (some objects, for good) or ``gave-up``.
        code, sentence: Why it was not delivered.
        delivered: SOP Instance UIDs that the peer has stored.
        instead: What was sent in place of something that the peer does not accept, and why.
    """

    outcome: str
    code: str | None
    sentence: str | None
    delivered: list[str]
    instead: NotRequired[list[str]]  # readings of earlier releases have none


@dataclass(frozen=True)
class Tools:
    """What the workflows work with."""

    settings: Settings
    inputs: FrozenInputs
    outbox: Outbox
    reader: Reader
    priors: Priors
    now: Callable[[], datetime]


def delivery_queue(destination: str) -> str:
    """Name of a destination's queue."""
    return f"delivery-{destination}"


def enqueue_reading(workflows: StudyWorkflows, study: SettledStudy) -> None:
    """Have a settled study read; done again for the same content it changes nothing."""
    with SetWorkflowID(study["reading"]), SetWorkflowAttributes({"study": study["study"]}):
        DBOS.enqueue_workflow(READING_QUEUE, workflows.read, study)


@DBOS.dbos_class()
class StudyWorkflows(DBOSConfiguredInstance):
    """The workflows, bound to their tools."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        super().__init__("osteon")

    @DBOS.workflow()
    def read(self, study: SettledStudy) -> ReadingOutcome:
        """Read one settled study and hand its results to the deliveries."""
        reading = self._tools.settings.reading
        options = StepOptions(
            name="read",
            retries_allowed=True,
            max_attempts=reading.attempts,
            interval_seconds=reading.wait_seconds,
            backoff_rate=2.0,
            should_retry=_is_retriable,
        )
        outcome = DBOS.run_step(options, self._read, study)
        destinations = DBOS.run_step(StepOptions(name="destinations"), self._destinations)
        if outcome["objects"]:
            for name in destinations:
                attributes = {"study": study["study"], "destination": name, "reading": study["reading"]}
                with SetWorkflowID(f"{study['reading']}-{name}"), SetWorkflowAttributes(attributes):
                    DBOS.enqueue_workflow(
                        delivery_queue(name), self.deliver, study["reading"], name, outcome["objects"]
                    )
        if outcome["outcome"] == "read":
            DBOS.run_step(StepOptions(name="tidy"), self._tidy, study["reading"])
        return outcome

    @DBOS.workflow()
    def deliver(self, reading: str, destination: str, objects: list[str]) -> DeliveryOutcome:
        """Send the objects of a reading to one destination, and confirm what it has stored."""
        peer = self._tools.settings.destinations.get(destination)
        options = StepOptions(
            name="deliver",
            retries_allowed=True,
            max_attempts=peer.attempts if peer else 1,
            interval_seconds=peer.wait_seconds if peer else 1.0,
            backoff_rate=peer.wait_growth if peer else 1.0,
            should_retry=_is_retriable,
        )
        outcome = DBOS.run_step(options, self._deliver, reading, destination, objects)
        return DBOS.run_step(StepOptions(name="confirm"), self._confirm, reading, destination, outcome)

    def _read(self, study: SettledStudy) -> ReadingOutcome:
        name = study["reading"]
        log.event(_log, "reading-began", study=study["study"], reading=name, attempt=_attempt())
        try:
            outcome = self._read_once(study)
        except PermanentError as error:
            outcome = _refused(error.code, error.sentence)
        except RetriableError as error:
            self._tell(step="waiting to try again", code=error.code, sentence=error.sentence)
            log.event(_log, "reading-failed", logging.WARNING, reading=name, error=str(error))
            if not _is_last_attempt():
                raise
            sentence = f"the study could not be read in {_attempt()} attempts; the last one failed: {error.sentence}"
            outcome = _refused(Refusal.READER_KEEPS_FAILING, sentence)
        log.event(
            _log,
            "reading-ended",
            study=study["study"],
            reading=name,
            outcome=outcome["outcome"],
            code=outcome["code"],
            objects=len(outcome["objects"]),
        )
        return outcome

    def _read_once(self, study: SettledStudy) -> ReadingOutcome:
        tools, name = self._tools, study["reading"]
        frozen = tools.inputs.of(name)
        with tools.outbox.attempt(name) as attempt:
            job = Job(
                study=frozen,
                out=attempt,
                at=datetime.fromisoformat(study["at"]),
                engine=tools.settings.reading.engine,
                options=tools.settings.reading_options,
                previous=tools.outbox.reports(study["replaces"]),
                prior=tools.priors.before(frozen),
            )
            answer = tools.reader.read(job, lambda step: self._tell(step=step))
            objects = [str(item.path.relative_to(attempt)) for item in answer.objects]
            if answer.reading_path is not None:
                tools.priors.remember(frozen, name)
            tools.outbox.publish(name, attempt)
        refusal = answer.refusal
        return ReadingOutcome(
            outcome="read" if refusal is None else "refused",
            code=None if refusal is None else refusal.code,
            sentence=None if refusal is None else refusal.sentence,
            objects=objects,
        )

    def _destinations(self) -> list[str]:
        return sorted(self._tools.settings.destinations)

    def _tidy(self, reading: str) -> None:
        self._tools.inputs.release(reading)
        self._tools.outbox.tidy(reading)

    def _deliver(self, reading: str, destination: str, objects: list[str]) -> DeliveryOutcome:
        settings = self._tools.settings
        peer = settings.destinations.get(destination)
        if peer is None:
            sentence = f"the destination {destination} is no longer in the settings; add it again and resume"
            return _undelivered("gave-up", "no-such-destination", sentence)
        folder = self._tools.outbox.folder(reading)
        try:
            sent = dispatch(folder, objects, peer, settings.receiver.ae_title)
        except RetriableError as error:
            self._tell(step="waiting to send again", code=error.code, sentence=error.sentence)
            log.event(
                _log,
                "delivery-failed",
                logging.WARNING,
                reading=reading,
                destination=destination,
                attempt=_attempt(),
                error=str(error),
            )
            if not _is_last_attempt():
                raise
            return _undelivered("gave-up", error.code, error.sentence)
        delivered, instead = list(sent.stored), list(sent.instead)
        if sent.refused:
            sentence = "; ".join(sent.refused)
            return DeliveryOutcome(
                outcome="refused",
                code="peer-refuses-object",
                sentence=sentence,
                delivered=delivered,
                instead=instead,
            )
        return DeliveryOutcome(outcome="delivered", code=None, sentence=None, delivered=delivered, instead=instead)

    def _confirm(self, reading: str, destination: str, outcome: DeliveryOutcome) -> DeliveryOutcome:
        level = logging.INFO if outcome["outcome"] == "delivered" else logging.ERROR
        log.event(
            _log,
            "delivery-ended",
            level,
            reading=reading,
            destination=destination,
            outcome=outcome["outcome"],
            code=outcome["code"],
            objects=len(outcome["delivered"]),
            instead="; ".join(outcome.get("instead", [])) or None,
        )
        return outcome

    def _tell(self, **progress: Any) -> None:
        """Note where the step stands, for whoever asks for the status."""
        DBOS.set_event(
            PROGRESS, {"at": self._tools.now().astimezone(UTC).isoformat(), "attempt": _attempt(), **progress}
        )


def _is_retriable(error: BaseException) -> bool:
    return isinstance(error, RetriableError)


def _attempt() -> int:
    """Number of the running attempt of this step, from 1."""
    status = DBOS.step_status
    return 1 + (status.current_attempt or 0) if status else 1


def _is_last_attempt() -> bool:
    status = DBOS.step_status
    return status is None or _attempt() >= (status.max_attempts or 1)


def _refused(code: str, sentence: str) -> ReadingOutcome:
    return ReadingOutcome(outcome="refused", code=str(code), sentence=sentence, objects=[])


def _undelivered(outcome: str, code: str, sentence: str) -> DeliveryOutcome:
    return DeliveryOutcome(outcome=outcome, code=code, sentence=sentence, delivered=[])
