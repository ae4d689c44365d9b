"""The process that reads studies: ``python -m node.work.reader_child``, kept warm by :mod:`node.work.reader`.

It exists because the graph's runtime takes over the process's signals, because weights are worth
keeping in memory, and because a crash, a hang or an out-of-memory kill must cost one attempt and
nothing else.

Protocol, one JSON object per line. In: ``{"read": {study, out, at, engine, options, previous, prior}}``, where
``options`` is :class:`operators.reading.options.ReadingOptions` and ``previous`` a list of
:class:`operators.reading.case.DocumentReference` as JSON, or ``{"probe": engine, options}``. Out: any number of
``{"progress": text}``, then one of ``{"read": {objects, reading, picture, refusal}}``,
``{"probe": {name, version, digest}}``, ``{"refused": {code, sentence}}``,
``{"retry": {code, sentence}}``. A line that is not JSON is the trace of a
fatal error. The end of the input ends the process at once, whatever it is doing, so that it never
outlives its parent.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import queue
import resource
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from operators.reading.errors import PermanentError, RetriableError
from operators.reading.options import ReadingOptions

STACK_BYTES = 32 << 20
"""Holoscan warns below this."""
_PARENT_GONE = 3
_UNEXPECTED = 70


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
    _send(answers, progress="ready")
    while True:
        _send(answers, **_answer(requests.get(), answers))


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
        os.execv(sys.executable, [sys.executable, "-m", "node.work.reader_child", *sys.argv[1:]])


def _go_first_when_memory_is_short() -> None:
    """The system should end the reader rather than the receiver; a reading can be repeated."""
    with suppress(OSError):  # not Linux, or not allowed
        Path("/proc/self/oom_score_adj").write_text("500")


def _private_output() -> TextIO:
    """Our own way to the parent; what libraries print on standard output goes to standard error."""
    private = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(private, "w", encoding="utf-8", buffering=1)


def _requests() -> queue.SimpleQueue[dict[str, Any]]:
    """Requests as they come. Read by a thread, so that the parent's end is noticed during a reading."""
    found: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            found.put(json.loads(line))
        os._exit(_PARENT_GONE)

    threading.Thread(target=listen, name="requests", daemon=True).start()
    return found


def _answer(request: dict[str, Any], answers: TextIO) -> dict[str, Any]:
    try:
        if "probe" in request:
            return {"probe": _probe(request["probe"], request["options"])}
        return {"read": _read(request["read"], lambda step: _send(answers, progress=step))}
    except PermanentError as error:
        return {"refused": {"code": error.code, "sentence": error.sentence}}
    except RetriableError as error:
        return {"retry": {"code": error.code, "sentence": error.sentence}}
    except MemoryError:
        sentence = "the reader ran out of memory; give it more or set reading.memory_gib higher"
        return {"retry": {"code": "reader-out-of-memory", "sentence": sentence}}


def _probe(engine: str, options: dict[str, Any]) -> dict[str, str]:
    """Load an engine's weights and say what it is."""
    from operators.study.engines import engine_of

    found = engine_of(engine, ReadingOptions.model_validate(options))
    return {"name": found.name, "version": found.version, "digest": found.digest}


def _read(job: dict[str, Any], progress: Callable[[str], None]) -> dict[str, Any]:
    # Imported with the first study: the graph's runtime takes seconds to import.
    from operators.application import read_study
    from operators.reading.case import Job
    from operators.reading.document_reference import DocumentReference

    result = read_study(
        Job(
            study=Path(job["study"]),
            out=Path(job["out"]),
            at=datetime.fromisoformat(job["at"]),
            engine=job["engine"],
            options=ReadingOptions.model_validate(job["options"]),
            previous=tuple(DocumentReference.model_validate(report) for report in job["previous"]),
            prior=None if job["prior"] is None else Path(job["prior"]),
        ),
        progress,
    )
    refusal = result.refusal
    return {
        "objects": [item.model_dump(mode="json") for item in result.objects],
        "reading": None if result.reading_path is None else str(result.reading_path),
        "picture": None if result.picture_path is None else str(result.picture_path),
        "refusal": None if refusal is None else {"code": refusal.code, "sentence": refusal.sentence},
    }


def _send(answers: TextIO, **message: Any) -> None:
    answers.write(json.dumps(message) + "\n")


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
