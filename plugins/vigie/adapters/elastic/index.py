"""The log index on Elasticsearch 8 or 9."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

import elastic_transport

from vigie.adapters.elastic.bulk import Tally, send
from vigie.adapters.elastic.client import Access, EsClient
from vigie.adapters.elastic.encode import Entry, chunks, deletions, encoded
from vigie.adapters.elastic.errors import of_status
from vigie.adapters.elastic.retry import Patience, Waits
from vigie.adapters.elastic.scan import PAGE, Window, scan
from vigie.adapters.elastic.templates import (
    ORDER,
    checked_name,
    fields_of,
    is_complete,
    mapping_of,
    properties_of,
    template_of,
)
from vigie.encoding import clean
from vigie.errors import DataError
from vigie.index_mapping import MAX_ID_BYTES, check_spec, extend_fields
from vigie.records import Document, IndexOutcome, IndexSpec

_IF_THERE = {"ignore_unavailable": "true"}


class EsIndex:
    """Implement :class:`vigie.roles.LogIndex` on an Elasticsearch cluster.

    ``url`` is the address of a node or a proxy. ``replicas`` is the number of replicas per shard;
    None: one if the cluster has a second node, otherwise none.
    """

    def __init__(
        self,
        url: str,
        access: Access | None = None,
        *,
        replicas: int | None = None,
        patience: Patience | None = None,
        request_s: float = 30.0,
        page: int = PAGE,
        node_class: type[elastic_transport.BaseNode] = elastic_transport.Urllib3HttpNode,
    ) -> None:
        self.client = EsClient(
            url, access, patience=patience, request_s=request_s, node_class=node_class
        )
        self.replicas = replicas
        self.page = page
        self._known: set[str] = set()

    def close(self) -> None:
        self.client.close()

    def cluster_name(self) -> str:
        health = self.client.request(
            "GET", "/_cluster/health", params={"filter_path": "cluster_name"}
        )
        return str(health["cluster_name"])

    def take_backoff_s(self) -> float:
        waited_s, self.client.backoff_s = self.client.backoff_s, 0.0
        return waited_s

    def ensure(self, spec: IndexSpec) -> None:
        check_spec(spec)
        name = checked_name(spec.name)
        mapping = self._mapping(name)
        if mapping is None:
            self._create_index(spec)
            mapping = self._mapping(name) or {}
        known = fields_of(mapping)
        fields = extend_fields(name, known, spec.fields)
        if not is_complete(mapping, spec.fields):
            self._put_template(IndexSpec(name, fields))
            new = {field: kind for field, kind in fields.items() if field not in known}
            body = {"dynamic": "strict", "properties": properties_of(new)}
            self.client.request("PUT", f"/{name}/_mapping", body)
        self._known.add(name)

    def create(self, index: str, documents: Sequence[Document]) -> IndexOutcome:
        name = checked_name(index)
        if name not in self._known and self._mapping(name) is None:
            raise DataError(f"the index {index!r} does not exist; call ensure first")
        self._known.add(name)
        tally, waits = Tally(), Waits(self.client.patience)
        for chunk in chunks(encoded(documents, tally.rejected)):
            send(self.client, name, chunk, tally.settle, waits)
        return tally.outcome()

    def count(self, index: str) -> int:
        name = checked_name(index)
        self.client.request("POST", f"/{name}/_refresh", params=_IF_THERE)
        return int(self.client.request("GET", f"/{name}/_count", params=_IF_THERE)["count"])

    def get(self, index: str, document_id: str) -> dict[str, Any] | None:
        key = clean(document_id)
        if not 0 < len(key.encode()) <= MAX_ID_BYTES:
            return None
        found = self._get_if_exists(f"/{checked_name(index)}/_doc/{quote(key, safe='')}")
        if found is None:
            return None
        body = dict(found["_source"])
        body.pop(ORDER, None)
        return body

    def scan(
        self, index: str, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[Document]:
        return scan(self.client, checked_name(index), Window(since, until), page=self.page)

    def delete(self, index: str, ids: Sequence[str]) -> int:
        name, gone = checked_name(index), 0

        def settle(entry: Entry, status: int, kind: str, reason: str) -> None:
            nonlocal gone
            if status >= 300 and status != 404:
                raise of_status(status, kind, reason)
            gone += status < 300

        waits = Waits(self.client.patience)
        for chunk in chunks(deletions(ids)):
            send(self.client, name, chunk, settle, waits)
        return gone

    def drop(self, index: str) -> int:
        """Delete the index with this exact name, if it exists; return the number of its documents.

        The template remains, so that a write cannot recreate the index with a guessed mapping.
        """
        name = checked_name(index)
        documents = self.count(name)
        self.client.request("DELETE", f"/{name}", params=_IF_THERE)
        self._known.discard(name)
        return documents

    def fields(self, index: str) -> dict[str, str] | None:
        mapping = self._mapping(checked_name(index))
        return None if mapping is None else fields_of(mapping)

    def _create_index(self, spec: IndexSpec) -> None:
        self._put_template(spec)
        try:
            self.client.request("PUT", f"/{spec.name}", {"mappings": mapping_of(spec.fields)})
        except DataError as exc:
            if "resource_already_exists" not in str(exc):  # created by another process
                raise

    def _put_template(self, spec: IndexSpec) -> None:
        body = template_of(spec, self.replicas)
        self.client.request("PUT", f"/_index_template/vigie-{spec.name}", body)

    def _mapping(self, name: str) -> dict[str, Any] | None:
        found = self._get_if_exists(f"/{name}/_mapping")
        for about in (found or {}).values():
            return dict(about["mappings"])
        return None

    def _get_if_exists(self, path: str) -> Any:
        """Return the response, or None if the index or document does not exist."""
        try:
            return self.client.request("GET", path)
        except DataError as exc:
            if ": 404 " in str(exc):
                return None
            raise
