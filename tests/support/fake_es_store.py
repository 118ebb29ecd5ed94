"""The documents of the fake Elasticsearch and its responses, without a network."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, NamedTuple

import orjson

from vigie.adapters.elastic.templates import ORDER, fields_of
from vigie.index_mapping import NO_TIMESTAMP, check_document, parse_date
from vigie.records import Document

#: Status, error type and reason of a rejected item.
Refusal = tuple[int, str, str]
Answer = tuple[int, Any]


class Stored(NamedTuple):
    """A document with its sort key."""

    id: str
    source: bytes
    millis: int | None
    order: str
    number: int  # of the shard


@dataclass(slots=True)
class FakeEsStore:
    """The mapping and documents of each index."""

    mappings: dict[str, dict[str, Any]] = field(default_factory=dict)
    documents: dict[str, dict[str, Stored]] = field(default_factory=dict)
    templates: dict[str, Any] = field(default_factory=dict)
    points: dict[str, tuple[str, list[Stored]]] = field(default_factory=dict)
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    lock: RLock = field(default_factory=RLock)

    def make(self, index: str, body: Mapping[str, Any]) -> Answer:
        if index in self.mappings:
            return error(400, "resource_already_exists_exception", f"index [{index}] exists")
        self.mappings[index] = dict(body["mappings"])
        self.documents[index] = {}
        return 200, {"acknowledged": True}

    def extend(self, index: str, body: Mapping[str, Any]) -> Answer:
        mapping = self.mappings[index]
        mapping["dynamic"] = body.get("dynamic", mapping.get("dynamic"))
        mapping["properties"] = {**body["properties"], **mapping.get("properties", {})}
        return 200, {"acknowledged": True}

    def drop(self, index: str) -> Answer:
        self.mappings.pop(index, None)
        self.documents.pop(index, None)
        return 200, {"acknowledged": True}

    def bulk(self, index: str, body: bytes, refuse: Callable[[str], Refusal | None]) -> Answer:
        """Apply each item that ``refuse`` does not refuse."""
        lines = iter(body.splitlines())
        items = []
        for line in lines:
            [(action, about)] = orjson.loads(line).items()
            source = next(lines) if action == "create" else b""
            items.append({action: self._item(index, about["_id"], action, source, refuse)})
        return 200, {"errors": any("error" in i for [i] in map(dict.values, items)), "items": items}

    def _item(
        self,
        index: str,
        key: str,
        action: str,
        source: bytes,
        refuse: Callable[[str], Refusal | None],
    ) -> dict[str, Any]:
        refusal = refuse(key)
        if refusal is None and index not in self.mappings:
            refusal = (404, "index_not_found_exception", f"no such index [{index}]")
        if refusal is None and action == "create":
            refusal = self._create(index, key, source)
        elif refusal is None:
            found = self.documents[index].pop(key, None)
            return {"status": 200 if found else 404}
        if refusal is None:
            return {"status": 201}
        status, kind, reason = refusal
        return {"status": status, "error": {"type": kind, "reason": reason}}

    def _create(self, index: str, key: str, source: bytes) -> Refusal | None:
        body = orjson.loads(source)
        order = str(body.pop(ORDER, ""))
        fields = fields_of(self.mappings[index])
        refused = check_document(fields, Document(key, body))
        if refused is not None:
            return 400, refused.kind, refused.reason
        at = parse_date(body["@timestamp"]) if body.get("@timestamp") is not None else NO_TIMESTAMP
        millis = None if at is NO_TIMESTAMP else int(at.timestamp() * 1000 // 1)
        with self.lock:
            if key in self.documents[index]:
                return 409, "version_conflict_engine_exception", f"[{key}]: document already exists"
            stored = Stored(key, orjson.dumps(body), millis, order, next(self.numbers))
            self.documents[index][key] = stored
        return None

    def open_point(self, index: str) -> Answer:
        point = f"pit-{next(self.numbers)}"
        self.points[point] = (index, list(self.documents[index].values()))
        return 200, {"id": point}

    def search(self, body: Mapping[str, Any]) -> Answer:
        """Answer the two queries of a scan."""
        point = body["pit"]["id"]
        if point not in self.points:
            return error(404, "search_context_missing_exception", f"No search context for {point}")
        matches = _matcher(body["query"])
        is_timed = "@timestamp" in body["sort"][0]
        found = sorted(
            (_place(doc, is_timed), doc) for doc in self.points[point][1] if matches(doc)
        )
        after = tuple(body.get("search_after", ()))
        hits = [(place, doc) for place, doc in found if not after or place > after]
        shown = [
            {"_id": doc.id, "_source": orjson.loads(doc.source), "sort": list(place)}
            for place, doc in hits[: body["size"]]
        ]
        return 200, {"pit_id": point, "hits": {"hits": shown}}


def error(status: int, kind: str, reason: str) -> Answer:
    return status, {"error": {"type": kind, "reason": reason}, "status": status}


def _place(doc: Stored, is_timed: bool) -> tuple[Any, ...]:
    return (doc.millis, doc.order, doc.number) if is_timed else (doc.order, doc.number)


def _matcher(query: Mapping[str, Any]) -> Callable[[Stored], bool]:
    if "bool" in query:
        return lambda doc: doc.millis is None
    if "exists" in query:
        return lambda doc: doc.millis is not None
    bounds = query["range"]["@timestamp"]
    low, high = bounds.get("gte", float("-inf")), bounds.get("lte", float("inf"))
    return lambda doc: doc.millis is not None and low <= doc.millis <= high
