"""One sanitising encoder for both stores, deterministic ids, and atomic files."""

from __future__ import annotations

import errno
import hashlib
import math
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from vigie.errors import DataError, DiskFullError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def without_login(url: str) -> str:
    """Return a URL without user and password, for messages and links.

    Examples
    --------
    >>> without_login("https://me:s@cret@mlflow.example.org/base")
    'https://mlflow.example.org/base'
    """
    return re.sub(r"(?<=://)[^/?#]*@", "", url)


def clean(value: Any) -> Any:
    r"""Return ``value`` as every store accepts it.

    NUL and lone surrogates (which neither ``jsonb`` nor Elasticsearch takes) become visible
    escapes,
    NaN and infinities become None (unknown), keys become strings.

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
    """Encode a cleaned value as strict JSON.

    Raises
    ------
    DataError
        For a type that JSON does not have, or an integer beyond 64 bits.
    """
    try:
        return orjson.dumps(clean(value), option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z)
    except (TypeError, ValueError) as exc:
        raise DataError(f"not representable as JSON: {exc}") from exc


def digest(*parts: str | bytes) -> str:
    """Return a sha256 that depends on the parts and on where one ends and the next begins.

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
    """Yield a temporary path beside ``path``; rename it over ``path`` when the block succeeds.

    On failure the temporary file is removed and ``path`` is as it was.

    Raises
    ------
    DiskFullError
        There is no room for it.
    """
    try:
        with _replacing(path) as temporary:
            yield temporary
    except OSError as exc:
        if exc.errno not in FULL:
            raise
        raise DiskFullError(
            f"ENOSPC {path}: there is no room to write it; make room and run it again"
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
    """Write a whole file so that readers see the old content or the new, never a part."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder, a rename among them, durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
