"""ASGI middleware: count and time requests by route, and add security headers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from vigie.serving.telemetry import Telemetry

# The page loads fonts and scripts from this service only and sends no telemetry.
CONTENT_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' ws: wss: data: blob:; worker-src 'self' blob:; "
    "frame-ancestors 'self'; object-src 'none'; base-uri 'self'"
)
_HEADERS = [
    (b"content-security-policy", CONTENT_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
]


class RequestMiddleware:
    """Record each request in the metrics and add the security headers to its response.

    ``mounts`` are the path prefixes of mounted apps; a request to such an app is counted under the
    prefix.
    """

    def __init__(self, app: ASGIApp, *, telemetry: Telemetry, mounts: tuple[str, ...] = ()) -> None:
        self.app = app
        self._telemetry = telemetry
        self._mounts = mounts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started, status = time.perf_counter(), 500

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", []), *_HEADERS]}
            await send(message)

        try:
            await self.app(scope, receive, observed)
        finally:
            self._telemetry.observe(self._route(scope), status, time.perf_counter() - started)

    def _route(self, scope: Scope) -> str:
        """Return the route's template, so that paths sent by clients never become label values."""
        path = scope["path"]
        for mount in self._mounts:
            if path == mount or path.startswith(f"{mount}/"):
                return mount
        return getattr(scope.get("route"), "path", "other")
