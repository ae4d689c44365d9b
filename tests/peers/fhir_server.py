"""A small FHIR server on loopback: takes transactions, checks them with fhir.resources, keeps the resources."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from fhir.resources.R4B.bundle import Bundle
from pydantic import ValidationError

from tests.peers.ports import free_port


class FhirServer:
    """Keeps what it is sent in memory.

    Attributes:
        resources: By ``Type/id``.
        statuses: What it answers with instead, one after the other, before it works.
        requests: Method, path and headers of everything it was asked.
    """

    def __init__(self, token: str | None = None, port: int | None = None, version: str = "4.0.1") -> None:
        self.port = port or free_port()
        self.resources: dict[str, dict[str, Any]] = {}
        self.statuses: list[int] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.version = version
        self._token = token
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Its base."""
        return f"http://127.0.0.1:{self.port}/fhir"

    def __enter__(self) -> Self:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server._answer(self)

            def do_POST(self) -> None:
                server._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def of_type(self, name: str) -> list[dict[str, Any]]:
        """The resources of one type."""
        return [resource for resource in self.resources.values() if resource["resourceType"] == name]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append((handler.command, handler.path, dict(handler.headers)))
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        status, answer = self._decide(handler, body)
        content = json.dumps(answer).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/fhir+json")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _decide(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, Any]]:
        if self.statuses:
            return self.statuses.pop(0), _outcome("transient", "PATIENT Müller is locked")
        if handler.command == "GET" and handler.path == "/fhir/metadata":
            rest = [{"mode": "server", "interaction": [{"code": "transaction"}]}]
            return 200, {"resourceType": "CapabilityStatement", "fhirVersion": self.version, "rest": rest}
        if self._token is not None and handler.headers.get("Authorization") != f"Bearer {self._token}":
            return 401, _outcome("login", "who are you")
        if (handler.command, handler.path) != ("POST", "/fhir"):
            return 404, _outcome("not-found", handler.path)
        try:
            Bundle.model_validate_json(body)
        except ValidationError as error:
            return 422, _outcome("invalid", str(error))
        return 200, self._transaction(json.loads(body))

    def _transaction(self, bundle: dict[str, Any]) -> dict[str, Any]:
        """FHIR R4, 3.1.0.11: update by id, conditional create."""
        entries = []
        for entry in bundle["entry"]:
            request, resource = entry["request"], entry["resource"]
            place = request["url"] if request["method"] == "PUT" else self._existing(request, resource)
            status = "200 OK" if place in self.resources else "201 Created"
            place = place or f"{request['url']}/{len(self.resources) + 1}"
            if not (request["method"] == "POST" and status == "200 OK"):
                self.resources[place] = {**resource, "id": place.partition("/")[2]}
            entries.append({"response": {"status": status, "location": place}})
        return {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}

    def _existing(self, request: dict[str, Any], resource: dict[str, Any]) -> str:
        system, _, value = request["ifNoneExist"].removeprefix("identifier=").partition("|")
        for place, known in self.resources.items():
            identifiers = known.get("identifier", [])
            if place.startswith(f"{request['url']}/") and {"system": system, "value": value} in identifiers:
                return place
        return ""


def _outcome(code: str, text: str) -> dict[str, Any]:
    issue = {"severity": "error", "code": code, "diagnostics": text}
    return {"resourceType": "OperationOutcome", "issue": [issue]}
