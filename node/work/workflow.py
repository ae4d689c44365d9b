"""The durable way of a settled study: read it, then deliver the results to every destination.

Two workflows, both on DBOS. ``read`` runs once per study content; its id is the digest of the study's
UID and instances, so that a repeated start is the same workflow. It ends by enqueuing one ``deliver``
per destination, each on that destination's own queue: a peer that is down holds up nothing but itself.

An attempt that failed and may succeed later enqueues the next one with a delay and ends: waiting holds no place in
a queue, so that the studies behind it pass. What the world is to blame for (a full disk, a database that is away, a
peer that is down) is tried again for as long as it takes; a study that ends the reader is refused after some attempts.

Every step can be repeated. Workflow arguments and results are ids, times and sentences; data sets stay
in files. Steps give expected failures as results, because what a recorded exception was is lost when a
workflow is replayed from JSON.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dbos import DBOS, DBOSConfiguredInstance, SetEnqueueOptions, SetWorkflowAttributes, SetWorkflowID, StepOptions
from sqlalchemy.exc import SQLAlchemyError

from node import log
from node.delivering.destinations import Repeating
from node.delivering.dispatch import dispatch
from node.delivering.outbox import Outbox
from node.settings import Settings
from node.work import ledger
from node.work.inputs import FrozenInputs
from node.work.ledger import DeliveryOutcome, ReadingOutcome, SettledStudy, Trouble
from node.work.priors import Priors
from node.work.reader import BLAMES_STUDY, Reader
from operators.reading.errors import PermanentError, Refusal, RetriableError
from operators.reading.job import Job

_log = log.logger("workflow")
_LONGEST_READING_WAIT = 600.0
_LONGEST_DELIVERY_WAIT = 3600.0
_MOST_GROWTHS = 60
"""Pauses that grow; by then every one is the longest."""


class LeftOpenError(BaseException):
    """The workflow database could not note what became of a workflow: disk full, or database away.

    Not an :class:`Exception`: the workflow engine would note those as the workflow's end. So it stays open, and
    :meth:`StudyWorkflows.running` says that nobody works on it any more.
    """


@dataclass(frozen=True)
class Tools:
    """What the workflows work with."""

    settings: Settings
    inputs: FrozenInputs
    outbox: Outbox
    reader: Reader
    priors: Priors
    now: Callable[[], datetime]


def enqueue_reading(workflows: StudyWorkflows, study: SettledStudy) -> None:
    """Have a settled study read; done again for the same content it changes nothing."""
    with SetWorkflowID(study["reading"]), SetWorkflowAttributes({"study": study["study"]}):
        DBOS.enqueue_workflow(ledger.READING_QUEUE, workflows.read, study)


@DBOS.dbos_class()
class StudyWorkflows(DBOSConfiguredInstance):
    """The workflows, bound to their tools."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._running: set[str] = set()
        super().__init__(ledger.INSTANCE)

    @property
    def running(self) -> frozenset[str]:
        """Ids of the workflows that a thread of this process works on."""
        return frozenset(self._running)

    @DBOS.workflow()
    def read(self, study: SettledStudy, trouble: Trouble | None = None) -> ReadingOutcome:
        """Read one settled study and hand its results to the deliveries."""
        with self._open_until_noted():
            outcome = DBOS.run_step(StepOptions(name="read"), self._read, study, trouble)
            if "trouble" in outcome:
                wait = _wait(self._tools.settings.reading.wait_seconds, 2.0, outcome["trouble"], _LONGEST_READING_WAIT)
                with self._next_attempt({"study": study["study"]}, wait):
                    DBOS.enqueue_workflow(ledger.READING_QUEUE, self.read, study, outcome["trouble"])
                return outcome
            destinations = DBOS.run_step(StepOptions(name="destinations"), self._destinations)
            if outcome["objects"]:
                for name in destinations:
                    first = SetWorkflowID(ledger.delivery_id(study["reading"], name))
                    with first, SetWorkflowAttributes(_attributes(study["reading"], name, study["study"])):
                        DBOS.enqueue_workflow(
                            ledger.delivery_queue(name),
                            self.deliver,
                            study["reading"],
                            name,
                            outcome["objects"],
                            None,
                            study["study"],
                        )
            if outcome["outcome"] == "read":
                DBOS.run_step(StepOptions(name="tidy"), self._tidy, study["reading"])
            return outcome

    @DBOS.workflow()
    def deliver(
        self, reading: str, destination: str, objects: list[str], trouble: Trouble | None = None, study: str = ""
    ) -> DeliveryOutcome:
        """Send the objects of a reading to one destination, and confirm what it has stored."""
        with self._open_until_noted():
            outcome = DBOS.run_step(StepOptions(name="deliver"), self._deliver, reading, destination, objects, trouble)
            peer = self._tools.settings.destinations.get(destination)
            if "trouble" in outcome and peer is not None:
                wait = _wait(peer.wait_seconds, peer.wait_growth, outcome["trouble"], _LONGEST_DELIVERY_WAIT)
                with self._next_attempt(_attributes(reading, destination, study), wait):
                    DBOS.enqueue_workflow(
                        ledger.delivery_queue(destination),
                        self.deliver,
                        reading,
                        destination,
                        objects,
                        outcome["trouble"],
                        study,
                    )
                return outcome
            return DBOS.run_step(StepOptions(name="confirm"), self._confirm, reading, destination, outcome)

    @contextmanager
    def _open_until_noted(self) -> Iterator[None]:
        """Leave the running workflow open where the database does not take what became of it."""
        workflow = DBOS.workflow_id or ""
        self._running.add(workflow)
        try:
            yield
        except SQLAlchemyError as error:
            log.event(_log, "workflow-left-open", logging.ERROR, workflow=workflow, error=log.describe(error))
            raise LeftOpenError from error
        finally:
            self._running.discard(workflow)

    @contextmanager
    def _next_attempt(self, attributes: dict[str, Any], wait: float) -> Iterator[None]:
        """What is enqueued inside is the next attempt of the running workflow, after a wait.

        Attempts between the first, by which a repeated start is known, and the last are not kept.
        """
        own = DBOS.workflow_id or ""
        first, number = ledger.first_attempt(own), ledger.serial(own)
        if number > 2:
            DBOS.delete_workflow(ledger.attempt_id(first, number - 1))
        with (
            SetWorkflowID(ledger.attempt_id(first, number + 1)),
            SetWorkflowAttributes(attributes),
            SetEnqueueOptions(delay_seconds=wait),
        ):
            yield

    def _read(self, study: SettledStudy, trouble: Trouble | None) -> ReadingOutcome:
        name, attempt = study["reading"], 1 + (trouble["attempts"] if trouble else 0)
        log.event(_log, "reading-began", study=study["study"], reading=name, attempt=attempt)
        try:
            outcome = self._read_once(study, trouble)
        except PermanentError as error:
            outcome = _refused(error.code, error.sentence)
        except RetriableError as error:
            outcome = self._put_off_reading(name, error, trouble)
        except OSError as error:
            outcome = self._put_off_reading(name, _no_disk(error), trouble)
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

    def _put_off_reading(self, name: str, error: RetriableError, before: Trouble | None) -> ReadingOutcome:
        """The next attempt, or a refusal where the study has ended the reader too often."""
        log.event(_log, "reading-failed", logging.WARNING, reading=name, error=str(error))
        trouble = ledger.troubled(before, error.code, error.sentence, blames_study=error.code in BLAMES_STUDY)
        if trouble["blamed"] >= self._tools.settings.reading.attempts:
            blamed = trouble["blamed"]
            sentence = f"the study could not be read in {blamed} attempts; the last one failed: {error.sentence}"
            return _refused(Refusal.READER_KEEPS_FAILING, sentence)
        return ReadingOutcome(
            outcome=ledger.LATER, code=error.code, sentence=error.sentence, objects=[], trouble=trouble
        )

    def _read_once(self, study: SettledStudy, trouble: Trouble | None) -> ReadingOutcome:
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
            answer = tools.reader.read(job, lambda step: self._tell(step, trouble))
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

    def _deliver(self, reading: str, destination: str, objects: list[str], trouble: Trouble | None) -> DeliveryOutcome:
        settings = self._tools.settings
        peer = settings.destinations.get(destination)
        if peer is None:
            sentence = f"the destination {destination} is no longer in the settings; add it again and resume"
            return _undelivered("gave-up", "no-such-destination", sentence)
        folder = self._tools.outbox.folder(reading)
        try:
            sent = dispatch(folder, objects, peer, settings.receiver.ae_title)
        except RetriableError as error:
            return self._put_off_delivery(reading, destination, peer, error, trouble)
        except OSError as error:
            return self._put_off_delivery(reading, destination, peer, _no_disk(error), trouble)
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

    @staticmethod
    def _put_off_delivery(
        reading: str, destination: str, peer: Repeating, error: RetriableError, before: Trouble | None
    ) -> DeliveryOutcome:
        """The next attempt, or the end of all attempts."""
        trouble = ledger.troubled(before, error.code, error.sentence)
        log.event(
            _log,
            "delivery-failed",
            logging.WARNING,
            reading=reading,
            destination=destination,
            attempt=trouble["attempts"],
            error=str(error),
        )
        if trouble["attempts"] >= peer.attempts:
            return _undelivered("gave-up", error.code, error.sentence)
        outcome = _undelivered(ledger.LATER, error.code, error.sentence)
        outcome["trouble"] = trouble
        return outcome

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

    def _tell(self, step: str, trouble: Trouble | None) -> None:
        """Note where the reading stands, for whoever asks for the status; a reading does not fail for it."""
        attempt = 1 + (trouble["attempts"] if trouble else 0)
        at = self._tools.now().astimezone(UTC).isoformat()
        try:
            DBOS.set_event(ledger.PROGRESS, {"at": at, "attempt": attempt, "step": step})
        except SQLAlchemyError as error:
            log.event(_log, "progress-not-noted", logging.WARNING, error=log.describe(error))


def _attributes(reading: str, destination: str, study: str) -> dict[str, Any]:
    return {"study": study, "destination": destination, "reading": reading}


def _wait(first: float, growth: float, trouble: Trouble, longest: float) -> float:
    """Seconds until the next attempt."""
    return float(min(longest, first * growth ** min(trouble["attempts"] - 1, _MOST_GROWTHS)))


def _no_disk(error: OSError) -> RetriableError:
    reason = os.strerror(error.errno or 0)
    return RetriableError("storage-fails", f"the disk of storage.folder fails ({reason}); free some space or mend it")


def _refused(code: str, sentence: str) -> ReadingOutcome:
    return ReadingOutcome(outcome="refused", code=str(code), sentence=sentence, objects=[])


def _undelivered(outcome: str, code: str, sentence: str) -> DeliveryOutcome:
    return DeliveryOutcome(outcome=outcome, code=code, sentence=sentence, delivered=[])
