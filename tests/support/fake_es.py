"""A fake Elasticsearch over HTTP with scripted faults that a real server cannot produce on demand.

It supports only the requests of :class:`~vigie.adapters.elastic.index.EsIndex`.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from http.server import ThreadingHTTPServer
from threading import Lock, Thread
from typing import Self

import orjson

from support.fake_es_http import Connection, Fault, Seen
from support.fake_es_store import Answer, FakeEsStore, error

_ROUTE = re.compile(r"/(?P<index>[a-z0-9][^/?]*)?(?:/?(?P<what>_[a-z_]+))?(?:/(?P<key>[^/?]+))?")


class FakeEs:
    """A fake server; ``faults`` scripts its failures, ``seen`` records its requests."""

    cluster = "fake-cluster"

    def __init__(
        self,
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        authorization: str | None = None,
        max_bytes: int = 100 << 20,
        product: str = "Elasticsearch",
    ) -> None:
        self.store = FakeEsStore()
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.connections: set[socket.socket] = set()
        self.authorization = authorization
        self.max_bytes = max_bytes
        self.product = product
        self.lock = Lock()
        handler = type("Handler", (Connection,), {"es": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        if tls is not None:
            self.server.socket = tls.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.scheme = "https" if tls else "http"
        self.port = int(self.server.server_address[1])
        self.url = f"{self.scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Stop the server and close its open connections."""
        self.server.shutdown()
        self.server.server_close()
        for connection in self.connections.copy():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def bulks(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.path.endswith("/_bulk")]

    def take_fault(self, path: str) -> Fault:
        """Return the fault for a request and count it as used."""
        with self.lock:
            for fault in self.faults:
                if fault.path in path and fault.times > 0:
                    fault.times -= 1
                    return fault
        return Fault()

    def answer(self, method: str, path: str, body: bytes, fault: Fault) -> Answer:
        if len(body) > self.max_bytes:
            return 413, None  # without a body, as in Elasticsearch
        if fault.answer is not None:
            return fault.answer
        found = _ROUTE.fullmatch(path)
        index, what, key = found.group("index", "what", "key") if found else (None, None, None)
        if index is not None:
            return self._of_index(method, index, what, key, body, fault)
        return self._of_cluster(method, what, key, body)

    def _of_cluster(self, method: str, what: str | None, key: str | None, body: bytes) -> Answer:
        store = self.store
        if what == "_cluster":
            return 200, {"cluster_name": self.cluster, "status": "green"}
        if what == "_nodes":
            return 200, {"nodes": {"n": {"version": "8.19.9"}}}
        if what == "_index_template" and method == "PUT":
            store.templates[str(key)] = orjson.loads(body)
            return 200, {"acknowledged": True}
        if what == "_search":
            return store.search(orjson.loads(body))
        if what == "_pit":
            store.points.pop(orjson.loads(body)["id"], None)
            return 200, {"succeeded": True}
        return error(405, "method_not_allowed", f"{method} {what}")

    def _of_index(
        self, method: str, index: str, what: str | None, key: str | None, body: bytes, fault: Fault
    ) -> Answer:
        store = self.store
        if what == "_bulk":
            return store.bulk(index, body, fault.refuse)
        if what == "_refresh":
            return 200, {}
        if what == "_count":
            return 200, {"count": len(store.documents.get(index, ()))}
        if what is None and method == "PUT":
            return store.make(index, orjson.loads(body))
        if what is None and method == "DELETE":
            return store.drop(index)
        if index not in store.mappings:
            return error(404, "index_not_found_exception", f"no such index [{index}]")
        if what == "_mapping":
            if method == "PUT":
                return store.extend(index, orjson.loads(body))
            return 200, {index: {"mappings": store.mappings[index]}}
        if what == "_pit":
            return store.open_point(index)
        return self._document(index, str(key))

    def _document(self, index: str, key: str) -> Answer:
        stored = self.store.documents[index].get(key)
        if stored is None:
            return 404, {"_index": index, "_id": key, "found": False}
        return 200, {"_id": key, "found": True, "_source": orjson.loads(stored.source)}
