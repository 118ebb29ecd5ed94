"""Authentication by an optional API key."""

from __future__ import annotations

import secrets

from fastapi import HTTPException, Request


class ApiKey:
    """A FastAPI dependency that requires the header ``X-API-Key`` if a key is configured.

    If ``key`` is None or empty, no key is required; ``vigie serve`` allows this on loopback only.
    """

    def __init__(self, key: str | None) -> None:
        self._key = key.encode() if key else None

    @property
    def required(self) -> bool:
        return self._key is not None

    def accepts(self, given: bytes) -> bool:
        """Return whether a request with this key is allowed; the comparison takes constant time."""
        return self._key is None or secrets.compare_digest(given, self._key)

    async def __call__(self, request: Request) -> None:
        """Raise HTTPException with status 401 if the request lacks the key."""
        given = request.headers.get("x-api-key", "")
        if not self.accepts(given.encode("latin-1")):  # the encoding of HTTP headers
            raise HTTPException(
                401, "send the API key in the header X-API-Key", {"WWW-Authenticate": "ApiKey"}
            )
