"""Finding log files, reading complete lines, and resuming at a stored position."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.anomaly.ingest.log_files import (
    ReadPosition,
    file_key,
    find_files,
    log_folder,
    read_lines,
    resume,
)
from vigie.anomaly.scoring.score_records import event_time
from vigie.errors import DataError
from vigie.records import MAX_LINE


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_default_patterns_find_job_logs_and_log_files_once(tmp_path: Path) -> None:
    found = [
        write(tmp_path / name, b"x\n")
        for name in ("a.log", "log-1/b.txt", "log-1/deep/c.txt", "log-2/d.log", "sub/e.log")
    ]
    write(tmp_path / "readme.txt", b"x\n")
    assert find_files(tmp_path) == sorted(found)


def test_a_link_out_of_the_folder_is_skipped(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside.log", b"x\n")
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "link.log").symlink_to(outside)
    assert find_files(tmp_path / "base") == []


@pytest.mark.parametrize("pattern", ["../*.log", "/etc/*"])
def test_a_pattern_out_of_the_folder_is_rejected(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(DataError, match="must be relative"):
        find_files(tmp_path, [pattern])


def test_the_default_folder_is_the_local_logs_if_data_kafka_has_no_logs(tmp_path: Path) -> None:
    data, local = tmp_path / "data", tmp_path / "local"
    assert log_folder(data, local) == local / "logs"
    write(data / "kafka" / "log-1" / "a.txt", b"x\n")
    assert log_folder(data, local) == data / "kafka"


def test_a_last_line_without_line_end_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.log", b"one\ntwo\r\nthr")
    assert [line.raw for line in read_lines(path)] == [b"one", b"two"]


@given(st.lists(st.binary(max_size=20).filter(lambda b: b"\n" not in b), max_size=10))
def test_lines_and_offsets_cover_the_file(tmp_path_factory, lines: list[bytes]) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path_factory.mktemp("f") / "a.log", b"".join(b + b"\n" for b in lines))
    found = list(read_lines(path))
    assert [line.raw for line in found] == [line.removesuffix(b"\r") for line in lines]
    assert [line.next_offset for line in found[:-1]] == [line.offset for line in found[1:]]
    assert all(next(read_lines(path, line.offset)) == line for line in found)


def test_lines_after_the_given_end_are_not_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.log", b"one\ntwo\n")
    assert [line.raw for line in read_lines(path, 0, end=4)] == [b"one"]


@pytest.mark.parametrize("extra", [1, MAX_LINE, MAX_LINE + 1])
def test_a_long_line_is_truncated_and_keeps_its_length_and_checksum(
    tmp_path: Path, extra: int
) -> None:
    whole = b"y" * (MAX_LINE + extra)
    path = write(tmp_path / "a.log", whole + b"\nnext\n")
    first, second = read_lines(path)
    assert first.raw == whole[:MAX_LINE]
    assert (first.length, first.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())
    assert second.raw == b"next"


def test_a_line_of_exactly_the_limit_is_not_truncated(tmp_path: Path) -> None:
    (line,) = read_lines(write(tmp_path / "a.log", b"y" * MAX_LINE + b"\n"))
    assert (len(line.raw), line.sha256) == (MAX_LINE, None)


def test_a_file_has_no_key_before_its_first_line_is_complete(tmp_path: Path) -> None:
    assert file_key(write(tmp_path / "a.log", b"hal")) is None


def test_the_key_of_a_file_survives_growth_and_renaming(tmp_path: Path) -> None:
    path = write(tmp_path / "a.log", b"first\n")
    before = file_key(path)
    with path.open("ab") as file:
        file.write(b"second\n" * 500)
    assert file_key(path.rename(tmp_path / "a.log.1")) == before


def test_two_files_with_the_same_first_line_have_different_keys(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.log", b"same\n"), write(tmp_path / "b.log", b"same\n")
    assert file_key(a) != file_key(b)


def test_a_truncated_file_is_read_from_the_start_with_new_line_ids(tmp_path: Path) -> None:
    path = write(tmp_path / "a.log", b"head\none\ntwo\n")
    before = ReadPosition("f", 13)
    os.truncate(path, 5)
    after = resume(path, "f", before.as_state())
    assert (after.offset, after.generation) == (0, 1)
    assert after.line_id(5, b"one") != before.line_id(5, b"one")


def test_a_file_that_was_not_truncated_resumes_at_its_position(tmp_path: Path) -> None:
    path = write(tmp_path / "a.log", b"head\none\n")
    assert resume(path, "f", {"offset": 5, "generation": 2}) == ReadPosition("f", 5, 2)


@pytest.mark.parametrize("stored", [None, {}, {"offset": "5"}, {"offset": -1}, {"offset": 1.5}])
def test_an_invalid_position_is_ignored(tmp_path: Path, stored: object) -> None:
    path = write(tmp_path / "a.log", b"head\n")
    assert resume(path, "f", stored) == ReadPosition("f")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"2026-11-21T10:00:00.123456Z - x", datetime(2026, 11, 21, 10, 0, 0, 123456, UTC)),
        (b"2026-11-21 10:00:00,5 INFO", datetime(2026, 11, 21, 10, 0, 0, 500000, UTC)),
        (b'{"timestamp":"2026-11-21T10:00:00+0130"', datetime(2026, 11, 21, 8, 30, tzinfo=UTC)),
        (b"2026-11-21T10:00:00-05:00 x", datetime(2026, 11, 21, 15, tzinfo=UTC)),
        (b"2026-13-01T10:00:00Z", None),
        (b"0001-01-01T00:00:00+05:00", None),
        (b"x" * 100 + b"2026-11-21T10:00:00Z", None),
        (b"no time", None),
    ],
)
def test_event_time_of_a_line(line: bytes, expected: datetime | None) -> None:
    assert event_time(line) == expected


@given(st.binary(max_size=100))
def test_event_time_accepts_any_bytes(line: bytes) -> None:
    found = event_time(line)
    assert found is None or found.tzinfo is UTC
