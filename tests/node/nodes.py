"""A node as a process of its own, as in real life, so that it can be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from node.settings import load_settings
from node.status import StudyStatus, study_statuses
from tests.peers.ports import free_port, is_listening

ROOT = Path(__file__).parents[2]
FAKE_READER = Path(__file__).with_name("fake_reader.py")


class Node:
    """A node with the fake reader.

    Args:
        folder: For everything it writes.
        destinations: Name to (AE title, port) on loopback; they get a SEG and an SR.
        settings: Further settings by section.
    """

    def __init__(
        self,
        folder: Path,
        destinations: Mapping[str, tuple[str, int]] | None = None,
        **settings: Mapping[str, Any],
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.reader = folder / "reader"
        self.reader.mkdir(parents=True)
        self.log = folder / "node.log"
        sections: dict[str, dict[str, Any]] = {
            "receiver": {"port": self.port},
            "storage": {"folder": str(folder / "data"), "min_free_gib": 0.01},
            "settling": {"quiet_seconds": 0.6, "gap_seconds": 1.2, "longest_wait_seconds": 60},
            "reading": {"timeout_seconds": 20, "wait_seconds": 0.1, "attempts": 3},
            "logs": {"level": "DEBUG"},
        }
        for name, values in settings.items():
            sections.setdefault(name, {}).update(values)
        for name, (ae_title, port) in (destinations or {}).items():
            sections[f"destinations.{name}"] = {
                "host": "127.0.0.1",
                "port": port,
                "ae_title": ae_title,
                "objects": ["-seg-density", "-pdf"],
                "wait_seconds": 0.3,
                "wait_growth": 1.2,
                "timeout_seconds": 10,
            }
        self.settings_file = folder / "osteon.toml"
        self.settings_file.write_text(_toml(sections))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Node:
        """Start it and wait until it receives."""
        command = [sys.executable, "-m", "tests.node.run_node", str(self.settings_file)]
        reader = [sys.executable, str(FAKE_READER), str(self.reader)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*command, *reader], cwd=ROOT, stdout=log, stderr=log, env=_environment())
        self.wait_for(lambda: is_listening(self.port), "the node to listen", 90)
        return self

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self, seconds: float = 20) -> int:
        """SIGTERM; gives the exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(seconds)

    def end(self) -> None:
        """Whatever state it is in, it is gone afterwards."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def plan(self, *lines: str) -> None:
        """What the reader does with its next readings."""
        (self.reader / "plan").write_text("\n".join(lines))

    def requests(self) -> list[dict[str, Any]]:
        """The readings that the reader was asked for."""
        path = self.reader / "requests"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []

    def statuses(self) -> list[StudyStatus]:
        """What ``osteon status`` says."""
        return study_statuses(load_settings(self.settings_file))

    def wait_until_finished(self, readings: int = 1, seconds: float = 40) -> list[StudyStatus]:
        """Wait until so many readings have come to their end, deliveries included."""

        def finished() -> bool:
            ended = [status for status in self.statuses() if status.is_finished and status.reading]
            return len(ended) >= readings

        self.wait_for(finished, f"{readings} finished reading(s)", seconds)
        return self.statuses()

    def wait_for(self, condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
        """Wait, and show the log when it was in vain."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                msg = f"waited {seconds} s for {what}; the log:\n{self.log.read_text()[-4000:]}"
                raise TimeoutError(msg)
            time.sleep(0.1)

    def logged(self) -> str:
        """Everything it has logged."""
        return self.log.read_text()

    def received(self) -> list[Path]:
        """The instances in its inbox."""
        return sorted((self.folder / "data" / "inbox" / "studies").glob("*/*.dcm"))


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("OSTEON_")}


def _toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    lines = []
    for name, values in sections.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"
