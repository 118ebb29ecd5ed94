"""Ingesting log files: each complete line is written once, in bounded memory."""

from __future__ import annotations

import errno
import os
import tracemalloc
from pathlib import Path

import pytest

from vigie.anomaly.ingest.ingest_log_files import MAX_BATCH_BYTES, IngestResult, ingest_log_files
from vigie.anomaly.scoring.stream_lag import ensure_topic
from vigie.errors import (
    DataError,
    NotEnoughDataError,
    PermanentError,
    RefusedMessageError,
    TransientError,
    UndeliveredError,
    VigieError,
)
from vigie.records import MAX_LINE, StreamRecord
from vigie.testing import FakeServices

TOPIC = "logs"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "given"
    folder.mkdir()
    return folder


def ingest(services: FakeServices, folder: Path, **values: object) -> IngestResult:
    return ingest_log_files(services, topic=TOPIC, base_dir=folder, **values)  # type: ignore[arg-type]


def records(services: FakeServices) -> list[StreamRecord]:
    with services.stream.consumer("reader", TOPIC) as consumer:
        return consumer.poll(1_000_000)


def test_each_line_becomes_a_message_with_its_source(services: FakeServices, folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "a.log").write_bytes(b"one\ntwo\n")
    assert ingest(services, folder).lines == 2
    found = records(services)
    assert [r.value for r in found] == [b"one", b"two"]
    assert {r.headers["source"] for r in found} == {"sub/a.log"}


def test_files_are_spread_over_partitions_and_each_file_stays_in_one(
    services: FakeServices, folder: Path
) -> None:
    services.stream.create_topic(TOPIC, 4)
    for number in range(40):
        (folder / f"{number}.log").write_text(f"first of {number}\nlast\n")
    ingest(services, folder)
    found = records(services)
    places = {(record.headers["source"], record.partition) for record in found}
    assert len(places) == 40
    assert {partition for _, partition in places} == {0, 1, 2, 3}


def test_a_second_run_writes_nothing_new(services: FakeServices, folder: Path) -> None:
    (folder / "a.log").write_bytes(b"one\ntwo\n")
    ingest(services, folder)
    assert ingest(services, folder).lines == 0
    assert len(records(services)) == 2


def test_a_recreated_topic_gets_every_line_again(services: FakeServices, folder: Path) -> None:
    (folder / "a.log").write_bytes(b"one\ntwo\n")
    for topic in (TOPIC, f"{TOPIC}-other"):
        ingest_log_files(services, topic=topic, base_dir=folder)
    ids = [record.headers["line_id"] for record in records(services)]
    assert ensure_topic(services, topic=TOPIC, recreate=True).lines_deleted == 2
    assert ingest(services, folder).lines == 2
    assert [record.headers["line_id"] for record in records(services)] == ids
    other = ingest_log_files(services, topic=f"{TOPIC}-other", base_dir=folder)
    assert other.lines == 0, "the positions of the other topic are kept"


def test_appended_lines_are_written_by_the_next_run(services: FakeServices, folder: Path) -> None:
    path = folder / "a.log"
    path.write_bytes(b"one\nhal")
    ingest(services, folder)
    with path.open("ab") as file:
        file.write(b"f\nlast\n")
    ingest(services, folder)
    assert [r.value for r in records(services)] == [b"one", b"half", b"last"]


def test_a_file_written_byte_by_byte_loses_nothing(services: FakeServices, folder: Path) -> None:
    path = folder / "a.log"
    text = b"one\ntwo \xff\n\nthree\n"
    path.touch()
    for place in range(len(text)):
        with path.open("ab") as file:
            file.write(text[place : place + 1])
        ingest(services, folder)
    assert [r.value for r in records(services)] == [b"one", b"two \xff", b"three"]


def test_a_rotated_file_is_not_read_again(services: FakeServices, folder: Path) -> None:
    path = folder / "a.log"
    path.write_bytes(b"one\n")
    ingest(services, folder)
    path.rename(folder / "a.1.log")
    path.write_bytes(b"new\n")
    ingest(services, folder)
    assert [r.value for r in records(services)] == [b"one", b"new"]


def test_a_truncated_file_is_read_from_the_start(services: FakeServices, folder: Path) -> None:
    path = folder / "a.log"
    path.write_bytes(b"head\none\ntwo\n")
    ingest(services, folder)
    os.truncate(path, 0)
    path.write_bytes(b"head\none\n")  # the same inode, as after copytruncate
    ingest(services, folder)
    found = records(services)
    assert [r.value for r in found] == [b"head", b"one", b"two", b"head", b"one"]
    assert len({r.headers["line_id"] for r in found}) == 5


def test_a_crash_before_the_position_is_saved_repeats_the_same_ids(
    services: FakeServices, folder: Path
) -> None:
    (folder / "a.log").write_bytes(b"one\ntwo\n")
    ingest(services, folder)
    services.state.values.clear()
    ingest(services, folder)
    ids = [r.headers["line_id"] for r in records(services)]
    assert (len(ids), len(set(ids))) == (4, 2)


