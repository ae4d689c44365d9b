"""A real PostgreSQL on loopback, with a cluster of its own that goes away with it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from tests.peers.ports import free_port, wait_until_listening

_USER = "postgres"
_DEBIAN = Path("/usr/lib/postgresql")
"""Debian keeps the programs off the path, one folder per version."""


def _program(name: str) -> str | None:
    found = sorted(_DEBIAN.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return str(found[-1]) if found else shutil.which(name)


class Postgres:
    """A running PostgreSQL without passwords."""

    def __init__(self) -> None:
        self.port = free_port()
        # Not below pytest's folder: PostgreSQL refuses to run as root, and its user may not look in there.
        self._folder = Path(tempfile.mkdtemp(prefix="osteon-postgres-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/osteon"

    @staticmethod
    def is_installed() -> bool:
        """Whether the programs are there."""
        return all(_program(name) for name in ("initdb", "postgres", "createdb"))

    def start(self) -> Postgres:
        """Make the cluster and the database, and wait until it answers."""
        user = self._user()
        data = str(self._folder / "data")
        command = [str(_program("initdb")), "-D", data, "-U", _USER, "--auth=trust", "--no-sync", "--encoding=UTF8"]
        subprocess.run(command, user=user, cwd=self._folder, check=True, capture_output=True, timeout=120)
        self.come_back()
        self._create_database()
        return self

    def _user(self) -> str | None:
        """Whom it runs as: not as root, which it refuses."""
        if os.geteuid() != 0:
            return None
        account = pwd.getpwnam(_USER)
        os.chown(self._folder, account.pw_uid, account.pw_gid)
        return _USER

    def come_back(self) -> None:
        """Run on the cluster that is there."""
        options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self._folder}"]
        self._process = subprocess.Popen(
            [str(_program("postgres")), "-D", str(self._folder / "data"), "-p", str(self.port), *options],
            user=self._user(),
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until_listening(self.port)

    def go_away(self) -> None:
        """End it, whoever is connected; the cluster stays."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(20)
            self._process = None

    def _create_database(self) -> None:
        command = [str(_program("createdb")), "-h", "127.0.0.1", "-p", str(self.port), "-U", _USER, "osteon"]
        for _ in range(50):  # it listens before it answers
            if subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0:
                return
        msg = "the database could not be made"
        raise TimeoutError(msg)

    def stop(self) -> None:
        """End it and remove the cluster."""
        self.go_away()
        shutil.rmtree(self._folder, ignore_errors=True)
