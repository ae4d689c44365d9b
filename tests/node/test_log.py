from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator

import pytest

from node import log
from operators.reading.errors import RetriableError

NAME = "Zyxwvut^Quentin"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What is logged, with the process's own logging put back afterwards."""
    names = ["", "dbos", "pynetdicom", "osteon"]
    before = {name: (logging.getLogger(name).handlers[:], logging.getLogger(name).level) for name in names}
    written = io.StringIO()
    log.configure("DEBUG", "json", written)
    yield written
    logging.captureWarnings(False)
    for name, (handlers, level) in before.items():
        logging.getLogger(name).handlers[:] = handlers
        logging.getLogger(name).setLevel(level)


def test_an_event_is_one_json_object_with_its_fields(stream: io.StringIO) -> None:
    log.event(log.logger("receiver"), "stored", study="1.2.3", instances=4)
    record = json.loads(stream.getvalue())
    assert record.pop("time").endswith("+00:00")
    assert record == {
        "level": "INFO",
        "logger": "osteon.receiver",
        "event": "stored",
        "study": "1.2.3",
        "instances": 4,
    }


def test_what_other_libraries_say_of_a_data_set_is_not_repeated(stream: io.StringIO) -> None:
    other = logging.getLogger("pynetdicom.service-c")
    other.error("Invalid value %s", NAME)
    try:
        raise ValueError(f"cannot decode {NAME}")
    except ValueError as error:
        other.exception(error)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"Invalid value for VR PN: {NAME}", stacklevel=1)

    assert NAME not in stream.getvalue()
    (record,) = map(json.loads, stream.getvalue().splitlines())
    assert record["event"] == "library-record"
    assert record["error"].startswith("ValueError at test_log.py:")


def test_our_own_errors_are_told_in_full(stream: io.StringIO) -> None:
    try:
        raise RetriableError("disk-full", "free some space")
    except RetriableError:
        log.logger("x").exception("failed")
    assert json.loads(stream.getvalue())["error"] == "disk-full: free some space"
