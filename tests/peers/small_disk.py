"""A disk of a few megabytes that a test can fill: a tmpfs, which takes root to mount."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


class SmallDisk:
    """A mounted tmpfs.

    Args:
        folder: Where; made if missing.
        mebibytes: Its size.
    """

    def __init__(self, folder: Path, mebibytes: int = 24) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
        subprocess.run(command, check=True, capture_output=True, timeout=30)

    @staticmethod
    def can_be_had(folder: Path) -> bool:
        """Whether this process may mount."""
        if os.geteuid() != 0:
            return False
        try:
            SmallDisk(folder, 1).unmount()
        except subprocess.CalledProcessError:
            return False
        return True

    def fill(self) -> None:
        """Leave not a byte."""
        with (self.folder / "filler").open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def make_room(self) -> None:
        """Give back what :meth:`fill` took."""
        (self.folder / "filler").unlink()

    def unmount(self) -> None:
        """Take it away, whoever uses it."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True, capture_output=True, timeout=30)
