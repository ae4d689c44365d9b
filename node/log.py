"""Structured logs that name a study by its UIDs and never a patient.

Our own code logs *events*: a short stable name and fields. What other libraries log may quote the data
set they choke on, so of their records only the place and the type of the exception are kept.
"""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TextIO

from operators.reading.errors import OsteonError

Field = str | int | float | bool | None

_ROOT = "osteon"
_TRUSTED = ("dbos",)
"""Libraries whose messages hold only what we gave them: ids, paths, names of steps."""


def logger(name: str) -> logging.Logger:
    """The logger of one part of the node."""
    return logging.getLogger(f"{_ROOT}.{name}")


def event(to: logging.Logger, name: str, level: int = logging.INFO, **fields: Field) -> None:
    """Log that ``name`` happened, with fields that hold no patient data."""
    to.log(level, name, extra={"fields": fields})


class PatientFreeFormatter(logging.Formatter):
    """Writes a record as one line, text or JSON, without anything a data set could have put in it."""

    def __init__(self, kind: Literal["text", "json"]) -> None:
        super().__init__()
        self._kind = kind

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields: dict[str, Field] = dict(getattr(record, "fields", {}))
        if record.name.startswith((_ROOT, *_TRUSTED)):
            name = record.getMessage()
        else:
            name = "library-record"
            fields["at"] = f"{record.module}.{record.funcName}:{record.lineno}"
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = describe(record.exc_info[1])
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        head = {"time": time, "level": record.levelname, "logger": record.name, "event": name}
        if self._kind == "json":
            return json.dumps({**head, **fields}, ensure_ascii=False)
        tail = "".join(f" {key}={_plain(value)}" for key, value in fields.items() if value is not None)
        return f"{time} {record.levelname:7} {record.name} {name}{tail}"


def describe(error: BaseException) -> str:
    """An exception without the values it quotes: our own sentence, else its type and the place."""
    if isinstance(error, OsteonError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    number = f" (errno {error.errno})" if isinstance(error, OSError) and error.errno else ""
    return f"{type(error).__name__}{number}{place}"


def configure(level: str, kind: Literal["text", "json"], stream: TextIO) -> None:
    """Send all logs of this process to ``stream``, free of patient data."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PatientFreeFormatter(kind))
    handler.addFilter(_worth_a_line)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(_ROOT).setLevel(level)
    logging.captureWarnings(True)  # pydicom quotes values in its warnings: they end in the filter
    # DBOS adds a console handler of its own unless its logger already has one.
    logging.getLogger("dbos").handlers[:] = [logging.NullHandler()]
    logging.getLogger("pynetdicom").setLevel(logging.ERROR)


def _worth_a_line(record: logging.LogRecord) -> bool:
    """Of strange libraries only exceptions: without its text, any other record says nothing."""
    return record.name.startswith((_ROOT, *_TRUSTED)) or record.exc_info is not None


def _plain(value: Field) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if " " in text or '"' in text else text
