"""The DCMTK command-line peers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.peers.ports import free_port, wait_until_listening

_ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}


def missing_tools(*names: str) -> list[str]:
    """Those of the named programs that are not installed."""
    return [name for name in names if _find(name) == name]


def _find(name: str) -> str:
    """Where DCMTK's program is: pynetdicom puts others of the same names into the virtual environment.

    Returns:
        Its path, or the bare name where it is not installed.
    """
    own = Path(sys.executable).parent
    folders = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if Path(part) != own]
    return shutil.which(name, path=os.pathsep.join(folders)) or name


def echoscu(port: int, called: str = "OSTEON", calling: str = "ECHOSCU") -> int:
    """C-ECHO; gives the program's exit status."""
    command = [_find("echoscu"), "-aet", calling, "-aec", called, "127.0.0.1", str(port)]
    return subprocess.run(command, env=_ENVIRONMENT, capture_output=True, timeout=30, check=False).returncode


def storescu(
    port: int, files: Sequence[Path], *options: str, called: str = "OSTEON"
) -> subprocess.CompletedProcess[str]:
    """C-STORE files; the options choose the proposed transfer syntaxes (``-xi``, ``-xs`` …)."""
    command = [
        _find("storescu") or "storescu",
        *options,
        "-v",
        "-aec",
        called,
        "127.0.0.1",
        str(port),
        *map(str, files),
    ]
    return subprocess.run(command, env=_ENVIRONMENT, capture_output=True, timeout=120, check=False, text=True)


def accepting(folder: Path, contexts: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Options that let storescp accept nothing but some SOP classes, each in some transfer syntaxes.

    Args:
        folder: For its association configuration.
        contexts: UIDs of the transfer syntaxes by UID of the SOP class.
    """
    folder.mkdir(parents=True, exist_ok=True)
    syntaxes, rows = [], []
    for number, (sop_class, uids) in enumerate(contexts.items(), 1):
        syntaxes += [f"[Syntaxes{number}]", *(f"TransferSyntax{place} = {uid}" for place, uid in enumerate(uids, 1))]
        rows.append(f"PresentationContext{number} = {sop_class}\\Syntaxes{number}")
    lines = ["[[TransferSyntaxes]]", *syntaxes, "[[PresentationContexts]]", "[Accepted]", *rows]
    file = folder / "storescp.cfg"
    file.write_text("\n".join([*lines, "[[Profiles]]", "[Default]", "PresentationContexts = Accepted"]) + "\n")
    return ("-xf", str(file), "Default")


class StoreSCP:
    """A running storescp that writes what it receives, as it came.

    Args:
        folder: Where to.
        options: Further options, such as the transfer syntaxes it accepts.
        port: Where it listens; a free one unless given.
    """

    ae_title = "STORESCP"

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> StoreSCP:
        """Start it and wait until it listens."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            _find("storescp") or "storescp",
            "-aet",
            self.ae_title,
            "-od",
            str(self.folder),
            "-B",
            *self._options,
        ]
        self._process = subprocess.Popen(
            [*command, str(self.port)],
            env=_ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until_listening(self.port)
        return self

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def files(self) -> list[Path]:
        """What it has received."""
        return sorted(self.folder.iterdir())
