"""Files of a bundle, and the manifest with the checksums that verify them."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vigie.encoding import FULL, dumps, sync_folder
from vigie.errors import DataError, DiskFullError, SettingsError, TransientError

MANIFEST = "manifest.json"
_FORMAT = 1
#: Temporary errors of a disk or a shared volume: a retry can succeed.
_PASSING = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EBUSY, errno.EAGAIN}
_SPARE_BYTES = 1 << 20  # Kept free for the log message about a full disk.


def manifest_of(
    model: str, version: int, files: Mapping[str, bytes], info: Mapping[str, Any]
) -> bytes:
    """Return the manifest, with the size and sha256 of each file and a sha256 of its content."""
    entries = {
        name: {"sha256": _sha256(data), "size": len(data)} for name, data in sorted(files.items())
    }
    body = {
        "files": entries,
        "format": _FORMAT,
        "info": dict(info),
        "model": model,
        "version": version,
    }
    return dumps({**body, "sha256": _sha256(dumps(body))})


def read_manifest(folder: Path, model: str, version: int) -> tuple[bytes, dict[str, Any]]:
    """Return the manifest as raw bytes and as a parsed object.

    Raises DataError if the manifest is missing, altered, of an unsupported format or of another
    version.
    """
    path = folder / MANIFEST
    raw = _read(path)
    try:
        body = json.loads(raw)
        claimed = body.pop("sha256")
        intact = claimed == _sha256(dumps(body)) and raw == dumps({**body, "sha256": claimed})
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise DataError(f"{path}: altered: invalid manifest") from exc
    if not intact:
        raise DataError(f"{path}: altered: the content does not match the sha256 in it")
    if body["format"] != _FORMAT:
        raise DataError(
            f"{path}: format {body['format']}; this version of vigie reads format {_FORMAT}"
        )
    if (body["model"], body["version"]) != (model, version):
        raise DataError(
            f"{path}: belongs to {body['model']} v{body['version']}, not {model} v{version}"
        )
    return raw, body


def verified_files(folder: Path, entries: Mapping[str, Mapping[str, Any]]) -> dict[str, bytes]:
    """Return the content of each file; raise DataError if a file is missing, altered or extra."""
    found = {p.name for p in folder.iterdir()} - {MANIFEST}
    if extra := sorted(found - set(entries)):
        raise DataError(f"{folder / extra[0]}: extra: the manifest does not list this file")
    files = {}
    for name, entry in entries.items():
        data = _read(folder / name)
        if len(data) != entry["size"] or _sha256(data) != entry["sha256"]:
            raise DataError(
                f"{folder / name}: altered: {len(data)} bytes with sha256 {_sha256(data)[:12]}…, "
                f"the manifest lists {entry['size']} bytes with {entry['sha256'][:12]}…"
            )
        files[name] = data
    return files


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files to a new folder in the given order, and flush them to disk."""
    folder.mkdir()
    for name, data in files.items():
        with (folder / name).open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    sync_folder(folder)


def check_free(folder: Path, needed: int) -> None:
    """Raise an OSError with ENOSPC unless the disk can hold the bundle and ``_SPARE_BYTES``."""
    if shutil.disk_usage(folder).free < needed + _SPARE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def writing(path: Path, needed: int) -> Iterator[None]:
    """Translate the file system errors of a block that writes ``path``.

    A full disk raises DiskFullError. A temporary error raises TransientError. In both cases, a
    retry can succeed. Any other error, such as a missing permission, raises SettingsError.
    """
    try:
        yield
    except OSError as exc:
        if exc.errno in FULL:
            free = shutil.disk_usage(_existing(path)).free
            raise DiskFullError(
                f"{errno.errorcode[exc.errno]} {path}: need {needed} bytes and {_SPARE_BYTES} in "
                f"reserve, free {free}; free disk space or raise the quota, and try again"
            ) from exc
        if exc.errno in _PASSING:
            raise TransientError(f"cannot write {path}: {exc.strerror}; try again") from exc
        raise SettingsError(f"cannot write {path}: {exc.strerror}; check ARTIFACTS_DIR") from exc


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.exists())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise DataError(f"{path}: missing") from exc
    except OSError as exc:
        raise read_error(path, exc) from exc


def read_error(path: Path, exc: OSError) -> DataError | TransientError:
    """Return the error for a file that exists but cannot be read."""
    kind = TransientError if exc.errno in _PASSING else DataError
    return kind(f"cannot read {path}: {exc.strerror}")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
