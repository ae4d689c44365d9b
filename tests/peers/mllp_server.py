"""A small HL7 v2 receiver on loopback: MLLP, and acknowledgements that the library ``hl7`` makes."""

from __future__ import annotations

import socketserver
import threading
from types import TracebackType
from typing import Self

import hl7

from tests.peers.ports import free_port

START, END = b"\x0b", b"\x1c\r"


class MllpServer:
    """Keeps the messages that it has acknowledged with AA or CA.

    Attributes:
        answers: Acknowledgement codes to give, one after the other, before it says AA. ``hang-up`` closes the
            connection instead, ``other`` acknowledges another message, ``garbage`` answers with no HL7.
        received: Every message as it came.
        kept: Those that were taken, by message control id.
    """

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self.answers: list[str] = []
        self.received: list[str] = []
        self.kept: dict[str, hl7.Message] = {}
        self._server: socketserver.ThreadingTCPServer | None = None

    def __enter__(self) -> Self:
        receiver = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                block = b""
                while END not in block:
                    chunk = self.request.recv(1000)
                    if not chunk:
                        return
                    block += chunk
                answer = receiver._answer(block)
                # In two parts, as networks do.
                self.request.sendall(answer[:7])
                self.request.sendall(answer[7:])

        self._server = _Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, block: bytes) -> bytes:
        assert block.startswith(START)
        assert block.endswith(END)
        text = block[len(START) : -len(END)].decode("utf-8")
        message = hl7.parse(text)
        self.received.append(text)
        code = self.answers.pop(0) if self.answers else "AA"
        if code == "hang-up":
            return b""
        if code == "garbage":
            return START + b"HTTP/1.1 400 Bad Request" + END
        control_id = str(message.segment("MSH")[10])
        if code in ("AA", "CA"):
            self.kept[control_id] = message
        answer = str(message.create_ack("AA" if code == "other" else code))
        if code == "other":
            answer = answer.replace(control_id, "12345")
        return START + answer.encode() + END


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
