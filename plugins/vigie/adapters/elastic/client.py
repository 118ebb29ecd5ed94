"""A client for one Elasticsearch cluster, with bounded retries and translated errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import elastic_transport
import elasticsearch

from vigie.adapters.elastic.errors import DiskBlockedError, translate
from vigie.adapters.elastic.retry import Patience, Waits
from vigie.errors import SettingsError, TransientError, VigieError

_REQUEST_S = 30.0
_FIRST_REQUEST_S = 3.0
JSON = {"accept": "application/json", "content-type": "application/json"}
NDJSON = {"accept": "application/json", "content-type": "application/x-ndjson"}
_NO_BODY = {"accept": "application/json"}


@dataclass(frozen=True, slots=True)
class Access:
    """Credentials and TLS options; the defaults are for a cluster without security."""

    user: str | None = None
    password: str | None = None
    api_key: str | None = None
    ca_certs: str | None = None
    verify_certs: bool = True

    def __repr__(self) -> str:
        return f"Access(user={self.user!r}, …)"

    def arguments(self, url: str) -> dict[str, Any]:
        """Return the keyword arguments for the client library.

        Raises
        ------
        SettingsError
            The password is missing, a user and an API key are both set, the CA file does not
            exist, or a CA file is set without https.
        """
        self._check(url)
        found: dict[str, Any] = {}
        if self.api_key:
            found["api_key"] = self.api_key
        elif self.user:
            found["basic_auth"] = (self.user, self.password)
        if url.startswith("https:"):
            found["verify_certs"] = self.verify_certs
            if self.verify_certs and self.ca_certs:
                found["ca_certs"] = self.ca_certs
            if not self.verify_certs:
                found["ssl_show_warn"] = False
        return found

    def _check(self, url: str) -> None:
        if self.ca_certs and not url.startswith("https:"):
            raise SettingsError("ELASTICSEARCH_CA_CERTS needs ELASTICSEARCH_SCHEME=https")
        if self.ca_certs and not Path(self.ca_certs).is_file():
            raise SettingsError(f"ELASTICSEARCH_CA_CERTS: the file {self.ca_certs} does not exist")
        if self.api_key and self.user:
            raise SettingsError("set ELASTICSEARCH_API_KEY or ELASTICSEARCH_USER, not both")
        if self.user and not self.password:
            raise SettingsError("ELASTICSEARCH_USER needs ELASTICSEARCH_PASSWORD")


class EsClient:
    """A client that sends requests and retries them while the cluster is busy or unavailable.

    ``patience`` limits the retries. Until the cluster has responded once,
    ``patience.first_response_s`` is the limit.
    """

    def __init__(
        self,
        url: str,
        access: Access | None = None,
        *,
        patience: Patience | None = None,
        request_s: float = _REQUEST_S,
        node_class: type[elastic_transport.BaseNode] = elastic_transport.Urllib3HttpNode,
    ) -> None:
        self.url = url
        self.patience = patience or Patience()
        self.backoff_s = 0.0
        self._has_responded = False
        try:
            client = elasticsearch.Elasticsearch(
                url,
                max_retries=0,  # EsClient retries instead: it sends only the remaining items
                retry_on_timeout=False,
                serializer=elasticsearch.OrjsonSerializer(),
                node_class=node_class,
                **(access or Access()).arguments(url),
            )
        except (ValueError, OSError) as exc:
            raise SettingsError(f"the Elasticsearch settings are invalid: {exc}") from exc
        self._first_client = client.options(request_timeout=_FIRST_REQUEST_S)
        self._client = client.options(request_timeout=request_s)

    def close(self) -> None:
        self._client.close()

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Mapping[str, Any] | None = None,
        *,
        params: Mapping[str, Any] | None = None,
    ) -> Any:
        """Send a request and return the decoded response; retry transient errors.

        Raises
        ------
        VigieError
            The last error, as translated by :mod:`vigie.adapters.elastic.errors`.
        """
        waits = Waits(self.patience)
        while True:
            try:
                return self.once(method, path, body, params=params)
            except TransientError as problem:
                self.wait(waits, problem)

    def once(
        self,
        method: str,
        path: str,
        body: bytes | Mapping[str, Any] | None = None,
        *,
        params: Mapping[str, Any] | None = None,
    ) -> Any:
        """Send a request without retries; until the server has responded, check it first."""
        self._check_reachable()
        headers = NDJSON if isinstance(body, bytes) else JSON if body is not None else _NO_BODY
        return self._perform(self._client, method, path, body, headers, params)

    def wait(self, waits: Waits, problem: TransientError) -> None:
        """Sleep before the next attempt, and add the time slept to ``backoff_s``.

        If the sleep would exceed the time limit, raise ``problem`` instead.
        """
        began = self.patience.clock()
        if isinstance(problem, DiskBlockedError):
            waits.wait(problem, self.patience.disk_s)
        else:
            waits.wait(problem, None if self._has_responded else self.patience.first_response_s)
        self.backoff_s += self.patience.clock() - began

    def _check_reachable(self) -> None:
        """Until the server has responded once, check with a short time limit that it responds."""
        if self._has_responded:
            return
        try:
            self._perform(self._first_client, "GET", "/_cluster/health", None, _NO_BODY, None)
        except TransientError:
            raise
        except VigieError:
            pass  # The server responded. If the error affects the request, it is raised there.
        self._has_responded = True

    def _perform(
        self,
        client: elasticsearch.Elasticsearch,
        method: str,
        path: str,
        body: Any,
        headers: Mapping[str, str],
        params: Mapping[str, Any] | None,
    ) -> Any:
        try:
            response = client.perform_request(
                method, path, params=params, headers=headers, body=body
            )
        except (elastic_transport.ApiError, elastic_transport.TransportError) as exc:
            translated = translate(exc)
            raise type(translated)(f"{translated} ({self.url})") from exc
        return response.body
