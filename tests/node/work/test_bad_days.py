"""Bad days with real peers: poison, full disks, peers that fail for ever, databases that are away. The node goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.dsutils import encode

from tests.node.fake_reader import SEG, SR
from tests.node.nodes import Node
from tests.node.raw import CT, INSTANCE, send_bytes
from tests.node.slices import ROOT_UID, ct_slice
from tests.peers.ports import free_port
from tests.peers.small_disk import SmallDisk

STUDY = f"{ROOT_UID}.1"
HEALTHY = f"{ROOT_UID}.2"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    found = Node(tmp_path / "node")
    yield found
    found.end()


def associate(node: Node) -> Any:
    entity = AE(ae_title="CT1")
    entity.add_requested_context(CT, ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", node.port, ae_title="OSTEON")
    assert association.is_established
    return association


def send(node: Node, study: str, count: int = 3) -> None:
    association = associate(node)
    for number in range(1, count + 1):
        assert association.send_c_store(ct_slice(number, study)).Status == 0x0000
    association.release()


def state(node: Node, study: str) -> str | None:
    return next((status.state for status in node.statuses() if status.study == study), None)


SEQUENCE = b"\x20\x00\x31\x00SQ\0\0\xff\xff\xff\xff"
ITEM = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"


def poison(kind: str) -> bytes:
    """An instance that says whose it is and breaks before it says where it lies."""
    broken = ct_slice(2, STUDY)
    broken.SOPInstanceUID = INSTANCE
    whole = encode(broken, False, True)
    assert whole is not None
    place = whole.index(b"\x20\x00\x32\x00")
    if kind == "cut":
        return whole[: place + 9]
    if kind == "nested":  # 100 KB of sequences in sequences
        return whole[:place] + (SEQUENCE + ITEM) * 5000 + whole[place:]
    return whole[:place] + whole[place + 3 :]  # bytes lost: the elements behind have no VR


@pytest.mark.parametrize("kind", ["cut", "nested", "lost"])
def test_a_poison_instance_is_quarantined_and_everything_healthy_is_read(node: Node, kind: str) -> None:
    node.start()
    association = associate(node)
    assert association.send_c_store(ct_slice(1, STUDY)).Status == 0x0000
    assert send_bytes(association, poison(kind)) == 0x0000
    association.release()
    send(node, HEALTHY)
    node.wait_until_finished(readings=2)
    statuses = {status.study: status for status in node.statuses()}
    assert (statuses[STUDY].state, statuses[STUDY].instances, statuses[STUDY].broken) == ("read", 1, 1)
    assert (statuses[HEALTHY].state, statuses[HEALTHY].broken) == ("read", 0)
    assert len(list((node.folder / "data/inbox/quarantine" / STUDY).iterdir())) == 1
    assert "instance-set-aside" in node.logged()
    assert node.process is not None
    assert node.process.poll() is None
    assert node.stop() == 0


def test_a_study_of_poison_only_is_shown(node: Node) -> None:
    node.start()
    association = associate(node)
    assert send_bytes(association, poison("cut")) == 0x0000
    association.release()
    node.wait_for(lambda: state(node, STUDY) == "set-aside", "the status")
    assert node.statuses()[0].broken == 1


def test_an_association_that_is_kept_open_holds_up_no_study(node: Node) -> None:
    node.start()
    association = associate(node)
    try:
        for study in (STUDY, HEALTHY):
            for number in (1, 2, 3):
                assert association.send_c_store(ct_slice(number, study)).Status == 0x0000
        began = time.monotonic()
        node.wait_until_finished(readings=2, seconds=40)  # the longest wait is 60 s
        assert time.monotonic() - began < 40
        assert association.is_established
    finally:
        association.release()


def test_results_that_cannot_be_stored_are_tried_until_there_is_room(node: Node) -> None:
    node.plan("full", "full", "full", "full", "full")  # more often than reading.attempts
    node.start()
    send(node, STUDY)
    (status,) = node.wait_until_finished(seconds=60)
    assert status.state == "read"
    assert len(node.requests()) == 6


def test_a_reading_that_waits_lets_others_pass(tmp_path: Path) -> None:
    node = Node(tmp_path / "node", reading={"wait_seconds": 60})
    node.plan("full")
    try:
        node.start()
        send(node, STUDY)
        node.wait_for(lambda: state(node, STUDY) == "waiting" and "reading-failed" in node.logged(), "the first")
        assert node.statuses()[0].reason == "outbox-not-writable: the results could not be written"
        assert node.statuses()[0].attempt == 2
        send(node, HEALTHY)
        node.wait_for(lambda: state(node, HEALTHY) == "read", "the healthy one", 40)
        assert state(node, STUDY) == "waiting"
    finally:
        node.end()


class Picky:
    """An archive that answers objects of some studies with 0x0110 (processing failure), and stores the others."""

    def __init__(self, fails: set[str]) -> None:
        self.port = free_port()
        self.stored: list[str] = []
        self.fails = fails
        entity = AE(ae_title="PICKY")
        for sop_class in (SEG, SR):
            entity.add_supported_context(sop_class, ExplicitVRLittleEndian)
        self._server = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )

    def _store(self, event: Any) -> int:
        study = str(event.dataset.StudyInstanceUID)
        if study in self.fails:
            return 0x0110
        self.stored.append(study)
        return 0x0000

    def stop(self) -> None:
        self._server.shutdown()


def test_studies_that_an_archive_fails_on_let_others_pass(tmp_path: Path) -> None:
    poisons = {f"{ROOT_UID}.{number}" for number in (1, 2, 3)}
    peer = Picky(set(poisons))
    node = Node(tmp_path / "node", {"pacs": ("PICKY", peer.port)})
    node.settings_file.write_text(node.settings_file.read_text().replace("wait_seconds = 0.3", "wait_seconds = 20"))
    healthy = [f"{ROOT_UID}.{number}" for number in range(10, 15)]
    try:
        node.start()
        for study in sorted(poisons):
            send(node, study)
        node.wait_for(lambda: node.logged().count("delivery-failed") >= 3, "the failures", 60)
        began = time.monotonic()
        for study in healthy:
            send(node, study)
        node.wait_for(lambda: {*peer.stored} == {*healthy}, "the healthy ones", 60)
        assert time.monotonic() - began < 60
        waiting = [item for found in node.statuses() if found.study in poisons for item in found.deliveries]
        assert {item.state for item in waiting} == {"waiting"}
        reasons = [str(item.reason) for item in waiting]
        assert all(reason.startswith("peer-") for reason in reasons), reasons
        assert any("answered 0x0110" in reason for reason in reasons), reasons
        peer.fails.clear()
        node.wait_for(lambda: {*peer.stored} == {*healthy, *poisons}, "the others", 60)
    finally:
        node.end()
        peer.stop()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    if not SmallDisk.can_be_had(tmp_path / "probe"):
        pytest.skip("a disk that can be filled takes root")
    found = SmallDisk(tmp_path / "node" / "data")
    yield found
    found.unmount()


@pytest.mark.parametrize("stage", ["settling", "reading", "delivering"])
def test_a_full_disk_ends_nothing_and_the_node_goes_on_when_there_is_room(
    tmp_path: Path, disk: SmallDisk, stage: str
) -> None:
    peer = Picky({STUDY} if stage == "delivering" else set())
    go_on = tmp_path / "go-on"
    node = Node(tmp_path / "node", {"pacs": ("PICKY", peer.port)}, storage={"min_free_gib": 0})
    node.plan(f"until {go_on}")
    try:
        node.start()
        assert node.process is not None
        send(node, STUDY)
        if stage == "settling":
            disk.fill()
        node.wait_for(lambda: stage == "settling" or bool(node.requests()), "the reading to begin")
        if stage == "reading":
            disk.fill()
        go_on.touch()
        if stage == "delivering":
            node.wait_for(lambda: "delivery-failed" in node.logged(), "the delivery to begin")
            disk.fill()
            peer.fails.clear()
        time.sleep(6)
        assert node.process.poll() is None
        if stage != "delivering":
            assert peer.stored == []
        disk.make_room()
        node.wait_for(lambda: len(peer.stored) >= 2, "the delivery", 90)
        (status,) = node.wait_until_finished(seconds=60)
        assert (status.state, [item.state for item in status.deliveries]) == ("read", ["delivered"])
        assert node.process.poll() is None
        assert node.stop() == 0
    finally:
        node.end()
        peer.stop()
