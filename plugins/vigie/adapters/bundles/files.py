"""What a bundle's folder holds: files, and a manifest by which every altered byte is found."""

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
#: Errors of a shared volume or a disk that may be over at the next try.
_PASSING = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EBUSY, errno.EAGAIN}
_SPARE_BYTES = 1 << 20  # a publication must not take the last block: logs need one to say so


def manifest_of(
    model: str, version: int, files: Mapping[str, bytes], info: Mapping[str, Any]
) -> bytes:
    """Return the manifest: size and sha256 of each file, the facts, and a digest of itself."""
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
    """Return the manifest, raw and parsed. Raises DataError: missing, altered or another's."""
    path = folder / MANIFEST
    raw = _read(path)
    try:
        body = json.loads(raw)
        claimed = body.pop("sha256")
        intact = claimed == _sha256(dumps(body)) and raw == dumps({**body, "sha256": claimed})
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise DataError(f"{path}: altered: not a manifest") from exc
    if not intact:
        raise DataError(f"{path}: altered: its content does not have its own sha256")
    if body["format"] != _FORMAT:
        raise DataError(f"{path}: format {body['format']}; this vigie reads format {_FORMAT}")
    if (body["model"], body["version"]) != (model, version):
        raise DataError(
            f"{path}: belongs to {body['model']} v{body['version']}, not {model} v{version}"
        )
    return raw, body


def verified_files(folder: Path, entries: Mapping[str, Mapping[str, Any]]) -> dict[str, bytes]:
    """Return every file's bytes. Raises DataError naming a missing, altered or extra one."""
    there = {p.name for p in folder.iterdir()} - {MANIFEST}
    if extra := sorted(there - set(entries)):
        raise DataError(f"{folder / extra[0]}: extra: the manifest does not name it")
    files = {}
    for name, entry in entries.items():
        data = _read(folder / name)
        if len(data) != entry["size"] or _sha256(data) != entry["sha256"]:
            raise DataError(
                f"{folder / name}: altered: {len(data)} bytes with sha256 {_sha256(data)[:12]}…, "
                f"the manifest says {entry['size']} bytes with {entry['sha256'][:12]}…"
            )
        files[name] = data
    return files


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files durably into a new folder, in their order."""
    folder.mkdir()
    for name, data in files.items():
        with (folder / name).open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    sync_folder(folder)


def check_free(folder: Path, needed: int) -> None:
    """Raise the error of a full disk before half of a bundle has been written."""
    if shutil.disk_usage(folder).free < needed + _SPARE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def writing(path: Path, needed: int) -> Iterator[None]:
    """Translate what the file system says while ``path`` is written.

    A full disk is DiskFullError (what was champion stays, the same call works when there is room),
    a passing error is TransientError, a folder that may not be written is SettingsError.
    """
    try:
        yield
    except OSError as exc:
        if exc.errno in FULL:
            free = shutil.disk_usage(_existing(path)).free
            raise DiskFullError(
                f"ENOSPC {path}: need {needed} bytes (and {_SPARE_BYTES} to spare), free {free}; "
                "nothing was published, make room and run it again"
            ) from exc
        if exc.errno in _PASSING:
            raise TransientError(f"{path}: {exc.strerror}; nothing was published") from exc
        raise SettingsError(f"cannot write {path}: {exc.strerror}; check ARTIFACTS_DIR") from exc


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.exists())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise DataError(f"{path}: missing") from exc
    except OSError as exc:
        if exc.errno in _PASSING:
            raise TransientError(f"cannot read {path}: {exc.strerror}") from exc
        raise DataError(f"cannot read {path}: {exc.strerror}") from exc


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
