"""The whole way of a study between real peers: in by C-STORE, read, and its results back, once each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.fake_reader import SEG, SR
from tests.node.nodes import Node
from tests.node.slices import PATIENT_ID, PATIENT_NAME, ROOT_UID, write_series
from tests.peers.orthanc import Orthanc

STUDY = f"{ROOT_UID}.1"

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(not Orthanc.is_installed(), reason="Orthanc is not installed (apt install orthanc)"),
]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Orthanc]:
    """An Orthanc whose modality ``osteon`` is the node's port, known only later: hence the file."""
    orthanc = Orthanc(tmp_path / "orthanc")
    yield orthanc
    orthanc.stop()


@pytest.fixture
def node(tmp_path: Path, archive: Orthanc) -> Iterator[Node]:
    node = Node(tmp_path / "node", {"archive": (archive.ae_title, archive.port)})
    archive.know("osteon", "OSTEON", node.port)
    yield node
    node.end()


def test_a_study_comes_from_the_archive_and_its_results_are_there_once(
    archive: Orthanc, node: Node, tmp_path: Path
) -> None:
    archive.start()
    node.start()
    for file in write_series(tmp_path / "ct", 12):
        archive.upload(file)

    archive.send_study(STUDY, "osteon")
    (status,) = node.wait_until_finished()

    assert status.state == "read"
    assert status.instances == 12
    assert status.rule == "quiet"
    assert [(item.destination, item.state) for item in status.deliveries] == [("archive", "delivered")]
    assert len(archive.instances(STUDY, SEG)) == 1
    assert len(archive.instances(STUDY, SR)) == 1
    assert PATIENT_NAME not in node.logged()
    assert PATIENT_ID not in node.logged()


def test_killed_while_reading_it_goes_on_and_delivers_once_with_the_same_bytes(
    archive: Orthanc, node: Node, tmp_path: Path
) -> None:
    archive.start()
    node.plan("sleep 30")
    node.start()
    for file in write_series(tmp_path / "ct", 12):
        archive.upload(file)
    archive.send_study(STUDY, "osteon")
    node.wait_for(lambda: len(node.requests()) == 1, "the reading to begin")

    node.kill()
    node.start()
    (status,) = node.wait_until_finished()

    assert status.state == "read"
    first, second = node.requests()
    assert first["job"]["at"] == second["job"]["at"]
    assert len(archive.instances(STUDY, SEG)) == 1
    assert len(archive.instances(STUDY, SR)) == 1
