"""The one point where Elasticsearch's errors, of a request or of one item, become ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import elastic_transport
import elasticsearch

from vigie.errors import (
    ConflictError,
    DataError,
    PermanentError,
    SettingsError,
    TransientError,
    VigieError,
)

#: Worth another try: too busy, or a proxy or node that is restarting.
_RETRY = frozenset({408, 429, 502, 503, 504})
_LOGIN = "check ELASTICSEARCH_USER, ELASTICSEARCH_PASSWORD or ELASTICSEARCH_API_KEY"
_VERSION = "vigie speaks to Elasticsearch 8 and 9"
#: Status → what the caller must do; those of ``_RETRY`` and 5xx are transient.
_BY_STATUS: dict[int, tuple[type[VigieError], str]] = {
    400: (DataError, "it understood the request and refused it"),
    401: (SettingsError, _LOGIN),
    403: (SettingsError, f"this login may not do it; {_LOGIN}"),
    404: (DataError, "there is no such index or document"),
    405: (PermanentError, "this server does not have that function"),
    406: (SettingsError, _VERSION),
    409: (ConflictError, "another process was faster"),
    410: (DataError, "it is gone"),
    415: (SettingsError, _VERSION),
}


#: A 400 that every document of the index would meet: kind, how its reason begins, what to do.
_OF_THE_INDEX = (
    ("index_closed_exception", "", "open the index: POST /INDEX/_open"),
    ("illegal_argument_exception", "pipeline with id", "create the ingest pipeline, or unset it"),
    ("illegal_argument_exception", "no write index", "give the alias one index to write to"),
)


class DiskBlockedError(TransientError):
    """The cluster takes no writes because a disk is full; it looks like "too busy", but lasts."""


class RequestTooLargeError(DataError):
    """One request was larger than the server takes; half of it may not be."""


def translate(exc: elastic_transport.ApiError | elastic_transport.TransportError) -> VigieError:
    """Return our error for one of the client library's.

    Examples
    --------
    >>> translate(elastic_transport.ConnectionTimeout("timed out"))
    TransientError('Elasticsearch did not answer: timed out')
    """
    if isinstance(exc, elasticsearch.UnsupportedProductError):
        return SettingsError(f"this is not Elasticsearch; {_VERSION}; check ELASTICSEARCH_HOST")
    if isinstance(exc, elastic_transport.ApiError):
        return of_status(exc.meta.status, *_cause(exc.body))
    words = str(exc.message).partition("\n")[0]
    if isinstance(exc, elastic_transport.TlsError) and "CERTIFICATE" in words.upper():
        return SettingsError(
            f"the certificate of Elasticsearch was not accepted: {words}; "
            "set ELASTICSEARCH_CA_CERTS to the authority that signed it"
        )
    if isinstance(exc, elastic_transport.SerializationError):
        return TransientError(f"Elasticsearch's answer was cut or is not JSON: {words:.200}")
    return TransientError(f"Elasticsearch did not answer: {words}")


def of_status(status: int, kind: str, reason: str) -> VigieError:
    """Return our error for a status with Elasticsearch's own error type and reason.

    Examples
    --------
    >>> of_status(503, "unavailable_shards_exception", "primary shard is not active")
    TransientError('Elasticsearch: 503 unavailable_shards_exception: primary shard is not active')
    """
    reason = reason.partition("; for more information")[0]
    words = f"Elasticsearch: {status} {kind}: {reason:.400}"
    if kind == "cluster_block_exception":
        return _blocked(status, reason, words)
    if advice := of_the_index(kind, reason):
        return PermanentError(f"{words}; {advice}")
    if status == 413:
        return RequestTooLargeError(words)
    if status in _RETRY or status >= 500:
        return TransientError(words)
    error, advice = _BY_STATUS.get(status, (PermanentError, "this should not happen"))
    return error(f"{words}; {advice}")


def of_the_index(kind: str, reason: str) -> str:
    """Return what to do about an index that takes no document at all; empty: it is one document.

    Examples
    --------
    >>> of_the_index("index_closed_exception", "closed")
    'open the index: POST /INDEX/_open'
    """
    found = (advice for k, start, advice in _OF_THE_INDEX if k == kind and reason.startswith(start))
    return next(found, "")


def _blocked(status: int, reason: str, words: str) -> VigieError:
    if "disk" in reason or "read-only-allow-delete" in reason:
        return DiskBlockedError(f"{words}; free disk space on its nodes, nothing is lost meanwhile")
    if status in _RETRY:  # no master yet, state not recovered
        return TransientError(words)
    return PermanentError(f"{words}; remove that block of the index or cluster")


def _cause(body: Any) -> tuple[str, str]:
    """Return type and reason of an error body, whatever a proxy in between made of it."""
    error = body.get("error", body) if isinstance(body, Mapping) else body
    if not isinstance(error, Mapping):
        return "error", str(error or "no reason given")[:200]
    roots = error.get("root_cause")
    root = roots[0] if isinstance(roots, list) and roots else error
    named = error if error.get("type") != "search_phase_execution_exception" else root
    return str(named.get("type", "error")), str(named.get("reason", "no reason given"))
