"""The served model's API log through its Gradio endpoint ``/logs_api(limit, offset)``."""

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

from vigie.adapters.api_log.log_page import API, checked_page
from vigie.errors import SettingsError, TransientError
from vigie.records import LogPage

TIMEOUT_S = 15.0
_TRY = (
    "start it with `vigie up`, or point GRADIO_URL at the page of a served model "
    "(that of `vigie serve` ends in /ui)"
)


class _QuietClient(gradio_client.Client):  # type: ignore[misc]
    """The client without telemetry, which ``analytics_enabled=False`` alone does not turn off.

    And without its heartbeat: a stream that never ends, for page state that a log has not.
    """

    def _telemetry_thread(self) -> None: ...

    def _get_config(self) -> dict[str, Any]:
        return {**super()._get_config(), "connect_heartbeat": False}


class GradioSource:
    """A :class:`vigie.roles.ApiLogSource`; connects on first use and keeps the connection.

    The token goes to the configured host alone: redirects are not followed, a token that lies in
    the home folder of the user is never sent, and plain HTTP is refused beyond this network.

    Parameters
    ----------
    url
        Where the Gradio app is mounted, e.g. ``http://127.0.0.1:8080/ui``.
    token
        Hugging Face token of a private Space.
    timeout_s
        Of a connection and of a page.
    """

    def __init__(self, url: str, *, token: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self.url = checked_url(url)
        self._token = token
        self._timeout_s = timeout_s
        self._client: gradio_client.Client | None = None

    def check(self) -> str:
        """Connect anew and return the address and version of the source."""
        self._client = None
        client = self._connected()
        return f"{self.url} (Gradio {client.app_version})"

    def page(self, offset: int, limit: int) -> LogPage:
        """Return up to ``limit`` lines from ``offset`` on; the source may send fewer.

        Raises
        ------
        TransientError
            When the source does not answer; the next call connects anew.
        SettingsError
            When the address is not that of a served model.
        DataError
            When the answer is not a page of lines.
        """
        client = self._connected()

        def ask() -> Any:
            job = client.submit(limit, offset, api_name=API)
            return job.result(timeout=self._timeout_s)

        return checked_page(self._asked(ask), offset, limit)

    def _connected(self) -> gradio_client.Client:
        if self._client is None:
            client = self._asked(self._connect)
            if (
                API
                not in client.view_api(print_info=False, return_format="dict")["named_endpoints"]
            ):
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

    def _asked(self, call: Callable[[], Any]) -> Any:
        """Call, and translate every foreign error at this one point."""
        try:
            return call()
        except gradio_client.exceptions.AuthenticationError as exc:
            raise SettingsError(f"{self.url} asks for a login: {exc}; set HF_TOKEN") from exc
        except gradio_client.exceptions.AppError as exc:
            self._client = None
            raise TransientError(f"the log at {self.url} cannot be read: {exc}") from exc
        except (concurrent.futures.TimeoutError, concurrent.futures.CancelledError) as exc:
            self._client = None
            raise TransientError(f"{self.url} did not answer in {self._timeout_s:g} s") from exc
        except _FOREIGN as exc:
            self._client = None
            reason = str(exc).partition("\n")[0][:300] or type(exc).__name__
            raise TransientError(f"no answer from {self.url}: {reason}; {_TRY}") from exc


_FOREIGN = (
    httpx.HTTPError,
    httpx.InvalidURL,
    gradio_client.utils.QueueError,
    gradio_client.utils.TooManyRequestsError,
    ValueError,  # "Could not fetch config", an answer that is not JSON
    KeyError,  # a configuration without what the client expects
    TypeError,
    AttributeError,
    OSError,
    RuntimeError,  # the client's threads were shut down
)


def checked_url(url: str) -> str:
    """Return the URL if a token may be sent there.

    Raises
    ------
    SettingsError
        Unless it is https, or http to this machine or a private network, without a password.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError("GRADIO_URL: expected http://… or https://…, with a host")
    if parts.username or parts.password:
        raise SettingsError("GRADIO_URL: expected no user or password in it; use HF_TOKEN")
    if parts.scheme == "http" and not _is_near(parts.hostname):
        raise SettingsError(f"GRADIO_URL: {parts.hostname} is not in this network; use https://")
    return url.rstrip("/")


def _is_near(host: str) -> bool:
    """Tell whether every address of a host is loopback or private (and not link-local)."""
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError as exc:
        raise TransientError(f"the host {host} of GRADIO_URL has no address now") from exc
    addresses = [ipaddress.ip_address(str(address).partition("%")[0]) for address in found]
    return all((a.is_loopback or a.is_private) and not a.is_link_local for a in addresses)
