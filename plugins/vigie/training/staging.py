"""Staging folders, which pass the files of a version from one task to another.

A folder is written under a temporary name and then renamed, so it is always complete.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vigie.encoding import write_atomic
from vigie.errors import DataError
from vigie.faults import crash_point

KEEP = timedelta(days=7)  # Users can inspect a refused challenger during this time.


def stage(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a version; replace the folder of an earlier attempt."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for name, data in files.items():
        crash_point(f"stage_before_{name}")
        write_atomic(temporary / name, data)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def read_staged(folder: Path) -> dict[str, bytes]:
    """Return the files that :func:`stage` wrote; raise DataError if the folder does not exist."""
    if not folder.is_dir():
        raise DataError(f"{folder} does not exist: run the training step of this run first")
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if not p.name.startswith(".")}


def remove_staged(root: Path, *, keep: Path, now: datetime) -> None:
    """Remove the folders in ``root`` that are older than seven days, except ``keep``."""
    for folder in root.glob("*"):
        written = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
        if folder != keep and written < now - KEEP:
            shutil.rmtree(folder, ignore_errors=True)
