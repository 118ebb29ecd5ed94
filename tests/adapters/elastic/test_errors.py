"""Translation of the errors of the client library to errors of vigie."""

from __future__ import annotations

import inspect

import elastic_transport
import elasticsearch
import pytest

from vigie.adapters.elastic.errors import (
    DiskBlockedError,
    RequestTooLargeError,
    of_status,
    translate,
)
from vigie.errors import (
    ConflictError,
    DataError,
    PermanentError,
    SettingsError,
    TransientError,
    VigieError,
)

_BY_STATUS = {
    400: DataError,
    401: SettingsError,
    403: SettingsError,
    404: DataError,
    405: PermanentError,
    406: SettingsError,
    408: TransientError,
    409: ConflictError,
    410: DataError,
    413: RequestTooLargeError,
    415: SettingsError,
    418: PermanentError,
    429: TransientError,
    500: TransientError,
    502: TransientError,
    503: TransientError,
    504: TransientError,
}


def _api_error(
    kind: type[elastic_transport.ApiError], status: int, body: object
) -> elastic_transport.ApiError:
    meta = elastic_transport.ApiResponseMeta(
        status=status,
        http_version="1.1",
        headers=elastic_transport.HttpHeaders(),
        duration=0.0,
        node=elastic_transport.NodeConfig("http", "localhost", 9200),
    )
    return kind("what happened", meta, body)


@pytest.mark.parametrize(("status", "ours"), _BY_STATUS.items())
def test_each_status_has_its_error_class(status: int, ours: type[VigieError]) -> None:
    assert type(of_status(status, "kind", "reason")) is ours
    body = {"error": {"type": "kind", "reason": "reason"}, "status": status}
    found = translate(_api_error(elasticsearch.ApiError, status, body))
    assert type(found) is ours
    assert "kind: reason" in str(found)


def test_every_error_of_the_library_is_translated() -> None:
    modules = (elasticsearch, elasticsearch.exceptions, elastic_transport)
    kinds = {kind for module in modules for _, kind in inspect.getmembers(module, inspect.isclass)}
    theirs = {k for k in kinds if issubclass(k, Exception) and not issubclass(k, Warning)}
    assert len(theirs) >= 12
    for kind in theirs:
        if issubclass(kind, elastic_transport.ApiError):
            error = _api_error(kind, 404, {})
        else:
            assert issubclass(kind, elastic_transport.TransportError), kind
            error = kind("what happened")
        assert isinstance(translate(error), VigieError)


@pytest.mark.parametrize(
    ("reason", "status", "ours"),
    [
        ("[TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark", 429, DiskBlockedError),
        ("[FORBIDDEN/12/index read-only / allow delete (api)]", 403, PermanentError),
        ("[SERVICE_UNAVAILABLE/1/state not recovered / initialized];", 503, TransientError),
        ("[FORBIDDEN/5/index read-only (api)]", 403, PermanentError),
    ],
)
def test_the_reason_of_a_cluster_block_selects_the_error(
    reason: str, status: int, ours: type[VigieError]
) -> None:
    assert type(of_status(status, "cluster_block_exception", reason)) is ours


def test_an_untrusted_certificate_is_a_settings_error() -> None:
    refused = elastic_transport.TlsError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")
    assert isinstance(translate(refused), SettingsError)
    assert isinstance(translate(elastic_transport.TlsError("EOF occurred")), TransientError)


@pytest.mark.parametrize("body", [None, "", "<html>Bad gateway</html>", b"\xff", {"error": "no"}])
def test_the_error_contains_the_response_of_a_proxy(body: object) -> None:
    assert "502" in str(translate(_api_error(elasticsearch.ApiError, 502, body)))
