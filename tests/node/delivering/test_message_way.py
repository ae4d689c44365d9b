"""Messages on the durable way: peers that are down or refuse, while a study goes through a whole node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.nodes import Node
from tests.node.slices import PATIENT_ID, PATIENT_NAME, write_series
from tests.peers import dcmtk
from tests.peers.fhir_server import FhirServer
from tests.peers.mllp_server import MllpServer
from tests.peers.ports import free_port

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(bool(dcmtk.missing_tools("storescu")), reason="DCMTK is not installed (apt install dcmtk)"),
]


@pytest.fixture
def ports() -> dict[str, int]:
    return {"ehr": free_port(), "his": free_port()}


@pytest.fixture
def node(tmp_path: Path, ports: dict[str, int]) -> Iterator[Node]:
    often = {"wait_seconds": 0.3, "wait_growth": 1.1, "timeout_seconds": 5}
    found = Node(
        tmp_path / "node",
        **{
            "destinations.ehr": {"type": "fhir", "url": f"http://127.0.0.1:{ports['ehr']}/fhir", **often},
            "destinations.his": {"type": "hl7", "host": "127.0.0.1", "port": ports["his"], **often},
        },
    )
    yield found
    found.end()
    for secret in (PATIENT_NAME, PATIENT_ID):
        assert secret not in found.logged()


def send(node: Node, folder: Path) -> None:
    assert dcmtk.storescu(node.port, write_series(folder, 3)).returncode == 0


def test_peers_that_are_down_get_each_message_once_when_they_come_back(
    node: Node, ports: dict[str, int], tmp_path: Path
) -> None:
    node.start()
    send(node, tmp_path / "ct")
    node.wait_for(lambda: node.logged().count("delivery-failed") >= 2, "both to have failed")
    (status,) = node.statuses()
    assert {item.destination: str(item.reason).partition(":")[0] for item in status.deliveries} == {
        "ehr": "peer-unreachable",
        "his": "peer-unreachable",
    }
    with FhirServer(port=ports["ehr"]) as ehr, MllpServer(port=ports["his"]) as his:
        his.answers = ["AR", "hang-up"]
        ehr.statuses = [503]
        (status,) = node.wait_until_finished()
        assert {item.destination: item.state for item in status.deliveries} == {
            "ehr": "delivered",
            "his": "delivered",
        }
        assert len(ehr.of_type("Observation")) == 1
        assert len(his.kept) == 1
        assert len(his.received) == 3
        assert len(set(his.received)) == 1


def test_peers_that_refuse_are_not_asked_again_until_somebody_resumes(
    node: Node, ports: dict[str, int], tmp_path: Path
) -> None:
    with FhirServer(port=ports["ehr"]) as ehr, MllpServer(port=ports["his"]) as his:
        ehr.statuses, his.answers = [422], ["AE"]
        node.start()
        send(node, tmp_path / "ct")
        (status,) = node.wait_until_finished()
        reasons = {item.destination: str(item.reason) for item in status.deliveries}
        assert {item.state for item in status.deliveries} == {"refused"}
        assert "answered 422" in reasons["ehr"]
        assert "answered AE" in reasons["his"]
        assert (len(ehr.requests), len(his.received)) == (1, 1)
