"""A real Orthanc on loopback, with storage of its own that goes away with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread

from tests.peers.ports import free_port, wait_until_listening

_DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
"""Where Debian's orthanc-dicomweb puts the plugin."""


class Orthanc:
    """A running Orthanc.

    Args:
        folder: For its storage and settings.
        dicom_port, http_port: Where it listens; free ones unless given.
        dicomweb: True to load its DICOMweb plugin (``/dicom-web``), and to take SOP classes that this version
            does not know (label maps).
    """

    ae_title = "ORTHANC"

    def __init__(
        self,
        folder: Path,
        dicom_port: int | None = None,
        http_port: int | None = None,
        *,
        dicomweb: bool = False,
    ) -> None:
        self.folder = folder
        self.port = dicom_port or free_port()
        self.http_port = http_port or free_port()
        self._settings: dict[str, Any] = {
            "Name": "osteon-test",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "DicomAet": self.ae_title,
            "DicomPort": self.port,
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomModalities": {},
            "DicomAlwaysAllowStore": True,
            "OverwriteInstances": True,
            "Plugins": [str(_DICOMWEB)] if dicomweb else [],
            "DicomScuTimeout": 30,
            "UnknownSopClassAccepted": dicomweb,
            "DicomWeb": {"Enable": dicomweb, "Root": "/dicom-web/"},
        }
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def is_installed() -> bool:
        """Whether the program is there."""
        return shutil.which("Orthanc") is not None

    @staticmethod
    def has_dicomweb() -> bool:
        """Whether its DICOMweb plugin is there."""
        return Orthanc.is_installed() and _DICOMWEB.exists()

    def know(self, name: str, ae_title: str, port: int) -> None:
        """Add a DICOM modality on loopback; before the start."""
        self._settings["DicomModalities"][name] = {
            "AET": ae_title,
            "Host": "127.0.0.1",
            "Port": port,
            "AllowEcho": True,
        }

    def start(self) -> Orthanc:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self.folder / "orthanc.json"
        settings.write_text(json.dumps(self._settings))
        log = (self.folder / "orthanc.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                ["Orthanc", str(settings)],
                stdout=log,
                stderr=log,
                # DCMTK leaves Nagle's algorithm on otherwise, and every message waits 40 ms.
                env={**os.environ, "TCP_NODELAY": "1"},
            )
        wait_until_listening(self.http_port)
        wait_until_listening(self.port)
        return self

    def stop(self) -> None:
        """End it at once (an orderly end takes it three seconds); the storage stays for another start."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            self._process = None

    def get(self, path: str) -> Any:
        """A resource of the REST interface, decoded from JSON."""
        return json.loads(self.get_bytes(path))

    def get_bytes(self, path: str) -> bytes:
        """A resource of the REST interface."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=30) as answer:
            content: bytes = answer.read()
            return content

    def post(self, path: str, body: bytes) -> Any:
        """Post to the REST interface."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data=body, method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def upload(self, file: Path) -> None:
        """Store a DICOM file."""
        self.post("/instances", file.read_bytes())

    def send_study(self, study: str, to: str) -> None:
        """C-STORE all instances of a study to a known modality, and wait for the end of it."""
        found = [item for item in self.get("/studies?expand") if item["MainDicomTags"]["StudyInstanceUID"] == study]
        self.post(f"/modalities/{to}/store", found[0]["ID"].encode())

    def instances(self, study: str, sop_class: str | None = None) -> list[str]:
        """SOP Instance UIDs that it holds of a study, of one SOP class or of all."""
        found = []
        for instance in self._find({"StudyInstanceUID": study}):
            kind = self.get_bytes(f"/instances/{instance['ID']}/metadata/SopClassUid").decode()
            if sop_class in (None, kind):
                found.append(instance["MainDicomTags"]["SOPInstanceUID"])
        return sorted(found)

    def file(self, instance: str) -> bytes:
        """The DICOM file of an instance."""
        (found,) = self._find({"SOPInstanceUID": instance})
        return self.get_bytes(f"/instances/{found['ID']}/file")

    def retrieve(self, instance: Dataset) -> Dataset:
        """An instance by WADO-RS (DICOMweb)."""
        content = self.get_bytes(_address(instance))
        boundary = content.split(b"\r\n", 1)[0]
        part = content.split(b"\r\n\r\n", 1)[1]
        return dcmread(BytesIO(part[: part.rindex(b"\r\n" + boundary)]))

    def find_instance(self, instance: Dataset) -> Any:
        """An instance by QIDO-RS (DICOMweb), as DICOM JSON."""
        series = _address(instance).rsplit("/", 1)[0]
        (found,) = self.get(f"{series}?SOPInstanceUID={instance.SOPInstanceUID}")
        return found

    def _find(self, query: dict[str, str]) -> Any:
        return self.post("/tools/find", json.dumps({"Level": "Instance", "Expand": True, "Query": query}).encode())


def _address(instance: Dataset) -> str:
    return (
        f"/dicom-web/studies/{instance.StudyInstanceUID}/series/{instance.SeriesInstanceUID}"
        f"/instances/{instance.SOPInstanceUID}"
    )
