"""Bundles in a directory: ``ROOT/MODEL/vN``, published by rename and verified when read."""

from __future__ import annotations

import errno
import hashlib
import json
import re
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from vigie.adapters.bundles.files import (
    MANIFEST,
    check_free,
    manifest_of,
    read_error,
    read_manifest,
    verified_files,
    write_folder,
    writing,
)
from vigie.encoding import dumps, sync_folder, write_atomic
from vigie.errors import ConflictError, DataError
from vigie.faults import crash_point
from vigie.records import Deployment
from vigie.roles.stores import Bundle

CHAMPION = "champion.json"
_NAME = re.compile(r"[a-z0-9_-][a-z0-9_.-]{0,63}")
_VERSION = re.compile(r"v([1-9][0-9]{0,9})")
_LEFTOVER_AGE_S = 3600.0  # A publication takes less than an hour.


class BundleDirectory:
    """Implement :class:`vigie.roles.BundleStore` in a folder, local or on a shared volume.

    A version is written to a temporary folder, flushed to disk and renamed, so readers see all of
    its files or none. No lock is needed: if two processes publish the same version, one rename
    succeeds. In the other process, ``publish`` returns if its files are equal, and otherwise raises
    ConflictError. The info of the first publication is kept.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def publish(
        self, model: str, version: int, files: Mapping[str, bytes], info: Mapping[str, Any]
    ) -> Path:
        target = self._folder(model, version)
        _check_names(files)
        manifest = manifest_of(model, version, files, info)
        needed = sum(map(len, files.values())) + len(manifest)
        with writing(target, needed):
            target.parent.mkdir(parents=True, exist_ok=True)
            _sweep(target.parent)
            if not target.exists():
                check_free(target.parent, needed)
                _place(target, {**files, MANIFEST: manifest})
        if self.open(model, version).files != dict(files):
            raise ConflictError(f"{model} v{version} is already published with other files")
        return target

    def open(self, model: str, version: int) -> Bundle:
        folder = self._folder(model, version)
        if not folder.is_dir():
            known = ", ".join(f"v{n}" for n in self.versions(model)) or "none"
            raise DataError(f"{folder}: missing; published versions of {model}: {known}")
        raw, manifest = read_manifest(folder, model, version)
        files = verified_files(folder, manifest["files"])
        return Bundle(model, version, files, manifest["info"], hashlib.sha256(raw).hexdigest())

    def versions(self, model: str) -> list[int]:
        found = (_VERSION.fullmatch(p.name) for p in self._model(model).glob("v*") if p.is_dir())
        return sorted(int(match[1]) for match in found if match)

    def write_champion(self, deployment: Deployment) -> None:
        """Write a copy of a deployment unless the existing copy is the same or newer."""
        path = self._model(deployment.model) / CHAMPION
        try:
            existing = self.read_champion(deployment.model)
        except DataError:
            existing = None  # Replace a damaged copy.
        if existing is not None and not existing.is_older_than(deployment):
            return
        data = dumps(asdict(deployment))
        with writing(path, len(data)):
            write_atomic(path, data)

    def read_champion(self, model: str) -> Deployment | None:
        path = self._model(model) / CHAMPION
        try:
            fields = json.loads(path.read_bytes())
            at = datetime.fromisoformat(fields.pop("deployed_at"))
            deployment = Deployment(**fields, deployed_at=at)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as exc:
            raise read_error(path, exc) from exc
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise DataError(f"{path}: invalid copy of a deployment: {exc}") from exc
        if deployment.model != model:
            raise DataError(f"{path}: belongs to {deployment.model}, not {model}")
        return deployment

    def _model(self, model: str) -> Path:
        if not isinstance(model, str) or not _NAME.fullmatch(model):
            raise DataError(
                f"invalid model name {model!r}; expected 1 to 64 characters from a-z, 0-9, '_', "
                "'-' and '.', not beginning with '.'"
            )
        return self.root / model

    def _folder(self, model: str, version: int) -> Path:
        if isinstance(version, bool) or not _VERSION.fullmatch(f"v{version}"):
            raise DataError(f"invalid version {version!r}; expected 1, 2, 3 …")
        return self._model(model) / f"v{version}"


def _check_names(files: Mapping[str, bytes]) -> None:
    for name in files:
        if not _NAME.fullmatch(name) or name == MANIFEST:
            raise DataError(f"invalid file name in a bundle: {name!r}")


def _place(target: Path, files: Mapping[str, bytes]) -> None:
    """Write a temporary folder and rename it to ``target``, unless ``target`` exists."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        write_folder(temporary, files)
        crash_point("before_publish_rename")
        temporary.rename(target)
        sync_folder(target.parent)
        crash_point("after_publish_rename")
    except OSError as exc:
        if exc.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # Another process published first.
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove temporary folders and files of killed processes, once they are an hour old."""
    for leftover in folder.glob(".*.tmp*"):
        if time.time() - leftover.lstat().st_mtime > _LEFTOVER_AGE_S:
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)
