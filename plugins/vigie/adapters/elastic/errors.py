"""Translate the errors of Elasticsearch requests and bulk items to errors of vigie."""

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

#: Statuses that are retried: the server is busy, or a proxy or node is restarting.
_RETRY = frozenset({408, 429, 502, 503, 504})
_LOGIN = "check ELASTICSEARCH_USER, ELASTICSEARCH_PASSWORD or ELASTICSEARCH_API_KEY"
_VERSION = "vigie supports Elasticsearch 8 and 9"
#: Error class and advice by status; ``_RETRY``, 5xx and 413 are handled before.
_BY_STATUS: dict[int, tuple[type[VigieError], str]] = {
    400: (DataError, "Elasticsearch rejected the request"),
    401: (SettingsError, _LOGIN),
    403: (SettingsError, f"this login lacks the permission; {_LOGIN}"),
    404: (DataError, "the index or document does not exist"),
    405: (PermanentError, "this server does not support the request"),
    406: (SettingsError, _VERSION),
    409: (ConflictError, "another process changed the document first"),
    410: (DataError, "the resource no longer exists"),
    415: (SettingsError, _VERSION),
}

#: Errors with status 400 for every document of an index: type, start of the reason, advice.
_OF_THE_INDEX = (
    ("index_closed_exception", "", "open the index: POST /INDEX/_open"),
    ("illegal_argument_exception", "pipeline with id", "create the ingest pipeline, or unset it"),
    ("illegal_argument_exception", "no write index", "set a write index for the alias"),
)


class DiskBlockedError(TransientError):
    """The cluster refuses writes because a disk is full."""


class RequestTooLargeError(DataError):
    """The request is larger than the server accepts; the caller may split it."""


def translate(exc: elastic_transport.ApiError | elastic_transport.TransportError) -> VigieError:
    """Translate an error of the client library.

    Examples
    --------
    >>> translate(elastic_transport.ConnectionTimeout("timed out"))
    TransientError('Elasticsearch did not respond: timed out')
    """
    if isinstance(exc, elasticsearch.UnsupportedProductError):
        return SettingsError("this is not Elasticsearch 8 or 9; check ELASTICSEARCH_HOST")
    if isinstance(exc, elastic_transport.ApiError):
        return of_status(exc.meta.status, *_cause(exc.body))
    message = str(exc.message).partition("\n")[0]
    if isinstance(exc, elastic_transport.TlsError) and "CERTIFICATE" in message.upper():
        return SettingsError(
            f"the certificate of Elasticsearch was rejected: {message}; "
            "set ELASTICSEARCH_CA_CERTS to the CA file that verifies it"
        )
    if isinstance(exc, elastic_transport.SerializationError):
        return TransientError(
            f"the response of Elasticsearch was truncated or is not JSON: {message:.200}"
        )
    return TransientError(f"Elasticsearch did not respond: {message}")


def of_status(status: int, kind: str, reason: str) -> VigieError:
    """Translate an HTTP status, error type and reason to an error of vigie.

    Examples
    --------
    >>> of_status(503, "unavailable_shards_exception", "primary shard is not active")
    TransientError('Elasticsearch: 503 unavailable_shards_exception: primary shard is not active')
    """
    reason = reason.partition("; for more information")[0]
    message = f"Elasticsearch: {status} {kind}: {reason:.400}"
    if kind == "cluster_block_exception":
        return _blocked(status, reason, message)
    if advice := of_the_index(kind, reason):
        return PermanentError(f"{message}; {advice}")
    if status == 413:
        return RequestTooLargeError(message)
    if status in _RETRY or status >= 500:
        return TransientError(message)
    error, advice = _BY_STATUS.get(status, (PermanentError, "unexpected status"))
    return error(f"{message}; {advice}")


def of_the_index(kind: str, reason: str) -> str:
    """Return advice if the index accepts no document, or '' if only this document is invalid.

    Examples
    --------
    >>> of_the_index("index_closed_exception", "closed")
    'open the index: POST /INDEX/_open'
    """
    found = (advice for k, start, advice in _OF_THE_INDEX if k == kind and reason.startswith(start))
    return next(found, "")


def _blocked(status: int, reason: str, message: str) -> VigieError:
    if "disk" in reason or "read-only-allow-delete" in reason:
        return DiskBlockedError(f"{message}; free disk space on the nodes; no stored data is lost")
    if status in _RETRY:  # no master yet, state not recovered
        return TransientError(message)
    return PermanentError(f"{message}; remove the block from the index or cluster")


def _cause(body: Any) -> tuple[str, str]:
    """Return the type and reason of an error response; a proxy's body may differ in structure."""
    error = body.get("error", body) if isinstance(body, Mapping) else body
    if not isinstance(error, Mapping):
        return "error", str(error or "no reason given")[:200]
    roots = error.get("root_cause")
    root = roots[0] if isinstance(roots, list) and roots else error
    named = error if error.get("type") != "search_phase_execution_exception" else root
    return str(named.get("type", "error")), str(named.get("reason", "no reason given"))
