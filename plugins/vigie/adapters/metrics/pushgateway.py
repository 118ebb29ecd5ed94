"""The metrics sink of the full stack: a Prometheus Pushgateway.

A push is a PUT and replaces its whole group. The gateway adds ``push_time_seconds`` to each group
and forgets none: a group that must not be told for ever is deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import httpx
from prometheus_client import delete_from_gateway, push_to_gateway

from vigie.adapters.addresses import checked_url
from vigie.adapters.metrics.families import Families, families
from vigie.errors import DataError, SettingsError, TransientError
from vigie.records import Sample

_CONNECT_RETRIES = 2  # at once and after half a second: a gateway that restarts
_CONNECT_S = 2.0
_OVERLOADED = frozenset({408, 429})
_NOT_ALLOWED = frozenset({401, 403, 404, 405})


class Pushgateway:
    """A :class:`vigie.roles.MetricsSink` on a Pushgateway.

    Parameters
    ----------
    url
        ``http://host:port``, or ``host:port``; may carry user and password, which no message
        repeats.
    timeout_s
        For connecting and for the answer: the sink is the last task of a run, which must not hang.
    """

    def __init__(self, url: str, *, timeout_s: float = 5.0) -> None:
        address = (url if "://" in url else f"http://{url}").rstrip("/")
        self._timeout_s = timeout_s
        given = checked_url(address, "PROMETHEUS_PUSHGATEWAY_URL")
        self._told = str(given.copy_with(userinfo=b""))
        self._auth = (given.username, given.password) if given.userinfo else None

    def push(
        self, job: str, samples: Sequence[Sample], grouping: Mapping[str, str] | None = None
    ) -> None:
        """Replace the group.

        Raises
        ------
        DataError
            For a name that is not in the catalogue, a series given twice, or what the gateway
            refuses (another group tells the family with another type, for one).
        TransientError
            When the gateway does not answer; the group is then as it was.
        """
        labels = {**(grouping or {}), "job": job}
        registry = Families(families(samples, labels))
        push_to_gateway(
            self._told,
            job,
            registry,
            dict(grouping or {}),
            timeout=self._timeout_s,
            handler=self._handler,
        )

    def delete(self, job: str, grouping: Mapping[str, str] | None = None) -> None:
        """Remove the group, if there is one.

        Raises
        ------
        TransientError
            When the gateway does not answer.
        """
        delete_from_gateway(
            self._told, job, dict(grouping or {}), timeout=self._timeout_s, handler=self._handler
        )

    def _handler(
        self,
        url: str,
        method: str,
        timeout: float | None,
        headers: Sequence[tuple[str, str]],
        data: bytes,
    ) -> Callable[[], None]:
        """Send as prometheus_client asks to; its own handler would use the shell's proxy.

        The login goes beside the address: httpx logs each address that it asks.
        """

        transport = httpx.HTTPTransport(retries=_CONNECT_RETRIES, trust_env=False)
        limits = httpx.Timeout(timeout, connect=min(timeout or _CONNECT_S, _CONNECT_S))

        def send() -> None:
            try:
                with httpx.Client(
                    transport=transport, trust_env=False, timeout=limits, auth=self._auth
                ) as client:
                    answer = client.request(method, url, headers=list(headers), content=data)
            except (httpx.HTTPError, httpx.InvalidURL) as exc:
                name = type(exc).__name__
                raise TransientError(
                    f"Pushgateway at {self._told} did not answer ({name})"
                ) from exc
            self._check(answer)

        return send

    def _check(self, answer: httpx.Response) -> None:
        status, words = answer.status_code, answer.text.strip()[:300]
        if answer.is_success:
            return
        told = f"Pushgateway at {self._told} answered {status}: {words}"
        if status >= 500 or status in _OVERLOADED:
            raise TransientError(told)
        if status in _NOT_ALLOWED:
            raise SettingsError(f"{told}; check PROMETHEUS_PUSHGATEWAY_URL")
        raise DataError(told)
