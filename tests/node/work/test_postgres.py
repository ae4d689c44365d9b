"""The same way of a study with the workflows on PostgreSQL: same code, another URL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.nodes import Node
from tests.node.slices import write_series
from tests.peers import dcmtk
from tests.peers.postgres import Postgres

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(
        not Postgres.is_installed() or bool(dcmtk.missing_tools("storescu", "storescp")),
        reason="PostgreSQL or DCMTK is not installed (apt install postgresql dcmtk)",
    ),
]


@pytest.fixture
def database() -> Iterator[Postgres]:
    found = Postgres().start()
    yield found
    found.stop()


def test_killed_while_reading_it_goes_on_from_postgresql(database: Postgres, tmp_path: Path) -> None:
    peer = dcmtk.StoreSCP(tmp_path / "pacs").start()
    node = Node(tmp_path / "node", {"pacs": (peer.ae_title, peer.port)}, database={"url": database.url})
    try:
        node.plan("sleep 30", "crash")
        node.start()
        assert dcmtk.storescu(node.port, write_series(tmp_path / "ct", 4)).returncode == 0
        node.wait_for(lambda: len(node.requests()) == 1, "the reading to begin")
        node.kill()
        node.start()
        (status,) = node.wait_until_finished()
        assert status.state == "read"
        assert [item.state for item in status.deliveries] == ["delivered"]
        assert len(peer.files()) == 2
        assert len(node.requests()) == 3
        assert not (node.folder / "data" / "osteon.sqlite").exists()
        assert node.stop() == 0
    finally:
        node.end()
        peer.stop()
