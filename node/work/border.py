"""What crosses the pipe between the node and its reader process, one JSON object per line.

In goes a request, out come any number of :class:`Progress` and then one answer. A line that is not JSON is the
trace of a fatal error. Both sides take their lines apart with the models of this module, so that a field that is
added to a :class:`~operators.reading.job.Job` or a :class:`~operators.reading.job.ReadResult` crosses as it is.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from operators.reading.errors import PermanentError, RetriableError
from operators.reading.job import Job, ReadResult
from operators.reading.options import ReadingOptions
from operators.reading.quantity import Frozen


class Read(Frozen):
    """Read a study."""

    ask: Literal["read"] = "read"
    job: Job


class Probe(Frozen):
    """Load an engine, with the site's own ones among the options."""

    ask: Literal["probe"] = "probe"
    engine: str
    options: ReadingOptions


class Progress(Frozen):
    """A step has begun, or the process stands ready; not yet an answer."""

    say: Literal["progress"] = "progress"
    step: str


class HasRead(Frozen):
    """What a reading gave."""

    say: Literal["read"] = "read"
    result: ReadResult


class EngineFound(Frozen):
    """What an engine is.

    Attributes:
        name, version: Of the engine.
        digest: Of its weights, hex.
    """

    say: Literal["engine"] = "engine"
    name: str
    version: str
    digest: str


class Refused(Frozen):
    """It cannot be done, however often it is tried."""

    say: Literal["refused"] = "refused"
    error: PermanentError


class Failed(Frozen):
    """It could not be done now."""

    say: Literal["failed"] = "failed"
    error: RetriableError


Request = Read | Probe
Answer = HasRead | EngineFound | Refused | Failed
Message = Progress | Answer

_REQUESTS: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="ask")])
_MESSAGES: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="say")])


def line_of(item: Request | Message) -> str:
    """The line that carries a request or a message, without its end."""
    return item.model_dump_json()


def request_in(line: str) -> Request:
    """The request that a line carries.

    Raises:
        pydantic.ValidationError: It carries none; only a node of another version writes such a line.
    """
    return _REQUESTS.validate_json(line)


def message_in(line: bytes) -> Message | None:
    """The message that a line carries; None where it is part of a trace.

    Raises:
        RetriableError: It is JSON and no message; only a reader of another version writes such a line.
    """
    if not line.startswith(b"{"):
        return None
    try:
        return _MESSAGES.validate_json(line)
    except ValidationError as error:
        sentence = f"the reader said what this node does not understand ({error.error_count()} wrong fields)"
        raise RetriableError("reader-confused", f"{sentence}; install both from one version") from None
