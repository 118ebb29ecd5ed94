"""Check and display URLs without exposing the credentials in them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import httpx

from vigie.errors import SettingsError


def without_login(url: str) -> str:
    """Return a URL without user and password, for messages and links.

    Examples
    --------
    >>> without_login("https://me:s@cret@mlflow.example.org/base")
    'https://mlflow.example.org/base'
    """
    return re.sub(r"(?<=://)[^/?#]*@", "", url)


def checked_url(url: str, variable: str) -> httpx.URL:
    """Parse an ``http`` or ``https`` URL from an environment variable.

    The error message contains the variable but not the URL, which may contain a password.

    Raises
    ------
    SettingsError
        The scheme is neither ``http`` nor ``https``, the host is missing, the port or a character
        is invalid, or an ``@`` follows the host, as after an unescaped ``/`` in the login.

    Examples
    --------
    >>> checked_url("http://[::1]:5000/base", "MLFLOW_TRACKING_URI").host
    '::1'
    """
    invalid = SettingsError(
        f"{variable} must be http://host:port or https://host:port "
        "(an IPv6 address in brackets, and special characters of a login percent-encoded)"
    )
    try:
        urlsplit(url)  # httpx accepts "[" as a host
        parsed = httpx.URL(url)
        # httpx encodes the host in this way to connect, and would raise an untranslated error.
        parsed.raw_host.decode().encode("idna")
    except (httpx.InvalidURL, ValueError):
        raise invalid from None
    is_valid = parsed.scheme in ("http", "https") and bool(parsed.host) and parsed.port != 0
    if not is_valid or b"@" in parsed.raw_path or "@" in parsed.fragment:
        raise invalid
    return parsed
