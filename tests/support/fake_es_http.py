"""The connections of the fake Elasticsearch: record requests and apply faults."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol
from urllib.parse import unquote

import orjson

from support.fake_es_store import Answer, Refusal, error


@dataclass(slots=True)
class Fault:
    """A fault of the next ``times`` requests whose path contains ``path``."""

    path: str = "/_bulk"
    times: int = 1
    answer: Answer | None = None  # returned without processing the request
    refuse: Callable[[str], Refusal | None] = field(default=lambda key: None)  # per item
    delay_s: float = 0.0  # after the request was processed
    cut_at: int | None = None  # bytes of the response before the connection is closed


@dataclass(frozen=True, slots=True)
class Seen:
    """A received request."""

    at: float
    method: str
    path: str
    size: int
    authorization: str | None
    ids: tuple[str, ...] = ()


class Server(Protocol):
    """The part of the server that a connection uses."""

    seen: list[Seen]
    authorization: str | None
    product: str
    connections: set[socket.socket]

    def take_fault(self, path: str) -> Fault: ...
    def answer(self, method: str, path: str, body: bytes, fault: Fault) -> Answer: ...


class Connection(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    es: Server

    def _serve(self) -> None:
        path = unquote(self.path.partition("?")[0])
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        login = self.headers.get("Authorization")
        ids = tuple(re.findall(rb'"_id":"([^"]*)"', body)) if path.endswith("/_bulk") else ()
        self.es.seen.append(
            Seen(
                time.monotonic(),
                self.command,
                path,
                len(body),
                login,
                tuple(key.decode() for key in ids),
            )
        )
        if self.es.authorization is not None and login != self.es.authorization:
            return self._send(error(401, "security_exception", "unable to authenticate"), Fault())
        fault = self.es.take_fault(path)
        answer = self.es.answer(self.command, path, body, fault)
        time.sleep(fault.delay_s)
        return self._send(answer, fault)

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

    def _send(self, answer: Answer, fault: Fault) -> None:
        status, content = answer
        raw = b"" if content is None else orjson.dumps(content)
        self.send_response(status)
        self.send_header("X-Elastic-Product", self.es.product)
        if content is not None:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw[: fault.cut_at])
        self.close_connection = fault.cut_at is not None

    def log_message(self, format: str, *args: Any) -> None:
        """Suppress the log output."""

    def handle(self) -> None:
        """Ignore clients that close the connection."""
        self.es.connections.add(self.connection)
        with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
            super().handle()
        self.es.connections.discard(self.connection)
