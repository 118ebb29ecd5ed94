"""Strict JSON requests and responses, with a limit on the size of the body."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException, Request
from fastapi.responses import Response

from vigie.encoding import dumps

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LIMIT_BYTES = 64 * 1024
READ_TIMEOUT_S = 20.0
BODYLESS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE", "TRACE"})


class JsonResponse(Response):
    """A JSON response, encoded as in the stores: without NaN and without lone surrogates."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return dumps(content)


class BodyLimit:
    """ASGI middleware that responds 413 to a body over the limit and 408 to a slow body.

    The received bytes are counted, so a wrong Content-Length does not bypass the limit. The body
    is read completely before the app gets the request. It must arrive within ``timeout_s`` seconds.
    """

    def __init__(
        self, app: ASGIApp, *, limit: int = LIMIT_BYTES, timeout_s: float = READ_TIMEOUT_S
    ) -> None:
        self.app = app
        self.limit = limit
        self.timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in BODYLESS:
            return await self.app(scope, receive, send)
        if _declared(scope) > self.limit:
            return await self._refuse(413, scope, receive, send)
        try:
            async with asyncio.timeout(self.timeout_s):
                messages = await self._read(receive)
        except TimeoutError:
            return await self._refuse(408, scope, receive, send)
        if messages is None:
            return await self._refuse(413, scope, receive, send)
        if messages[-1]["type"] == "http.disconnect":
            return None  # the client disconnected before the end of the body
        await self.app(scope, _replay(messages, receive), send)

    async def _read(self, receive: Receive) -> list[Message] | None:
        """Return the messages of the body, or None if the body is over the limit."""
        messages: list[Message] = []
        size = 0
        while True:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > self.limit:
                return None
            if message["type"] != "http.request" or not message.get("more_body", False):
                return messages

    async def _refuse(self, status: int, scope: Scope, receive: Receive, send: Send) -> None:
        detail = {
            413: f"the body is larger than {self.limit} bytes",
            408: f"the body did not arrive within {self.timeout_s:g} s",
        }[status]
        response = JsonResponse({"detail": detail}, status, headers={"Connection": "close"})
        await response(scope, receive, send)


def _declared(scope: Scope) -> int:
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    return int(lengths[0]) if lengths and lengths[0].isdigit() else 0


def _replay(messages: list[Message], receive: Receive) -> Callable[[], Any]:
    waiting = iter(messages)

    async def replay() -> Message:
        message = next(waiting, None)
        return message if message is not None else await receive()

    return replay


async def json_object(request: Request) -> dict[str, Any]:
    """Return the body as a JSON object; the validation of features rejects NaN and Infinity.

    Raises
    ------
    HTTPException
        415 for another content type, which also rejects HTML forms of other sites; 400 for a body
        that is not JSON; 422 for JSON that is not an object.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "send JSON with the header Content-Type: application/json")
    value = parse(await request.body())
    if not isinstance(value, dict):
        raise HTTPException(422, f"expected a JSON object, found {_KINDS[type(value)]}")
    return value


def parse(body: bytes) -> Any:
    """Parse UTF-8 JSON; reject duplicate keys and deep nesting."""
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_once)
    except RecursionError:
        raise HTTPException(400, "the JSON is nested too deeply") from None
    except UnicodeDecodeError as exc:
        raise HTTPException(400, f"the body is not UTF-8: byte {exc.start}") from None
    except json.JSONDecodeError as exc:
        where = f"line {exc.lineno}, column {exc.colno}"
        raise HTTPException(400, f"the body is not JSON: {exc.msg} at {where}") from None
    except ValueError as exc:  # a duplicate key, or an integer of thousands of digits
        raise HTTPException(400, f"the body is not JSON: {exc}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        double = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"duplicate key {double[:80]!r}")
    return value


_KINDS = {
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}
