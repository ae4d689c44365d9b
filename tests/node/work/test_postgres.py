"""The same way of a study with the workflows on PostgreSQL: same code, another URL."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.nodes import ROOT, Node
from tests.node.slices import ROOT_UID, write_series
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


def study(number: int) -> str:
    return f"{ROOT_UID}.{number}"


def test_two_nodes_on_one_database_and_folder_share_the_work_and_lose_nothing(
    database: Postgres, tmp_path: Path
) -> None:
    peer = dcmtk.StoreSCP(tmp_path / "pacs").start()
    shared = {"database": {"url": database.url}, "storage": {"folder": str(tmp_path / "shared")}}
    nodes = [Node(tmp_path / name, {"pacs": (peer.ae_title, peer.port)}, **shared) for name in ("one", "two")]
    one, two = nodes
    try:
        one.plan("sleep 60")
        for node in nodes:
            node.start()
        sent = 0
        while not one.requests():  # until the one that will be killed has begun
            assert sent < 12
            assert dcmtk.storescu(two.port, write_series(tmp_path / f"{sent}", 2, study(sent))).returncode == 0
            sent += 1
            time.sleep(1)
        for number in range(sent, sent + 6):
            node = nodes[number % 2]
            assert dcmtk.storescu(node.port, write_series(tmp_path / f"{number}", 2, study(number))).returncode == 0
        one.kill()
        # What it was reading is taken up by the other one, and so is what it has received and not handed on.
        statuses = two.wait_until_finished(readings=sent + 6, seconds=180)
        assert {status.state for status in statuses} == {"read"}
        assert {item.state for status in statuses for item in status.deliveries} == {"delivered"}
        assert len(peer.files()) == 2 * (sent + 6)
    finally:
        for node in nodes:
            node.end()
        peer.stop()


def test_a_node_that_shares_the_database_and_not_the_folder_is_refused(database: Postgres, tmp_path: Path) -> None:
    one = Node(tmp_path / "one", database={"url": database.url})
    two = Node(tmp_path / "two", database={"url": database.url})
    try:
        one.start()
        one.wait_for(lambda: " ready " in one.logged(), "the start")
        command = [sys.executable, "-m", "node.cli", "--config", str(two.settings_file), "serve"]
        refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    finally:
        one.end()
    assert refused.returncode == 2
    assert "[folder-not-shared]" in refused.stderr
    assert "must share the folder too" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_with_the_database_away_at_the_start_studies_are_received_and_read_when_it_is_there(tmp_path: Path) -> None:
    database = Postgres()
    node = Node(tmp_path / "node", database={"url": database.url})
    try:
        node.start()
        assert dcmtk.storescu(node.port, write_series(tmp_path / "ct", 2)).returncode == 0
        node.wait_for(lambda: "no-database" in node.logged(), "the reason")
        assert "Traceback" not in node.logged()
        database.start()
        node.wait_for(lambda: "going-on" in node.logged(), "the database to be noticed", 60)
        (status,) = node.wait_until_finished(seconds=60)
        assert status.state == "read"
        assert node.stop() == 0
    finally:
        node.end()
        database.stop()


def test_with_the_database_gone_for_a_while_nothing_is_lost(database: Postgres, tmp_path: Path) -> None:
    peer = dcmtk.StoreSCP(tmp_path / "pacs").start()
    node = Node(tmp_path / "node", {"pacs": (peer.ae_title, peer.port)}, database={"url": database.url})
    go_on = tmp_path / "go-on"
    node.plan(f"until {go_on}")
    try:
        node.start()
        assert dcmtk.storescu(node.port, write_series(tmp_path / "a", 2, study(1))).returncode == 0
        node.wait_for(lambda: len(node.requests()) == 1, "the reading to begin")
        database.go_away()
        go_on.touch()
        assert dcmtk.storescu(node.port, write_series(tmp_path / "b", 2, study(2))).returncode == 0
        time.sleep(8)
        assert node.process is not None
        assert node.process.poll() is None
        database.come_back()
        node.wait_for(lambda: len(peer.files()) == 4, "all results", 150)
        statuses = node.wait_until_finished(readings=2, seconds=60)
        assert {item.state for status in statuses for item in status.deliveries} == {"delivered"}
        assert node.stop() == 0
    finally:
        node.end()
        peer.stop()
