"""Staging folders: complete or absent, replaced by a retry, removed after a week."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vigie.errors import DataError
from vigie.training import staging
from vigie.training.staging import read_staged, remove_staged, stage

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def test_staged_files_are_read_back(tmp_path: Path) -> None:
    stage(tmp_path / "run" / "xgboost", {"a.json": b"1", "b.bin": b"2"})
    assert read_staged(tmp_path / "run" / "xgboost") == {"a.json": b"1", "b.bin": b"2"}


def test_a_retry_replaces_every_file(tmp_path: Path) -> None:
    stage(tmp_path / "c", {"a": b"1", "b": b"2"})
    stage(tmp_path / "c", {"a": b"3"})
    assert read_staged(tmp_path / "c") == {"a": b"3"}


def test_an_interrupted_write_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(name: str) -> None:
        if name == "stage_before_b":
            raise KeyboardInterrupt

    monkeypatch.setattr(staging, "crash_point", interrupt)
    with pytest.raises(KeyboardInterrupt):
        stage(tmp_path / "c", {"a": b"1", "b": b"2"})
    with pytest.raises(DataError, match="does not exist"):
        read_staged(tmp_path / "c")


def test_only_old_folders_of_other_runs_are_removed(tmp_path: Path) -> None:
    for name, days in (("old", 8), ("recent", 6), ("own", 8)):
        stage(tmp_path / name, {"a": b"1"})
        at = (NOW - timedelta(days=days)).timestamp()
        os.utime(tmp_path / name, (at, at))
    remove_staged(tmp_path, keep=tmp_path / "own", now=NOW)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own", "recent"]
