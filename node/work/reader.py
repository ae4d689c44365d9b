"""The parent's side of the warm reader process: one study at a time, with a time limit.

Whatever happens to the child (crash, hang, out-of-memory kill) comes out as a
:class:`~operators.reading.errors.RetriableError`; the next reading starts a fresh one.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import site
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import node
from node import log
from operators.reading.document_reference import DocumentReference
from operators.reading.errors import PermanentError, RetriableError
from operators.reading.options import DEFAULT, ReadingOptions

_log = log.logger("reader")
_TRACE_LINES = 12
_REAP_SECONDS = 10.0

Progress = Callable[[str], None]


class StoppingError(BaseException):
    """The node is being stopped in the middle of a reading.

    Not an :class:`Exception`: the workflow engine records those as the outcome of a step, and this one
    must leave the step open so that the next start takes it up again.
    """


@dataclass(frozen=True)
class ReadObject:
    """One DICOM object that a reading has written.

    Attributes:
        kind: ``SEG``, ``SR`` …
        path: Where it lies.
        sop_class_uid, sop_instance_uid: Its UIDs.
    """

    kind: str
    path: Path
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True)
class ReadAnswer:
    """What a reading has written.

    Attributes:
        objects: The DICOM objects.
        reading: The reading as JSON (:class:`operators.reading.reading.SpineReading`); None for a study that could
            not be read.
        picture: The picture for people, where there was something to draw.
        refusal: Why nothing was measured, where that is so and a report says it.
    """

    objects: tuple[ReadObject, ...]
    reading: Path | None
    picture: Path | None
    refusal: PermanentError | None


def reader_command(memory_gib: float | None = None) -> tuple[str, ...]:
    """How the reader process is started."""
    command = (sys.executable, "-m", "node.work.reader_child")
    return command if memory_gib is None else (*command, "--memory-gib", str(memory_gib))


class Reader:
    """Keeps one reader process warm.

    Args:
        command: How it is started.
        timeout_seconds: A request that takes longer is killed.
    """

    def __init__(self, command: Sequence[str], timeout_seconds: float) -> None:
        self._command = tuple(command)
        self._timeout = timeout_seconds
        self._turn = threading.Lock()
        self._stopping = threading.Event()
        self._child: _Child | None = None

    def read(
        self,
        study: Path,
        out: Path,
        at: str,
        engine: str,
        progress: Progress,
        options: ReadingOptions = DEFAULT,
        previous: Sequence[DocumentReference] = (),
        prior: Path | None = None,
    ) -> ReadAnswer:
        """Read one study.

        Args:
            study: Folder with its files.
            out: Folder for the results.
            at: Time that the results carry, ISO 8601.
            engine: Name of the segmentation engine.
            progress: Called with each step's name.
            options: What the site has decided.
            previous: Reports of an earlier reading of the same study.
            prior: ``reading.json`` of an earlier study of the same patient, to be compared with.

        Raises:
            PermanentError: The study cannot be read.
            RetriableError: The reader crashed, hung or ran out of memory.
            StoppingError: :meth:`close` was called.
        """
        job = {
            "study": str(study),
            "out": str(out),
            "at": at,
            "engine": engine,
            "options": options.model_dump(mode="json"),
            "previous": [report.model_dump(mode="json") for report in previous],
            "prior": None if prior is None else str(prior),
        }
        answer = self._request({"read": job}, "read", progress)
        objects = tuple(
            ReadObject(
                kind=item["kind"],
                path=Path(item["path"]),
                sop_class_uid=item["sop_class_uid"],
                sop_instance_uid=item["sop_instance_uid"],
            )
            for item in answer["objects"]
        )
        return ReadAnswer(
            objects=objects,
            reading=Path(answer["reading"]) if answer["reading"] else None,
            picture=Path(answer["picture"]) if answer["picture"] else None,
            refusal=PermanentError(**answer["refusal"]) if answer["refusal"] else None,
        )

    def probe(self, engine: str, options: ReadingOptions = DEFAULT) -> dict[str, str]:
        """Load an engine, with the site's own ones among the options; gives its ``name``, ``version``, ``digest``.

        Raises:
            PermanentError: There is no such engine, or its weights are missing.
            RetriableError: The reader crashed, hung or ran out of memory.
        """
        answer: dict[str, str] = self._request(
            {"probe": engine, "options": options.model_dump(mode="json")}, "probe", lambda text: None
        )
        return answer

    def close(self) -> None:
        """End the process, also in the middle of a reading."""
        self._stopping.set()
        child = self._child
        if child is not None:
            child.kill()
        # A reading notices the end of its child and lets go.
        if self._turn.acquire(timeout=_REAP_SECONDS):
            self._discard()
            self._turn.release()

    def _request(self, request: dict[str, Any], answer_key: str, progress: Progress) -> dict[str, Any]:
        with self._turn:
            if self._stopping.is_set():
                raise StoppingError
            in_step = False
            try:
                for message in self._warm_child().ask(request, time.monotonic() + self._timeout):
                    if "progress" in message:
                        progress(message["progress"])
                        continue
                    in_step = "retry" not in message
                    return _answer(message, answer_key)
            except RetriableError as error:
                if self._stopping.is_set():
                    raise StoppingError from error
                raise
            finally:
                # After anything but an orderly answer the child may be broken, or answer late.
                if not in_step:
                    self._discard()
            raise AssertionError  # ask() ends with an answer or an error

    def _warm_child(self) -> _Child:
        if self._child is None or not self._child.is_alive():
            self._discard()
            self._child = _Child(self._command)
        return self._child

    def _discard(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None


def _answer(message: dict[str, Any], key: str) -> dict[str, Any]:
    if "refused" in message:
        raise PermanentError(**message["refused"])
    if "retry" in message:
        raise RetriableError(**message["retry"])
    answer: dict[str, Any] = message[key]
    return answer


class _Child:
    """One reader process in a process group of its own."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # What libraries print there may quote a data set, and logs must not.
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=_environment(),
        )
        self._unread = b""
        self._killed = False
        log.event(_log, "reader-started", pid=self._process.pid)

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process and everything it has started. The graph's runtime ignores SIGTERM."""
        self._killed = True
        with suppress(ProcessLookupError):  # it may have ended by itself
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_REAP_SECONDS)

    def close(self) -> None:
        """End the process and give its pipes back; by the thread that uses them."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # a request that was never taken
                    pipe.close()

    def ask(self, request: dict[str, Any], deadline: float) -> Iterator[dict[str, Any]]:
        """Send a request; yields messages until one is not about progress.

        Raises:
            RetriableError: The process ended or the deadline passed.
        """
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError  # Popen was asked for both pipes
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended([]) from None
        trace: list[str] = []
        for line in self._lines(self._process.stdout.fileno(), deadline):
            if not line.startswith(b"{"):
                trace.append(line.decode("utf-8", "replace").strip())
                continue
            message: dict[str, Any] = json.loads(line)
            yield message
            if "progress" not in message:
                return
        raise self._ended(trace)

    def _lines(self, descriptor: int, deadline: float) -> Iterator[bytes]:
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while True:
                *lines, self._unread = self._unread.split(b"\n")
                yield from lines
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    sentence = (
                        "the reader did not finish in time and was killed; "
                        "raise reading.timeout_seconds if studies really take longer"
                    )
                    raise RetriableError("reader-timeout", sentence)
                chunk = os.read(descriptor, 1 << 16)
                if not chunk:
                    return
                self._unread += chunk

    def _ended(self, trace: Sequence[str]) -> RetriableError:
        status = self._process.wait(_REAP_SECONDS)
        if not self._killed:
            note = " | ".join(trace[:_TRACE_LINES]) or None
            log.event(_log, "reader-crashed", logging.ERROR, status=status, trace=note)
        if status < 0:
            name = signal.Signals(-status).name
            remedy = "; the system may be short of memory" if -status == signal.SIGKILL else ""
            return RetriableError("reader-killed", f"the reader was ended by {name}{remedy}")
        return RetriableError("reader-crashed", f"the reader ended with status {status}; see the log")


def _environment() -> dict[str, str]:
    """Ours, such that the child finds the same ``node`` package as we did."""
    environment = dict(os.environ)
    root = str(Path(node.__file__).resolve().parent.parent)
    # Where packages are installed it is found anyway, and on PYTHONPATH it would hide the standard library.
    if root not in (*site.getsitepackages(), site.getusersitepackages()):
        inherited = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{root}{os.pathsep}{inherited}" if inherited else root
    return environment
