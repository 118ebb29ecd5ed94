"""Read the API log of a served model from its Gradio endpoint ``/logs_api(limit, offset)``."""

from __future__ import annotations

import concurrent.futures
import ipaddress
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import gradio_client
import gradio_client.exceptions
import gradio_client.utils
import httpx

from vigie.errors import DataError, SettingsError, TransientError
from vigie.records import LogBatch

TIMEOUT_S = 15.0
API = "/logs_api"
#: Maximum number of characters in a batch.
MAX_CHARS = 20_000_000
_TRY = (
    "start the app with `vigie up`, or set GRADIO_URL to the page of a served model "
    "(the page of `vigie serve` ends in /ui)"
)


class _QuietClient(gradio_client.Client):  # type: ignore[misc]
    """A Gradio client without telemetry and heartbeat.

    ``analytics_enabled=False`` alone does not disable the telemetry. The heartbeat is an endless
    stream for page state, which the log endpoint does not have.
    """

    def _telemetry_thread(self) -> None: ...

    def _get_config(self) -> dict[str, Any]:
        return {**super()._get_config(), "connect_heartbeat": False}


class GradioSource:
    """Implement :class:`vigie.roles.ApiLogSource`; connect on first use and keep the connection.

    ``url`` is the address of the Gradio app, e.g. ``http://127.0.0.1:8080/ui``; ``token`` is a
    Hugging Face token for a private Space. The token is sent to the configured host only: redirects
    are not followed, and plain HTTP is refused outside private networks. A token in the home folder
    of the user is never sent.
    """

    def __init__(self, url: str, *, token: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self.url = checked_url(url)
        self._token = token
        self._timeout_s = timeout_s
        self._client: gradio_client.Client | None = None

    def check(self) -> str:
        """Reconnect and return the address and version of the source."""
        self._client = None
        client = self._connected()
        return f"{self.url} (Gradio {client.app_version})"

    def read(self, offset: int, limit: int) -> LogBatch:
        """Return up to ``limit`` lines starting at ``offset``; the source may return fewer.

        Raises
        ------
        TransientError
            The source does not respond or reports an error; the next call reconnects.
        SettingsError
            The app at the address requires a login or has no endpoint ``/logs_api``.
        DataError
            The response is not a batch of lines.
        """
        client = self._connected()

        def submit() -> Any:
            job = client.submit(limit, offset, api_name=API)
            return job.result(timeout=self._timeout_s)

        return checked_batch(self._translated(submit), offset, limit)

    def _connected(self) -> gradio_client.Client:
        if self._client is None:
            client = self._translated(self._connect)
            endpoints = client.view_api(print_info=False, return_format="dict")
            if API not in endpoints["named_endpoints"]:
                raise SettingsError(
                    f"GRADIO_URL: the app at {self.url} has no endpoint {API}; "
                    "expected the page of `vigie serve`, which is below /ui"
                )
            self._client = client
        return self._client

    def _connect(self) -> gradio_client.Client:
        return _QuietClient(
            self.url,
            token=self._token or False,
            verbose=False,
            max_workers=1,
            httpx_kwargs={"timeout": self._timeout_s, "follow_redirects": False},
            download_files=False,
            analytics_enabled=False,
        )

    def _translated(self, call: Callable[[], Any]) -> Any:
        """Call a function and translate the errors of the client library."""
        try:
            return call()
        except gradio_client.exceptions.AuthenticationError as exc:
            raise SettingsError(
                f"{self.url} requires a login: {exc}; for a private Space, set HF_TOKEN"
            ) from exc
        except gradio_client.exceptions.AppError as exc:
            self._client = None
            raise TransientError(f"cannot read the log at {self.url}: {exc}") from exc
        except (concurrent.futures.TimeoutError, concurrent.futures.CancelledError) as exc:
            self._client = None
            raise TransientError(
                f"{self.url} did not respond within {self._timeout_s:g} s"
            ) from exc
        except _FOREIGN as exc:
            self._client = None
            reason = str(exc).partition("\n")[0][:300] or type(exc).__name__
            raise TransientError(f"cannot read the log at {self.url}: {reason}; {_TRY}") from exc


_FOREIGN = (
    httpx.HTTPError,
    httpx.InvalidURL,
    gradio_client.utils.QueueError,
    gradio_client.utils.TooManyRequestsError,
    ValueError,  # "Could not fetch config", or a response that is not JSON
    KeyError,  # a configuration without a key that the client expects
    TypeError,
    AttributeError,
    OSError,
    RuntimeError,  # the client's threads were shut down
)


def checked_url(url: str) -> str:
    """Return the URL, without final slashes, if a token may be sent to it.

    Raises
    ------
    SettingsError
        The URL is incomplete, contains a login, or uses http outside private networks.
    TransientError
        The host of an http URL cannot be resolved.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError("GRADIO_URL: expected http://… or https://…, with a host")
    if parts.username or parts.password:
        raise SettingsError("GRADIO_URL must not contain a user or password; use HF_TOKEN")
    if parts.scheme == "http" and not _is_private(parts.hostname):
        raise SettingsError(
            f"GRADIO_URL: {parts.hostname} is not in a private network; use https://"
        )
    return url.rstrip("/")


def _is_private(host: str) -> bool:
    """Return whether every address of a host is loopback or private (and not link-local)."""
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError as exc:
        raise TransientError(f"GRADIO_URL: cannot resolve the host {host}") from exc
    addresses = [ipaddress.ip_address(str(address).partition("%")[0]) for address in found]
    return all((a.is_loopback or a.is_private) and not a.is_link_local for a in addresses)


def checked_batch(answer: Any, offset: int, limit: int) -> LogBatch:
    """Validate a response of the endpoint and return its batch.

    Raises
    ------
    DataError
        The response is malformed, too large, or does not start at ``offset``.
    """
    if not isinstance(answer, dict) or not isinstance(answer.get("lines"), list):
        raise DataError(f"{API}: expected an object with the list 'lines', found {_kind(answer)}")
    lines = answer["lines"]
    if not all(isinstance(line, str) for line in lines):
        raise DataError(f"{API}: expected each line to be a string")
    if len(lines) > limit or sum(map(len, lines)) > MAX_CHARS:
        raise DataError(
            f"{API}: expected up to {limit} lines with up to {MAX_CHARS} characters in total, "
            f"found {len(lines)} lines with {sum(map(len, lines))}"
        )
    start, following = answer.get("offset", offset), answer.get("next_offset")
    if start != offset or following != offset + len(lines) or isinstance(following, bool):
        raise DataError(
            f"{API}: requested offset {offset}; found {len(lines)} lines, offset {start!r}, "
            f"next_offset {following!r}"
        )
    return LogBatch(offset, tuple(lines), offset + len(lines), _total(answer.get("total")))


def _total(value: Any) -> int | None:
    if value is None:  # optional in the protocol
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise DataError(f"{API}: expected 'total' to be a number of lines, found {value!r}")
    return value


def _kind(answer: Any) -> str:
    if not isinstance(answer, dict):
        return type(answer).__name__
    if "lines" in answer:
        return f"'lines' of type {type(answer['lines']).__name__}"
    return f"the keys {sorted(answer)[:8]}"
