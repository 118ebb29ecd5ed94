"""Map errors of vigie to HTTP responses; the status for a full disk is 507."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from vigie.errors import (
    ConflictError,
    DiskFullError,
    NotEnoughDataError,
    PermanentError,
    TransientError,
    UnknownTransactionError,
    VigieError,
)
from vigie.models.request import FeatureError
from vigie.serving.service import UnknownModelError
from vigie.serving.strict_json import JsonResponse

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

log = logging.getLogger(__name__)
RETRY_AFTER_S = 5
_STATUS: dict[type[VigieError], int] = {  # the first match counts, so subclasses come first
    FeatureError: 422,  # with a message for each invalid field
    UnknownModelError: 404,
    UnknownTransactionError: 404,
    PermanentError: 422,
    DiskFullError: 507,  # of the database
    TransientError: 503,  # with Retry-After
    NotEnoughDataError: 503,
    ConflictError: 409,
}
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


def install(app: FastAPI) -> None:
    """Register the exception handlers."""
    app.add_exception_handler(VigieError, _ours)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(OSError, _disk)
    app.add_exception_handler(Exception, _unexpected)


async def _ours(_: Request, exc: Exception) -> JsonResponse:
    status = next((code for kind, code in _STATUS.items() if isinstance(exc, kind)), 500)
    body: dict[str, Any] = {"detail": str(exc)}
    if isinstance(exc, FeatureError):
        body["fields"] = exc.fields
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else None
    return JsonResponse(body, status, headers=headers)


async def _http(_: Request, exc: Exception) -> JsonResponse:
    if not isinstance(exc, HTTPException):
        raise exc
    return JsonResponse({"detail": exc.detail}, exc.status_code, headers=dict(exc.headers or {}))


async def _disk(request: Request, exc: Exception) -> JsonResponse:
    if isinstance(exc, OSError) and exc.errno in _NO_ROOM:
        return JsonResponse({"detail": f"cannot write to disk: {exc.strerror}"}, 507)
    return await _unexpected(request, exc)


async def _unexpected(request: Request, exc: Exception) -> JsonResponse:
    """Log the error; the response does not contain it."""
    log.error("%s %s failed", request.method, request.scope.get("path"), exc_info=exc)
    return JsonResponse({"detail": "internal error; see the log of the service"}, 500)
