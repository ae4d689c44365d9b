"""A small archive on loopback: stores what it is sent as files, one per instance. For the demo and for tests."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from pydicom import dcmread
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification

from tests.peers.ports import free_port


class Archive:
    """A Storage SCP that keeps everything.

    Args:
        folder: Where the instances go; made if missing.
        ae_title: Its AE title.
    """

    def __init__(self, folder: Path, ae_title: str = "ARCHIVE") -> None:
        self.folder = folder
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self._ae = AE(ae_title=ae_title)
        self._ae.supported_contexts = AllStoragePresentationContexts
        self._ae.add_supported_context(Verification)

    def __enter__(self) -> Self:
        self._server = self._ae.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()

    def received(self) -> list[tuple[str, Path]]:
        """Modality and file of every instance, in the order of the file names."""
        files = sorted(self.folder.glob("*.dcm"))
        return [(str(dcmread(file, specific_tags=["Modality"]).Modality), file) for file in files]

    def _store(self, event: evt.Event) -> int:
        path = self.folder / f"{event.request.AffectedSOPInstanceUID}.dcm"
        path.write_bytes(event.encoded_dataset())
        return 0x0000
