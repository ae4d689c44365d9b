"""OHIF, the viewer, as npm has it: fetched once, pinned by its checksum, served beside a DICOMweb archive."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self

CACHE = Path(__file__).parent.parent.parent / ".cache" / "ohif"

VERSIONS: Mapping[str, str] = {
    "3.11.1": "0lJRyHguGuIR06PxeJ3rqnPWf1OAqsaXGuqT2kl5HkNjIOxBDnRTTMvyHnkn3ZyjcHlsIhY8gf0h7AhVORqsSQ==",
    "3.13.2": "WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA==",
}
"""Versions of ``@ohif/app`` that the results are looked at with, and the SHA-512 of their packages."""


class OhifUnavailableError(Exception):
    """The viewer is not in the cache and cannot be fetched."""


def ohif(version: str, cache: Path = CACHE) -> Path:
    """The folder of the built viewer, from the cache or fetched into it with npm.

    Raises:
        OhifUnavailableError: There is no npm, it cannot reach the package, or the checksum is another one.
    """
    folder = cache / version
    if not (folder / "index.html").exists():
        with tempfile.TemporaryDirectory() as scratch:
            _unpack(_download(version, Path(scratch)), folder)
    return folder


def _download(version: str, scratch: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        msg = "npm is not installed (apt install npm)"
        raise OhifUnavailableError(msg)
    command = [npm, "pack", "--silent", "--ignore-scripts", f"@ohif/app@{version}"]
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=300, check=False)
    packages = list(scratch.glob("*.tgz"))
    if done.returncode != 0 or len(packages) != 1:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        msg = f"@ohif/app@{version} cannot be fetched with npm: {last}"
        raise OhifUnavailableError(msg)
    if base64.b64encode(hashlib.sha512(packages[0].read_bytes()).digest()).decode() != VERSIONS[version]:
        msg = f"@ohif/app@{version} has another checksum than the pinned one; it was not used"
        raise OhifUnavailableError(msg)
    return packages[0]


def _unpack(package: Path, folder: Path) -> None:
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    with tarfile.open(package) as archive:
        archive.extractall(aside, filter="data")
    shutil.rmtree(folder, ignore_errors=True)
    (aside / "package" / "dist").rename(folder)
    shutil.rmtree(aside)


def _settings() -> str:
    source = {
        "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
        "sourceName": "orthanc",
        "configuration": {
            "friendlyName": "Orthanc",
            "name": "orthanc",
            **dict.fromkeys(("wadoUriRoot", "qidoRoot", "wadoRoot"), "/dicom-web"),
            "qidoSupportsIncludeField": False,
            "imageRendering": "wadors",
            "thumbnailRendering": "wadors",
            "enableStudyLazyLoad": True,
            "supportsFuzzyMatching": False,
            "supportsWildcard": True,
            "omitQuotationForMultipartRequest": True,
            "singlepart": "bulkdata,video,pdf",
            "bulkDataURI": {"enabled": True},
        },
    }
    settings = {
        "routerBasename": None,
        "extensions": [],
        "modes": [],
        "showStudyList": True,
        "maxNumberOfWebWorkers": 2,
        "showLoadingIndicator": True,
        "showWarningMessageForCrossOrigin": False,
        "showCPUFallbackMessage": False,
        "strictZSpacingForVolumeViewport": True,
        "investigationalUseDialog": {"option": "never"},
        "maxNumRequests": {"interaction": 100, "thumbnail": 5, "prefetch": 25},
        "defaultDataSourceName": "orthanc",
        "dataSources": [source],
    }
    # The relative root is made absolute in the page: DICOMweb's multipart requests need the whole address.
    return (
        f"window.config = {json.dumps(settings)};\n"
        "for (const key of ['wadoUriRoot', 'qidoRoot', 'wadoRoot'])\n"
        "  window.config.dataSources[0].configuration[key] = window.location.origin + '/dicom-web';\n"
    )


class OhifServer:
    """Serves a built viewer and, under the same address, an archive's DICOMweb.

    Args:
        viewer: Folder of the built viewer.
        archive_port: Where the archive answers HTTP, on loopback.
    """

    def __init__(self, viewer: Path, archive_port: int) -> None:
        def handler(*args: Any) -> _Handler:
            return _Handler(*args, directory=str(viewer), archive_port=archive_port)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def study(self, uid: str) -> str:
        """Address of the viewer with one study open."""
        return f"http://127.0.0.1:{self._server.server_port}/viewer?StudyInstanceUIDs={uid}"


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".wasm": "application/wasm", ".mjs": "text/javascript"}

    def __init__(self, *args: Any, directory: str, archive_port: int) -> None:
        self._archive_port = archive_port
        super().__init__(*args, directory=directory)

    def do_GET(self) -> None:
        if self.path.startswith("/dicom-web/"):
            self._pass_on()
        elif self.path.split("?")[0] == "/app-config.js":
            self._answer(200, {"Content-Type": "text/javascript"}, _settings().encode())
        else:
            if not Path(self.translate_path(self.path)).is_file():
                self.path = "/index.html"  # the viewer's own addresses, such as /viewer
            super().do_GET()

    def _pass_on(self) -> None:
        archive = http.client.HTTPConnection("127.0.0.1", self._archive_port, timeout=60)
        try:
            # The host goes along: the archive builds the addresses of bulk data from it.
            kept = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            archive.request("GET", self.path, headers=kept)
            answer = archive.getresponse()
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP}
            self._answer(answer.status, headers, answer.read())
        finally:
            archive.close()

    def _answer(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"})
