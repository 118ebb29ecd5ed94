"""Metrics sink of the full stack: a Prometheus Pushgateway.

A push is a PUT request that replaces its whole group. The gateway adds ``push_time_seconds`` to
each group, and keeps a group until the group is deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import httpx
from prometheus_client import delete_from_gateway, push_to_gateway

from vigie.adapters.metrics.families import Families, families
from vigie.addresses import checked_url
from vigie.errors import DataError, SettingsError, TransientError
from vigie.records import Sample

_CONNECT_RETRIES = 2  # immediately and after 0.5 s, because the gateway may be restarting
_CONNECT_S = 2.0
_OVERLOADED = frozenset({408, 429})
_NOT_ALLOWED = frozenset({401, 403, 404, 405})


class Pushgateway:
    """Implement :class:`vigie.roles.MetricsSink` on a Pushgateway.

    ``url`` is ``http://host:port`` or ``host:port``, optionally with user and password. Error
    messages do not contain the password.
    """

    def __init__(self, url: str, *, timeout_s: float = 5.0) -> None:
        address = (url if "://" in url else f"http://{url}").rstrip("/")
        self._timeout_s = timeout_s
        given = checked_url(address, "PROMETHEUS_PUSHGATEWAY_URL")
        self._url = str(given.copy_with(userinfo=b""))
        self._auth = (given.username, given.password) if given.userinfo else None

    def push(
        self, job: str, samples: Sequence[Sample], grouping: Mapping[str, str] | None = None
    ) -> None:
        """Replace the samples of the group.

        Raises
        ------
        DataError
            The samples are invalid (see :func:`families`), or the gateway rejects the push, for
            example because another group contains the family with a different type.
        SettingsError
            The gateway refuses the method, path or credentials of the request.
        TransientError
            The gateway does not respond or reports a server error; the group may have changed.
        """
        group = dict(grouping or {})
        registry = Families(families(samples, group | {"job": job}))
        push_to_gateway(
            self._url, job, registry, group, timeout=self._timeout_s, handler=self._handler
        )

    def delete(self, job: str, grouping: Mapping[str, str] | None = None) -> None:
        """Delete the group, if it exists."""
        delete_from_gateway(
            self._url, job, dict(grouping or {}), timeout=self._timeout_s, handler=self._handler
        )

    def _handler(
        self,
        url: str,
        method: str,
        timeout: float | None,
        headers: Sequence[tuple[str, str]],
        data: bytes,
    ) -> Callable[[], None]:
        """Return a function that sends the request; prometheus_client calls it.

        The default handler of prometheus_client would use the proxy of the environment. The
        credentials are passed separately from the URL, because httpx logs each URL.
        """
        transport = httpx.HTTPTransport(retries=_CONNECT_RETRIES, trust_env=False)
        limits = httpx.Timeout(timeout, connect=min(timeout or _CONNECT_S, _CONNECT_S))

        def send() -> None:
            try:
                with httpx.Client(
                    transport=transport, trust_env=False, timeout=limits, auth=self._auth
                ) as client:
                    response = client.request(method, url, headers=list(headers), content=data)
            except (httpx.HTTPError, httpx.InvalidURL) as exc:
                text = f"Pushgateway at {self._url} did not respond ({type(exc).__name__})"
                raise TransientError(text) from exc
            self._check(response)

        return send

    def _check(self, response: httpx.Response) -> None:
        status, text = response.status_code, response.text.strip()[:300]
        if response.is_success:
            return
        message = f"Pushgateway at {self._url} responded with {status}: {text}"
        if status >= 500 or status in _OVERLOADED:
            raise TransientError(message)
        if status in _NOT_ALLOWED:
            raise SettingsError(f"{message}; check PROMETHEUS_PUSHGATEWAY_URL")
        raise DataError(message)
