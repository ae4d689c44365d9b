"""The process that reads studies: ``python -P -m node.work.reader_child``, kept warm by :mod:`node.work.reader`.

It exists because the graph's runtime takes over the process's signals, because weights are worth
keeping in memory, and because a crash, a hang or an out-of-memory kill must cost one attempt and
nothing else.

What goes in and out is :mod:`node.work.border`. The end of the input ends the process at once, whatever it is
doing, so that it never outlives its parent.
"""

from __future__ import annotations

import argparse
import errno
import faulthandler
import os
import queue
import resource
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TextIO

from node.work import border
from operators.reading.errors import PermanentError, RetriableError
from operators.reading.job import Job

STACK_BYTES = 32 << 20
"""Holoscan warns below this."""
_PARENT_GONE = 3
_UNEXPECTED = 70
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE})


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve requests until the input ends."""
    options = _options(arguments)
    _raise_stack_limit()
    if options.memory_gib is not None:
        limit = int(options.memory_gib * (1 << 30))
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    _go_first_when_memory_is_short()
    answers = _private_output()
    faulthandler.enable(answers)
    sys.excepthook = _Reporter(answers).report
    requests = _requests()
    _send(answers, border.Progress(step="ready"))
    while True:
        _send(answers, _answer(requests.get(), answers))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="node.work.reader_child")
    parser.add_argument("--memory-gib", type=float)
    return parser.parse_args(arguments)


def _raise_stack_limit() -> None:
    """Start again with the larger stack: threads get theirs by the limit at the start of the program."""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    wanted = STACK_BYTES if hard == resource.RLIM_INFINITY else min(STACK_BYTES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _go_first_when_memory_is_short() -> None:
    """The system should end the reader rather than the receiver; a reading can be repeated."""
    with suppress(OSError):  # not Linux, or not allowed
        Path("/proc/self/oom_score_adj").write_text("500")


def _private_output() -> TextIO:
    """Our own way to the parent; what libraries print on standard output goes to standard error."""
    private = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(private, "w", encoding="utf-8", buffering=1)


def _requests() -> queue.SimpleQueue[border.Request]:
    """Requests as they come. Read by a thread, so that the parent's end is noticed during a reading."""
    found: queue.SimpleQueue[border.Request] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            found.put(border.request_in(line))
        os._exit(_PARENT_GONE)

    threading.Thread(target=listen, name="requests", daemon=True).start()
    return found


def _answer(request: border.Request, answers: TextIO) -> border.Answer:
    try:
        if isinstance(request, border.Probe):
            return _probe(request)
        return _read(request.job, lambda step: _send(answers, border.Progress(step=step)))
    except PermanentError as error:
        return border.Refused(error=error)
    except RetriableError as error:
        return border.Failed(error=error)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        sentence = f"the results could not be written ({os.strerror(error.errno)}); free some space"
        return border.Failed(error=RetriableError("outbox-not-writable", sentence))
    except ImportError as error:
        sentence = f"the reader cannot import {error.name or 'a module'}; install Osteon anew and try osteon check"
        return border.Failed(error=RetriableError("reader-cannot-start", sentence))
    except MemoryError:
        sentence = "the reader ran out of memory; give it more or set reading.memory_gib higher"
        return border.Failed(error=RetriableError("reader-out-of-memory", sentence))


def _probe(request: border.Probe) -> border.EngineFound:
    """Load an engine's weights and say what it is."""
    from operators.study.engines import engine_of

    found = engine_of(request.engine, request.options)
    return border.EngineFound(name=found.name, version=found.version, digest=found.digest)


def _read(job: Job, progress: Callable[[str], None]) -> border.HasRead:
    # Imported with the first study: the graph's runtime takes seconds to import.
    from operators.application import read_study

    return border.HasRead(result=read_study(job, progress))


def _send(answers: TextIO, message: border.Message) -> None:
    answers.write(border.line_of(message) + "\n")


class _Reporter:
    """Reports an exception nobody expected by type and place, without the values it may quote."""

    def __init__(self, answers: TextIO) -> None:
        self._answers = answers

    def report(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Stands in for :data:`sys.excepthook`; the process ends, and its parent starts a fresh one."""
        self._answers.write(f"{kind.__name__}\n")
        for frame in traceback.extract_tb(trace)[-6:]:
            self._answers.write(f"  {Path(frame.filename).name}:{frame.lineno} in {frame.name}\n")
        self._answers.flush()
        os._exit(_UNEXPECTED)


if __name__ == "__main__":
    main()
