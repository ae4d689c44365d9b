"""``deploy/healthcheck.py``, as the container runs it: it tells a receiver that answers from one that does not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.receiving.inbox import Inbox
from node.receiving.receiver import Receiver
from node.settings import ReceiverSettings
from tests.peers.ports import free_port

ROOT = Path(__file__).parents[2]


def check_health(**variables: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OSTEON_")}
    return subprocess.run(
        [sys.executable, ROOT / "deploy" / "healthcheck.py"],
        env=environment | {"PYTHONPATH": str(ROOT)} | variables,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def receiver(folder: Path, **settings: object) -> Iterator[int]:
    port = free_port()
    running = Receiver(ReceiverSettings.model_validate({"port": port, **settings}), Inbox(folder), min_free_bytes=0)
    running.start()
    try:
        yield port
    finally:
        running.stop()


def test_a_receiver_on_every_address_that_answers_is_healthy(tmp_path: Path) -> None:
    with receiver(tmp_path, host="0.0.0.0") as port:
        done = check_health(OSTEON_RECEIVER__HOST="0.0.0.0", OSTEON_RECEIVER__PORT=str(port))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_receiver_that_takes_only_known_callers_is_asked_as_one_of_them(tmp_path: Path) -> None:
    with receiver(tmp_path, calling_ae_titles=("CT1", "PACS")) as port:
        strict = {"OSTEON_RECEIVER__PORT": str(port), "OSTEON_RECEIVER__CALLING_AE_TITLES": '["CT1", "PACS"]'}
        assert check_health(**strict).returncode == 0
        assert check_health(OSTEON_RECEIVER__PORT=str(port)).returncode == 1


def test_where_nothing_listens_the_reason_is_one_sentence() -> None:
    port = free_port()
    done = check_health(OSTEON_RECEIVER__PORT=str(port))
    assert done.returncode == 1
    assert done.stderr == f"the peer OSTEON at 127.0.0.1:{port} cannot be reached; is it running?\n"


def test_wrong_settings_are_not_healthy() -> None:
    done = check_health(OSTEON_RECEIVER__PORT="0")
    assert done.returncode == 1
    assert "receiver.port" in done.stderr
