"""Read the documents of an index in order and in batches, with ``search_after``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from vigie.adapters.elastic.client import EsClient
from vigie.adapters.elastic.templates import ORDER
from vigie.errors import DataError, VigieError
from vigie.index_mapping import parse_date
from vigie.records import Document

log = logging.getLogger(__name__)
PAGE = 1000
#: Elasticsearch keeps the point in time open this long while the caller processes one batch.
_KEEP_ALIVE = "5m"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WHOLE = {
    "filter_path": "pit_id,hits.hits._id,hits.hits._source,hits.hits.sort",
    "allow_partial_search_results": "false",  # an unavailable shard is an error
}


@dataclass(frozen=True, slots=True)
class Window:
    """A filter for documents with ``since <= @timestamp < until``.

    Documents without ``@timestamp`` are selected only if ``since`` is None.
    """

    since: datetime | None
    until: datetime | None

    def query(self) -> dict[str, Any]:
        """Return a query for the window, widened to milliseconds, the precision of the index."""
        bounds: dict[str, Any] = {"format": "epoch_millis"}
        if self.since is not None:
            bounds["gte"] = _millis(self.since)
        if self.until is not None:
            bounds["lte"] = _millis(self.until)
        if len(bounds) == 1:
            return {"exists": {"field": "@timestamp"}}
        return {"range": {"@timestamp": bounds}}

    def holds(self, body: dict[str, Any]) -> bool:
        """Return whether a document is in the window, with microsecond precision.

        A value that is not a single date is accepted, because the server has compared it.
        """
        try:
            at = parse_date(body.get("@timestamp"))
        except (ValueError, OverflowError, OSError):
            return True
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)


def scan(client: EsClient, index: str, window: Window, *, page: int = PAGE) -> Iterator[Document]:
    """Yield the documents in the window by time and id; first those without a time, by id.

    Documents without a time are read by a separate query, because ``search_after`` cannot continue
    from a missing value.
    """
    client.request("POST", f"/{index}/_refresh", params={"ignore_unavailable": "true"})
    by_order = {ORDER: {"order": "asc", "missing": "_first", "unmapped_type": "keyword"}}
    if window.since is None:
        timeless = {"bool": {"must_not": {"exists": {"field": "@timestamp"}}}}
        yield from _pages(client, index, timeless, [by_order], page)
    by_time = {"@timestamp": {"order": "asc", "unmapped_type": "date"}}
    for found in _pages(client, index, window.query(), [by_time, by_order], page):
        if window.holds(dict(found.body)):
            yield found


def _pages(
    client: EsClient, index: str, query: dict[str, Any], sort: list[dict[str, Any]], page: int
) -> Iterator[Document]:
    request = {
        "size": page,
        "query": query,
        "sort": [*sort, {"_shard_doc": "asc"}],
        "track_total_hits": False,
    }
    pit = _open(client, index)
    try:
        while pit is not None:
            request["pit"] = {"id": pit, "keep_alive": _KEEP_ALIVE}
            try:
                response = client.request("POST", "/_search", request, params=_WHOLE)
            except DataError as exc:
                if "search_context_missing" not in str(exc):
                    raise
                pit = _open(client, index)  # expired: reopen it and continue from the same position
                continue
            pit = response.get("pit_id", pit)
            hits = response.get("hits", {}).get("hits", [])
            yield from (_document(hit) for hit in hits)
            if len(hits) < page:
                return
            request["search_after"] = hits[-1]["sort"]
    finally:
        _close(client, pit)


def _document(hit: dict[str, Any]) -> Document:
    body = hit["_source"]
    body.pop(ORDER, None)  # stored if another program created the index
    return Document(hit["_id"], body)


def _open(client: EsClient, index: str) -> str | None:
    """Open a point in time; return None if the index does not exist."""
    try:
        response = client.request("POST", f"/{index}/_pit", params={"keep_alive": _KEEP_ALIVE})
    except DataError as exc:
        if "index_not_found" in str(exc):
            return None
        raise
    return str(response["id"])


def _close(client: EsClient, pit: str | None) -> None:
    """Close the point in time; log an error and continue, because an open one expires."""
    if pit is None:
        return
    try:
        client.once("DELETE", "/_pit", {"id": pit})
    except VigieError as exc:
        log.info("could not close the point in time; it will expire: %s", exc)


def _millis(at: datetime) -> int:
    if at.tzinfo is None:
        raise DataError(f"{at.isoformat()} has no time zone; use an aware UTC datetime")
    return (at - _EPOCH) // timedelta(milliseconds=1)
