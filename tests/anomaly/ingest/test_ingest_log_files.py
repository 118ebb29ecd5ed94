"""Log files to the stream: complete lines, once, in bounded memory."""

from __future__ import annotations

import errno
import os
import tracemalloc
from pathlib import Path

import pytest

from vigie.anomaly.ingest.ingest_log_files import MAX_BATCH_BYTES, IngestResult, ingest_log_files
from vigie.anomaly.scoring.ensure_topic import ensure_topic
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
    folder = tmp_path / "brought"
    folder.mkdir()
    return folder


def ingest(services: FakeServices, folder: Path, **values: object) -> IngestResult:
    return ingest_log_files(services, topic=TOPIC, base_dir=folder, **values)  # type: ignore[arg-type]


def records(services: FakeServices) -> list[StreamRecord]:
    with services.stream.consumer("reader", TOPIC) as consumer:
        return consumer.poll(1_000_000)


def test_each_line_is_a_message_with_its_source(services: FakeServices, folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "a.log").write_bytes(b"one\ntwo\n")
    assert ingest(services, folder).lines == 2
    found = records(services)
    assert [r.value for r in found] == [b"one", b"two"]
    assert {r.headers["source"] for r in found} == {"sub/a.log"}


def test_files_are_spread_over_the_partitions_and_each_stays_in_one(
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


def test_a_topic_that_was_made_again_gets_every_line_again(
    services: FakeServices, folder: Path
) -> None:
    (folder / "a.log").write_bytes(b"one\ntwo\n")
    for topic in (TOPIC, f"{TOPIC}-other"):
        ingest_log_files(services, topic=topic, base_dir=folder)
    ids = [record.headers["line_id"] for record in records(services)]
    assert ensure_topic(services, topic=TOPIC, recreate=True).lines_deleted == 2
    assert ingest(services, folder).lines == 2
    assert [record.headers["line_id"] for record in records(services)] == ids
    other = ingest_log_files(services, topic=f"{TOPIC}-other", base_dir=folder)
    assert other.lines == 0, "what was ingested elsewhere is not forgotten"


def test_appended_lines_follow(services: FakeServices, folder: Path) -> None:
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


def test_a_file_that_was_cut_is_read_from_its_start(services: FakeServices, folder: Path) -> None:
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


def test_equal_lines_of_a_file_are_different_lines(services: FakeServices, folder: Path) -> None:
    (folder / "a.log").write_bytes(b"same\nsame\n")
    ingest(services, folder)
    assert len({r.headers["line_id"] for r in records(services)}) == 2


def test_blank_lines_are_counted_and_left_out(services: FakeServices, folder: Path) -> None:
    (folder / "a.log").write_bytes(b"one\n\n  \r\ntwo\n")
    report = ingest(services, folder)
    assert (report.lines, report.blank) == (2, 2)


def test_what_is_appended_meanwhile_waits_for_the_next_run(
    services: FakeServices, folder: Path
) -> None:
    """Our own scoring writes logs: reading until the end of a growing file would never end."""
    path = folder / "a.log"
    path.write_bytes(b"one\ntwo\n")

    def write_on(_: float) -> None:
        with path.open("ab") as file:
            file.write(b"more\n")

    assert ingest(services, folder, batch=1, sleep=write_on).lines == 2
    assert ingest(services, folder, batch=1).lines == 2


def test_a_huge_line_costs_bounded_memory(services: FakeServices, folder: Path) -> None:
    with (folder / "a.log").open("wb") as file:
        for _ in range(32):
            file.write(b"y" * 1_048_576)
        file.write(b"\nnext\n")
    tracemalloc.start()
    report = ingest(services, folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (report.lines, report.truncated) == (2, 1)
    assert peak < MAX_BATCH_BYTES + 8 * MAX_LINE
    assert records(services)[0].headers["original_length"] == str(32 * 1_048_576)


def test_a_batch_of_long_lines_is_cut_by_size(services: FakeServices, folder: Path) -> None:
    (folder / "a.log").write_bytes((b"y" * 100_000 + b"\n") * 100)
    batches: list[float] = []
    assert ingest(services, folder, sleep=batches.append, delay_s=0.5).lines == 100
    assert batches == [0.5] * 3


def test_a_file_that_is_gone_costs_the_others_nothing(
    services: FakeServices, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Rotation: it was listed, and is no more when its turn comes."""
    for name in ("a", "b", "c"):
        (folder / f"{name}.log").write_text(f"line of {name}\n")

    def rotate(_: float) -> None:
        (folder / "b.log").unlink(missing_ok=True)

    report = ingest(services, folder, sleep=rotate)
    assert (report.lines, report.files, report.unreadable) == (2, 3, 1)
    assert {record.headers["source"] for record in records(services)} == {"a.log", "c.log"}
    assert "b.log" in caplog.text
    assert "No such file" in caplog.text


def test_a_file_that_may_not_be_read_costs_the_others_nothing(
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
    report = ingest(services, folder)
    assert (report.lines, report.unreadable) == (1, 0)
    assert len(records(services)) == 3


def test_a_folder_that_may_not_be_looked_into_is_left_out(
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
    assert (report := ingest(services, folder)).lines == 1
    assert report.unreadable == 1


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (UndeliveredError("away", first=1), TransientError),
        (RefusedMessageError("too large", first=1, is_too_large=True), PermanentError),
        (RefusedMessageError("not authorised", first=1), PermanentError),
    ],
)
def test_every_failure_names_file_and_byte_of_the_first_line_that_is_missing(
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
    with pytest.raises(kind, match=rf"a\.log: the line at byte 5 .*{raised}"):
        ingest(services, folder)
    monkeypatch.undo()
    assert ingest(services, folder).lines == 2, "its position stayed"


def test_a_failure_before_anything_was_sent_is_of_the_first_line(
    services: FakeServices, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        (folder / f"{number}.log").write_text(f"first of {number}\n")
    monkeypatch.setattr(services.stream, "partitions", lambda topic: 9)  # of which one is there
    with pytest.raises(DataError, match=r"\d\.log: the line at byte 0 .*no partition"):
        ingest(services, folder)


def test_no_file_is_nothing_to_do(services: FakeServices, folder: Path) -> None:
    with pytest.raises(NotEnoughDataError, match="no file below"):
        ingest(services, folder)


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"delay_s": -1.0}])
def test_settings_that_make_no_sense_are_refused(
    services: FakeServices, folder: Path, wrong: dict[str, object]
) -> None:
    with pytest.raises(DataError):
        ingest(services, folder, **wrong)