def test_equal_lines_of_a_file_have_different_ids(services: FakeServices, folder: Path) -> None:
    (folder / "a.log").write_bytes(b"same\nsame\n")
    ingest(services, folder)
    assert len({r.headers["line_id"] for r in records(services)}) == 2


def test_blank_lines_are_counted_and_not_written(services: FakeServices, folder: Path) -> None:
    (folder / "a.log").write_bytes(b"one\n\n  \r\ntwo\n")
    result = ingest(services, folder)
    assert (result.lines, result.blank) == (2, 2)


def test_lines_appended_during_a_run_are_left_to_the_next_run(
    services: FakeServices, folder: Path
) -> None:
    """Other processes append to log files, so reading to the current end might never stop."""
    path = folder / "a.log"
    path.write_bytes(b"one\ntwo\n")

    def write_on(_: float) -> None:
        with path.open("ab") as file:
            file.write(b"more\n")

    assert ingest(services, folder, batch=1, sleep=write_on).lines == 2
    assert ingest(services, folder, batch=1).lines == 2


def test_a_long_line_needs_bounded_memory(services: FakeServices, folder: Path) -> None:
    with (folder / "a.log").open("wb") as file:
        for _ in range(32):
            file.write(b"y" * 1_048_576)
        file.write(b"\nnext\n")
    tracemalloc.start()
    result = ingest(services, folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (result.lines, result.truncated) == (2, 1)
    assert peak < MAX_BATCH_BYTES + 8 * MAX_LINE
    assert records(services)[0].headers["original_length"] == str(32 * 1_048_576)


def test_a_batch_of_long_lines_is_limited_by_size(services: FakeServices, folder: Path) -> None:
    (folder / "a.log").write_bytes((b"y" * 100_000 + b"\n") * 100)
    batches: list[float] = []
    assert ingest(services, folder, sleep=batches.append, delay_s=0.5).lines == 100
    assert batches == [0.5] * 3


def test_a_deleted_file_does_not_stop_the_others(
    services: FakeServices, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A rotation may delete a file after it was listed."""
    for name in ("a", "b", "c"):
        (folder / f"{name}.log").write_text(f"line of {name}\n")

    def rotate(_: float) -> None:
        (folder / "b.log").unlink(missing_ok=True)

    result = ingest(services, folder, sleep=rotate)
    assert (result.lines, result.files, result.unreadable) == (2, 3, 1)
    assert {record.headers["source"] for record in records(services)} == {"a.log", "c.log"}
    assert "b.log" in caplog.text
    assert "No such file" in caplog.text


def test_a_file_without_read_permission_does_not_stop_the_others(
    services: FakeServices,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("a", "b", "c"):
        (folder / f"{name}.log").write_text(f"line of {name}\n")
    opened = Path.open

    def forbidden(path: Path, *args: object, **values: object) -> object:
        if path.name == "b.log":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *args, **values)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", forbidden)
    assert ingest(services, folder).unreadable == 1
    assert "Permission denied" in caplog.text
    monkeypatch.undo()
    result = ingest(services, folder)
    assert (result.lines, result.unreadable) == (1, 0)
    assert len(records(services)) == 3


def test_a_file_that_cannot_be_inspected_is_skipped(
    services: FakeServices, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.log").write_text("one\n")
    (folder / "b.log").write_text("two\n")
    stat = Path.stat

    def forbidden(path: Path, **values: bool) -> os.stat_result:
        if path.name == "b.log":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **values)

    monkeypatch.setattr(Path, "stat", forbidden)
    assert (result := ingest(services, folder)).lines == 1
    assert result.unreadable == 1


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (UndeliveredError("away", first=1), TransientError),
        (RefusedMessageError("too large", first=1, is_too_large=True), PermanentError),
        (RefusedMessageError("not authorised", first=1), PermanentError),
    ],
)
def test_an_error_names_file_and_byte_of_the_first_line_that_was_not_written(
    services: FakeServices,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    raised: VigieError,
    kind: type[VigieError],
) -> None:
    (folder / "a.log").write_bytes(b"one\n\ntwo\n")

    def refuse(*_: object) -> int:
        raise raised

    monkeypatch.setattr(services.stream, "produce", refuse)
    with pytest.raises(kind, match=rf"a\.log: writing failed at the line at byte 5;.*{raised}"):
        ingest(services, folder)
    monkeypatch.undo()
    assert ingest(services, folder).lines == 2, "the position was not saved"


def test_an_error_before_sending_names_the_first_line(
    services: FakeServices, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        (folder / f"{number}.log").write_text(f"first of {number}\n")
    monkeypatch.setattr(
        services.stream, "partitions", lambda topic: 9
    )  # but only one partition exists
    with pytest.raises(
        DataError, match=r"\d\.log: writing failed at the line at byte 0;.*no partition"
    ):
        ingest(services, folder)


def test_no_matching_file_raises_not_enough_data(services: FakeServices, folder: Path) -> None:
    with pytest.raises(NotEnoughDataError, match="no file below"):
        ingest(services, folder)


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"delay_s": -1.0}])
def test_invalid_values_are_rejected(
    services: FakeServices, folder: Path, wrong: dict[str, object]
) -> None:
    with pytest.raises(DataError):
        ingest(services, folder, **wrong)
