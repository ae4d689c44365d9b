"""What a node must survive: kills, stops, peers that are down, readers that fail, late and routed-back slices."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom import AE

from node.status import table
from tests.node.fake_reader import SEG, SOP_CLASSES, SR
from tests.node.nodes import ROOT, Node
from tests.node.slices import PATIENT_ID, PATIENT_NAME, ROOT_UID, write_series
from tests.peers import dcmtk
from tests.peers.ports import free_port

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(
        bool(dcmtk.missing_tools("storescu", "storescp")), reason="DCMTK is not installed (apt install dcmtk)"
    ),
]

STUDY = f"{ROOT_UID}.1"


@pytest.fixture
def settings() -> dict[str, dict[str, object]]:
    """Settings beside the usual ones; a test that needs some gives them as a parameter."""
    return {}


@pytest.fixture
def node(tmp_path: Path, settings: dict[str, dict[str, object]]) -> Iterator[Node]:
    found = Node(tmp_path / "node", **settings)
    yield found
    found.end()
    logged = found.logged()
    for secret in (PATIENT_NAME, PATIENT_ID, "19470203"):
        assert secret not in logged


def send(node: Node, files: list[Path]) -> None:
    result = dcmtk.storescu(node.port, files)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("settings", [{"settling": {"quiet_seconds": 5, "gap_seconds": 5}}])
def test_killed_while_receiving_it_keeps_all_that_it_acknowledged(node: Node, tmp_path: Path) -> None:
    files = write_series(tmp_path / "ct", 40)
    node.start()
    entity = AE(ae_title="CT1")
    entity.add_requested_context("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")
    association = entity.associate("127.0.0.1", node.port, ae_title="OSTEON")
    acknowledged = []
    for file in files[:25]:
        assert association.send_c_store(dcmread(file)).Status == 0x0000
        acknowledged.append(dcmread(file).SOPInstanceUID)
    node.kill()
    association.abort()
    assert {path.stem for path in node.received()} >= set(acknowledged)

    node.start()
    send(node, files)
    (status,) = node.wait_until_finished()
    assert (status.state, status.instances) == ("read", 40)
    assert len(node.requests()) == 1


def test_told_to_stop_while_reading_it_stops_in_seconds_and_goes_on_later(node: Node, tmp_path: Path) -> None:
    node.plan("hang")
    node.start()
    send(node, write_series(tmp_path / "ct", 5))
    node.wait_for(lambda: len(node.requests()) == 1, "the reading to begin")
    began = time.monotonic()
    assert node.stop() == 0
    assert time.monotonic() - began < 8
    assert node.logged().rstrip().endswith("osteon.service stopped")
    node.start()
    (status,) = node.wait_until_finished()
    assert status.state == "read"
    first, second = node.requests()
    assert first["job"]["at"] == second["job"]["at"]


def test_a_destination_that_is_down_gets_its_results_when_it_is_back(tmp_path: Path) -> None:
    up = dcmtk.StoreSCP(tmp_path / "up").start()
    down = dcmtk.StoreSCP(tmp_path / "down", port=free_port())
    node = Node(tmp_path / "node", {"up": (up.ae_title, up.port), "down": (down.ae_title, down.port)}).start()
    try:
        send(node, write_series(tmp_path / "ct", 5))
        node.wait_for(lambda: _delivery(node, "up") == "delivered", "the healthy destination")
        node.wait_for(lambda: "peer-unreachable" in str(_reason(node, "down")), "the status to say why")
        assert not node.statuses()[0].is_finished

        down.start()
        node.wait_until_finished()
        assert _delivery(node, "down") == "delivered"
        assert len(up.files()) == len(down.files()) == 2
        assert [path.read_bytes() for path in up.files()] == [path.read_bytes() for path in down.files()]
    finally:
        node.end()
        up.stop()
        down.stop()


def _delivery(node: Node, name: str) -> str | None:
    return next(
        (item.state for status in node.statuses() for item in status.deliveries if item.destination == name), None
    )


def _reason(node: Node, name: str) -> str | None:
    return next(
        (item.reason for status in node.statuses() for item in status.deliveries if item.destination == name), None
    )


def test_a_study_that_cannot_be_read_says_why_and_the_next_one_is_read(node: Node, tmp_path: Path) -> None:
    node.plan("refuse")
    node.start()
    send(node, write_series(tmp_path / "a", 3, f"{ROOT_UID}.1"))
    node.wait_until_finished()
    send(node, write_series(tmp_path / "b", 3, f"{ROOT_UID}.2"))
    first, second = node.wait_until_finished(readings=2)
    assert (first.state, first.reason) == ("refused", "no-ct: the study holds no CT series; send one")
    assert second.state == "read"


def test_a_reader_that_crashes_costs_an_attempt(node: Node, tmp_path: Path) -> None:
    node.plan("crash", "die")
    node.start()
    send(node, write_series(tmp_path / "ct", 3))
    (status,) = node.wait_until_finished()
    assert status.state == "read"
    assert len(node.requests()) == 3


def test_a_reader_that_keeps_crashing_is_given_up_and_can_be_resumed(node: Node, tmp_path: Path) -> None:
    node.plan("crash", "crash", "crash")
    node.start()
    send(node, write_series(tmp_path / "ct", 3))
    (status,) = node.wait_until_finished()
    assert status.state == "refused"
    assert str(status.reason).startswith("reader-keeps-failing: the study could not be read in 3 attempts")
    assert "reader-crashed" in node.logged()

    resumed = osteon(node, "resume", STUDY)
    assert (resumed.returncode, resumed.stdout) == (0, "resumed reading\n")
    node.wait_for(lambda: node.statuses()[0].state == "read", "the resumed reading")


def test_later_slices_are_read_again_with_the_earlier_ones(node: Node, tmp_path: Path) -> None:
    files = write_series(tmp_path / "ct", 8)
    node.start()
    send(node, files[:5])
    node.wait_until_finished()
    send(node, files)  # the sender repeats everything: only the new ones count
    first, second = node.wait_until_finished(readings=2)
    assert (first.instances, first.replaces) == (5, None)
    assert (second.instances, second.replaces) == (8, first.reading)
    asked = [request["job"] for request in node.requests()]
    assert asked[0]["previous"] == []
    (earlier,) = asked[1]["previous"]  # so that the second report names the first
    assert earlier["sop_class_uid"] == "1.2.840.10008.5.1.4.1.1.88.34"
    assert earlier["study_uid"] == STUDY
    send(node, files)
    time.sleep(2)
    assert len(node.requests()) == 2


def test_results_that_come_back_make_no_loop(node: Node, tmp_path: Path) -> None:
    node.start()
    send(node, write_series(tmp_path / "ct", 3))
    node.wait_until_finished()
    results = sorted((node.folder / "data/outbox").glob("*/*.dcm"))
    assert len(results) == 3
    entity = AE(ae_title="PACS")
    for result in results:
        entity.add_requested_context(dcmread(result).SOPClassUID, "1.2.840.10008.1.2.1")
    association = entity.associate("127.0.0.1", node.port, ae_title="OSTEON")
    assert [association.send_c_store(dcmread(result)).Status for result in results] == [0, 0, 0]
    association.release()
    time.sleep(2)
    assert len(node.requests()) == 1
    assert [status.state for status in node.statuses()] == ["read"]
    kept = sorted((node.folder / "data/inbox/own-results").glob("*/*"))
    assert {str(dcmread(path).SOPClassUID) for path in kept} == {SEG, SR}


def test_a_second_node_on_the_same_folder_is_refused(node: Node) -> None:
    node.start()
    other = osteon(node, "serve")
    assert other.returncode == 2
    assert "another osteon serve works on" in other.stderr
    assert "[already-running]" in other.stderr


def test_the_command_line_beside_a_running_node(node: Node, tmp_path: Path) -> None:
    assert osteon(node, "status").stdout == "no study has been received yet\n"
    seen = tmp_path / "seen"
    node.plan(f"until {seen}")
    node.start()
    send(node, write_series(tmp_path / "ct", 3))
    node.wait_for(lambda: "reading, SelectSeries, 3 instances" in osteon(node, "status").stdout, "the status")
    seen.touch()
    node.wait_until_finished()
    shown = osteon(node, "status").stdout
    assert STUDY in shown
    assert "read, 3 instances, settled" in shown
    assert "by quiet" in shown
    assert PATIENT_NAME not in shown
    assert "osteon serve is running there" in osteon(node, "check").stdout
    (received, *_) = node.received()
    assert received.stat().st_mode & 0o077 == 0  # patients' images are for the node alone
    unknown = osteon(node, "resume", "1.2.3")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr.startswith("osteon: no reading of a study 1.2.3 is known")


def osteon(node: Node, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "node.cli", "--config", str(node.settings_file), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_a_peer_that_takes_no_3d_report_gets_another_and_the_status_says_so(tmp_path: Path) -> None:
    accepted = {SEG: ["1.2.840.10008.1.2.1"], SOP_CLASSES["sr-2d"]: ["1.2.840.10008.1.2"]}
    peer = dcmtk.StoreSCP(tmp_path / "scp", *dcmtk.accepting(tmp_path / "configuration", accepted)).start()
    place = {"host": "127.0.0.1", "port": peer.port, "ae_title": peer.ae_title, "profile": "slicer"}
    node = Node(tmp_path / "node", **{"destinations.old": place}).start()
    try:
        send(node, write_series(tmp_path / "ct", 3))
        (status,) = node.wait_until_finished()
        (request,) = node.requests()
    finally:
        node.end()
        peer.stop()
    assert request["job"]["options"]["kinds"] == ["seg", "seg-density", "sr", "sr-2d", "sr-text", "sc", "pdf"]
    (delivery,) = status.deliveries
    assert (delivery.state, delivery.reason) == ("delivered", None)
    sentence = (
        "sr-2d instead of sr (Comprehensive 3D SR Storage 1.2.840.10008.5.1.4.1.1.88.34 not accepted: abstract syntax)"
    )
    assert delivery.instead == (sentence,)
    assert f"    to old: delivered\n        {sentence}" in table([status])
    assert sentence in node.logged()
    there = [str(dcmread(file).SOPClassUID) for file in peer.files()]
    assert sorted(there) == sorted([SEG, SEG, SOP_CLASSES["sr-2d"]])
