"""The parent's side of the warm reader process: one study at a time, with a time limit.

Whatever happens to the child (crash, hang, out-of-memory kill) comes out as a
:class:`~operators.reading.errors.RetriableError`; the next reading starts a fresh one.
"""

from __future__ import annotations

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
from pathlib import Path

import node
from node import log
from node.work import border
from operators.reading.errors import RetriableError
from operators.reading.job import Job, ReadResult
from operators.reading.options import DEFAULT, ReadingOptions

_log = log.logger("reader")
_TRACE_LINES = 12
_REAP_SECONDS = 10.0

BLAMES_STUDY = frozenset(
    {"reader-crashed", "reader-killed", "reader-timeout", "reader-out-of-memory", "reader-confused"}
)
"""Codes of failures that the study itself may be to blame for; of others the world is."""

Progress = Callable[[str], None]


class StoppingError(BaseException):
    """The node is being stopped in the middle of a reading.

    Not an :class:`Exception`: the workflow engine records those as the outcome of a step, and this one
    must leave the step open so that the next start takes it up again.
    """


def reader_command(memory_gib: float | None = None) -> tuple[str, ...]:
    """How the reader process is started; ``-P`` keeps it from importing what lies in the working folder."""
    command = (sys.executable, "-P", "-m", "node.work.reader_child")
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

    def read(self, job: Job, progress: Progress) -> ReadResult:
        """Read one study.

        Args:
            job: What is asked.
            progress: Called with each step's name.

        Raises:
            PermanentError: The study cannot be read.
            RetriableError: The reader crashed, hung or ran out of memory.
            StoppingError: :meth:`close` was called.
        """
        answer = self._request(border.Read(job=job), progress)
        if not isinstance(answer, border.HasRead):
            raise _misfit(answer)
        return answer.result

    def probe(self, engine: str, options: ReadingOptions = DEFAULT) -> border.EngineFound:
        """Load an engine, with the site's own ones among the options.

        Raises:
            PermanentError: There is no such engine, or its weights are missing.
            RetriableError: The reader crashed, hung or ran out of memory.
        """
        answer = self._request(border.Probe(engine=engine, options=options), lambda step: None)
        if not isinstance(answer, border.EngineFound):
            raise _misfit(answer)
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

    def _request(self, request: border.Request, progress: Progress) -> border.Answer:
        with self._turn:
            if self._stopping.is_set():
                raise StoppingError
            in_step = False
            try:
                for message in self._warm_child().ask(request, time.monotonic() + self._timeout):
                    if isinstance(message, border.Progress):
                        progress(message.step)
                        continue
                    if isinstance(message, border.Failed):
                        raise message.error
                    in_step = True
                    if isinstance(message, border.Refused):
                        raise message.error
                    return message
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


def _misfit(answer: border.Answer) -> RetriableError:
    return RetriableError("reader-confused", f"the reader gave an answer ({answer.say}) to another question")


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
            env=reader_environment(),
        )
        self._unread = b""
        self._killed = False
        self._has_spoken = False
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

    def ask(self, request: border.Request, deadline: float) -> Iterator[border.Message]:
        """Send a request; yields messages until one is not about progress.

        Raises:
            RetriableError: The process ended or the deadline passed.
        """
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError  # Popen was asked for both pipes
        try:
            self._process.stdin.write(border.line_of(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended([]) from None
        trace: list[str] = []
        for line in self._lines(self._process.stdout.fileno(), deadline):
            message = border.message_in(line)
            if message is None:
                trace.append(line.decode("utf-8", "replace").strip())
                continue
            self._has_spoken = True
            yield message
            if not isinstance(message, border.Progress):
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
        if not self._has_spoken:
            sentence = f"the reader process cannot start (status {status}); try osteon check"
            return RetriableError("reader-cannot-start", sentence)
        if status < 0:
            name = signal.Signals(-status).name
            remedy = "; the system may be short of memory" if -status == signal.SIGKILL else ""
            return RetriableError("reader-killed", f"the reader was ended by {name}{remedy}")
        return RetriableError("reader-crashed", f"the reader ended with status {status}; see the log")


def reader_environment() -> dict[str, str]:
    """Our own, such that the child finds the same ``node`` package as we did."""
    environment = dict(os.environ)
    root = str(Path(node.__file__).resolve().parent.parent)
    # Where packages are installed it is found anyway, and on PYTHONPATH it would hide the standard library.
    ours = [] if root in (*site.getsitepackages(), site.getusersitepackages()) else [root]
    # An empty entry would mean the working folder.
    inherited = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return {**environment, "PYTHONPATH": os.pathsep.join([*ours, *inherited])}
