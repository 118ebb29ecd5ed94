"""Send bulk requests and retry the items that a busy or unavailable server did not process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from vigie.adapters.elastic.client import EsClient
from vigie.adapters.elastic.encode import Entry
from vigie.adapters.elastic.errors import RequestTooLargeError, of_status, of_the_index
from vigie.adapters.elastic.retry import Waits
from vigie.errors import TransientError
from vigie.records import IndexOutcome, Rejection

#: Reduces the response to the status and error of each item, in the order of the request.
_FILTER = {"filter_path": "errors,items.*.status,items.*.error.type,items.*.error.reason"}

#: Called with an entry, the status of its item, and the type and reason of its error.
Settle = Callable[[Entry, int, str, str], None]


@dataclass(slots=True)
class Tally:
    """The numbers of created and existing documents of one ``create``, and its rejections."""

    created: int = 0
    already_there: int = 0
    rejected: list[Rejection] = field(default_factory=list)

    def settle(self, entry: Entry, status: int, kind: str, reason: str) -> None:
        if status < 300:
            self.created += 1
        elif status == 409:  # the id exists: this or another process wrote it before
            self.already_there += 1
        elif status in (400, 413) and not of_the_index(kind, reason):
            self.rejected.append(Rejection(entry.id, kind, reason))
        else:
            raise of_status(status, kind, reason)

    def outcome(self) -> IndexOutcome:
        return IndexOutcome(self.created, self.already_there, tuple(self.rejected))


def send(
    client: EsClient, index: str, entries: Sequence[Entry], settle: Settle, waits: Waits
) -> None:
    """Send one chunk, and call ``settle`` once per entry with the final status of its item.

    Entries that a busy server did not process are sent again. If the response is truncated or
    missing, every unsettled entry is sent again; if the server did process it, its status is then
    409 for a created document and 404 for a deleted document.
    """
    waits = waits.of_next_part()
    pending = entries
    while pending:
        body = b"".join(entry.lines for entry in pending)
        try:
            response = client.once("POST", f"/{index}/_bulk", body, params=_FILTER)
            left, problem = _settled(pending, response, settle)
        except RequestTooLargeError as exc:
            return _halve(client, index, pending, settle, waits, exc)
        except TransientError as exc:
            left, problem = pending, exc
        if problem is not None:
            if len(left) < len(pending):
                waits.progressed()
            client.wait(waits, problem)
        pending = left


def _halve(
    client: EsClient,
    index: str,
    entries: Sequence[Entry],
    settle: Settle,
    waits: Waits,
    problem: RequestTooLargeError,
) -> None:
    if len(entries) == 1:
        return settle(entries[0], 413, "content_too_long_exception", str(problem))
    middle = len(entries) // 2
    send(client, index, entries[:middle], settle, waits)
    send(client, index, entries[middle:], settle, waits)
    return None


def _settled(
    entries: Sequence[Entry], response: Any, settle: Settle
) -> tuple[Sequence[Entry], TransientError | None]:
    """Settle the entries with a final status; return the other entries and their last error."""
    items = response.get("items") if isinstance(response, dict) else None
    if not isinstance(items, list) or len(items) != len(entries):
        raise TransientError("the response of Elasticsearch does not have one item per document")
    left: list[Entry] = []
    problem: TransientError | None = None
    for entry, item in zip(entries, items, strict=True):
        (result,) = item.values()
        status, error = result["status"], result.get("error") or {}
        kind, reason = error.get("type", ""), error.get("reason", "")
        if status in (408, 429) or status >= 500:
            found = of_status(status, kind, reason)
            if not isinstance(found, TransientError):
                raise found
            left.append(entry)
            problem = found
        else:
            settle(entry, status, kind, reason)
    return left, problem
