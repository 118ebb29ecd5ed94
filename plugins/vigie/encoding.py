"""Encode values as clean JSON, digests and timestamps, and write files atomically."""

from __future__ import annotations

import errno
import hashlib
import math
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from vigie.errors import DataError, DiskFullError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean(value: Any) -> Any:
    r"""Replace the parts of a value that a store would refuse.

    NUL and lone surrogates, which ``jsonb`` and Elasticsearch refuse, become visible escapes. NaN
    and infinities become None. Keys become strings, and tuples become lists.

    Examples
    --------
    >>> clean({"a": float("nan"), 1: "x\x00y\udcff"})
    {'a': None, '1': 'x\\x00y\\udcff'}
    """
    if isinstance(value, str):
        return _UNSTORABLE.sub(_escape, value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {clean(str(k)): clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [clean(v) for v in value]
    return value


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def dumps(value: Any) -> bytes:
    """Clean a value and encode it as strict JSON.

    Raises
    ------
    DataError
        The value has a type that JSON does not support, or an integer beyond 64 bits.
    """
    try:
        return orjson.dumps(clean(value), option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z)
    except (TypeError, ValueError) as exc:
        raise DataError(f"cannot encode the value as JSON: {exc}") from exc


def as_stored(value: Any) -> Any:
    """Return the value that a JSON column returns after ``value`` was stored in it.

    Examples
    --------
    >>> as_stored({"a": (1, float("nan"))})
    {'a': [1, None]}
    """
    return orjson.loads(dumps(value))


def utcnow() -> datetime:
    """Return the current time in UTC; the default clock of every store."""
    return datetime.now(UTC)


def aware(value: datetime, what: str) -> datetime:
    """Convert a time to UTC.

    Raises
    ------
    DataError
        The time has no time zone. The message begins with ``what``.
    """
    if value.tzinfo is None:
        raise DataError(f"{what} has no time zone: {value.isoformat()}; use an aware UTC datetime")
    return value.astimezone(UTC)


def iso_utc(at: datetime) -> str:
    """Format a time in UTC, in the format that documents and API log lines use.

    Examples
    --------
    >>> iso_utc(datetime(2026, 11, 21, 10, tzinfo=UTC))
    '2026-11-21T10:00:00.000000Z'
    """
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def digest(*parts: str | bytes) -> str:
    """Return the SHA-256 of the parts and their lengths, as hexadecimal digits.

    Examples
    --------
    >>> digest("ab", "c") == digest("a", "bc")
    False
    """
    state = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        state.update(len(raw).to_bytes(8, "big"))
        state.update(raw)
    return state.hexdigest()


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to ``path`` when the block succeeds.

    If the block fails, the temporary file is removed and ``path`` is unchanged.

    Raises
    ------
    DiskFullError
        The disk or the user's quota is full.
    """
    try:
        with _replacing(path) as temporary:
            yield temporary
    except OSError as exc:
        if exc.errno not in FULL:
            raise
        raise DiskFullError(
            f"{errno.errorcode[exc.errno]} {path}: the disk or the user's quota is full; "
            "free some space and try again"
        ) from exc


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem[:40]}.{secrets.token_hex(6)}.tmp{path.suffix}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_atomic(path: Path, data: bytes | str) -> Path:
    """Write a file so that readers see either the complete old or the complete new content."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def sync_folder(folder: Path) -> None:
    """Flush the entries of a folder to disk, so that renames in the folder are durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
