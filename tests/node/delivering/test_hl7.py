"""HL7 over real MLLP on loopback, to a receiver whose acknowledgements another library makes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.delivering.destinations import Hl7Destination
from node.delivering.hl7 import send_hl7, try_hl7
from operators.messages.hl7 import write_hl7
from operators.reading.errors import RetriableError
from tests.operators import small_case
from tests.peers.mllp_server import MllpServer
from tests.peers.ports import free_port


@pytest.fixture
def receiver() -> Iterator[MllpServer]:
    with MllpServer() as found:
        yield found


@pytest.fixture
def message(tmp_path: Path) -> Path:
    path = tmp_path / "oru.hl7"
    path.write_bytes(write_hl7(small_case.case(small_case.fractured_reading()), {}))
    return path


def at(port: int) -> Hl7Destination:
    return Hl7Destination(
        type="hl7",
        host="127.0.0.1",
        port=port,
        timeout_seconds=5,
        sending_facility="RADIOLOGY",
        receiving_application="RIS",
        receiving_facility="HOSPITAL",
    )


@pytest.mark.parametrize("code", ["AA", "CA"])
def test_a_repeat_is_the_same_message(receiver: MllpServer, message: Path, code: str) -> None:
    receiver.answers = [code, code]
    first = send_hl7(message, at(receiver.port))
    second = send_hl7(message, at(receiver.port))
    assert first == second
    assert first.refusal is None
    assert list(receiver.kept) == [first.control_id]
    assert receiver.received[0] == receiver.received[1]


def test_sender_and_receiver_are_those_of_the_settings(receiver: MllpServer, message: Path) -> None:
    send_hl7(message, at(receiver.port))
    (found,) = receiver.kept.values()
    msh = found.segment("MSH")
    assert [str(msh[place]) for place in (3, 4, 5, 6)] == ["OSTEON", "RADIOLOGY", "RIS", "HOSPITAL"]
    assert str(msh[18]) == "UNICODE UTF-8"
    assert "Müller^Jörg" in str(found.segment("PID"))


@pytest.mark.parametrize("code", ["AE", "CR"])
def test_an_error_in_the_message_is_refused_for_good(receiver: MllpServer, message: Path, code: str) -> None:
    receiver.answers = [code]
    refusal = send_hl7(message, at(receiver.port)).refusal
    assert refusal is not None
    assert f"answered {code}" in refusal
    assert f"127.0.0.1:{receiver.port}" in refusal
    assert receiver.kept == {}


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("AR", "peer-failed"),
        ("CE", "peer-failed"),
        ("hang-up", "peer-lost"),
        ("other", "peer-lost"),
        ("garbage", "peer-lost"),
        ("ZZ", "peer-lost"),
    ],
)
def test_a_receiver_that_cannot_now_is_tried_later(receiver: MllpServer, message: Path, answer: str, code: str) -> None:
    receiver.answers = [answer]
    with pytest.raises(RetriableError) as caught:
        send_hl7(message, at(receiver.port))
    assert caught.value.code == code
    assert send_hl7(message, at(receiver.port)).refusal is None
    assert receiver.received[0] == receiver.received[1]


def test_a_receiver_that_is_down_is_tried_later(message: Path) -> None:
    with pytest.raises(RetriableError) as caught:
        send_hl7(message, at(free_port()))
    assert caught.value.code == "peer-unreachable"
    with pytest.raises(RetriableError):
        try_hl7(at(free_port()))


def test_a_receiver_is_tried_without_sending_anything(receiver: MllpServer) -> None:
    assert try_hl7(at(receiver.port)).endswith("accepts connections")
    assert receiver.received == []
