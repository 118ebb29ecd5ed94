"""Addresses of settings, read before anybody asks them: foreign errors would repeat a password."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx

from vigie.errors import SettingsError


def checked_url(url: str, variable: str) -> httpx.URL:
    """Read an ``http`` address, or refuse it by its variable's name, without a word of it.

    Raises
    ------
    SettingsError
        It has no host, a port that is no number, a character that an address cannot have, or a
        login with an unescaped ``/``, which would make the password's rest a path.

    Examples
    --------
    >>> checked_url("http://[::1]:5000/base", "MLFLOW_TRACKING_URI").host
    '::1'
    """
    wrong = SettingsError(f"{variable} must be http://host:port (an IPv6 address in brackets)")
    try:
        urlsplit(url)  # httpx takes "[" for a host
        given = httpx.URL(url)
        given.raw_host.decode().encode("idna")  # as the socket will, whose error no caller expects
    except (httpx.InvalidURL, ValueError):
        raise wrong from None
    is_right = given.scheme in ("http", "https") and bool(given.host) and given.port != 0
    if not is_right or b"@" in given.raw_path or "@" in given.fragment:
        raise wrong
    return given
