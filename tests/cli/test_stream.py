"""The commands ``vigie stream`` and ``vigie anomaly``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vigie.cli import anomaly, stream
from vigie.errors import DataError, NotEnoughDataError, SettingsError
from vigie.records import Position
from vigie.settings import Settings
from vigie.testing import FakeServices
from vigie.testing.detectors import NORMAL, deploy_detector

TOPIC = "vigie-logs"


@pytest.fixture
def opened(services: FakeServices, monkeypatch: pytest.MonkeyPatch) -> FakeServices:
    """Make the commands use fake services."""

    @contextmanager
    def fake(
        overrides: dict[str, str | None] | None = None, call_wait_s: float | None = None
    ) -> Iterator[FakeServices]:
        given = {name: value for name, value in (overrides or {}).items() if value}
        services.settings = Settings.from_env(given)  # type: ignore[attr-defined]
        yield services

    monkeypatch.setattr(stream, "services", fake)
    monkeypatch.setattr(anomaly, "services", fake)
    return services


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "a.log").write_text("".join(f"{line}\n" for line in NORMAL * 20))
    return folder


def run(app: Any, *arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_topic_creates_the_topic_and_prints_it(opened: FakeServices) -> None:
    assert "created (2 partitions)" in run(stream.app, "topic", "--partitions", 2)
    assert "already exists" in run(stream.app, "topic")
    assert opened.stream.partitions(TOPIC) == 2


def test_recreating_deletes_nothing_without_yes(opened: FakeServices, logs: Path) -> None:
    run(stream.app, "ingest", "--base-dir", logs)
    with pytest.raises(DataError, match="240 lines"):
        run(stream.app, "topic", "--recreate")
    assert opened.stream.end_offsets(TOPIC) == {0: 240}
    assert "240 lines deleted" in run(stream.app, "topic", "--recreate", "--yes")


def test_recreating_counts_the_existing_lines(opened: FakeServices, logs: Path) -> None:
    run(stream.app, "ingest", "--base-dir", logs)
    with opened.stream.consumer("vigie-scorer", TOPIC) as consumer:
        consumer.commit({0: Position(200)})
    assert opened.stream.trim(TOPIC) == 200
    with pytest.raises(DataError, match="would delete 40 lines"):
        run(stream.app, "topic", "--recreate")
    assert " 40 lines deleted" in run(stream.app, "topic", "--recreate", "--yes")


def test_a_topic_is_recreated_without_access_to_other_groups(
    opened: FakeServices, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(stream.app, "ingest", "--base-dir", logs)

    def forbidden(group: str, topic: str) -> int:
        raise SettingsError(f"group {group!r} is not ours to ask for")

    monkeypatch.setattr(opened.stream, "lag", forbidden)
    assert "240 lines deleted" in run(stream.app, "topic", "--recreate", "--yes")


def test_ingest_takes_folder_batch_and_delay(opened: FakeServices, logs: Path) -> None:
    output = run(
        stream.app, "ingest", "--base-dir", logs, "--batch", 100, "--delay", 0.001, "--topic", "x"
    )
    assert "240 new lines of 1 files written to x" in output
    assert opened.stream.end_offsets("x") == {0: 240}


def test_an_unreadable_file_is_reported_after_the_others(
    opened: FakeServices, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (logs / "b.log").write_text("one\n")
    deploy_detector(opened)
    stat = Path.stat

    def forbidden(path: Path, **values: bool) -> Any:
        if path.name == "b.log":
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **values)

    monkeypatch.setattr(Path, "stat", forbidden)
    for command in ("ingest", "run"):
        result = CliRunner().invoke(stream.app, [command, "--base-dir", str(logs)])
        assert result.exit_code == 2
        assert "1 files could not be read" in result.output
    assert opened.stream.end_offsets(TOPIC) == {0: 240}
    assert opened.index.count("mozilla-clogs-index") == 240


def test_a_pattern_chooses_the_files(opened: FakeServices, logs: Path) -> None:
    with pytest.raises(NotEnoughDataError, match=r"\*\.txt"):
        run(stream.app, "ingest", "--base-dir", logs, "--pattern", "*.txt")


def test_run_ingests_and_scores(opened: FakeServices, logs: Path) -> None:
    deploy_detector(opened)
    output = run(stream.app, "run", "--base-dir", logs, "--factor", 2.5, "--update", "winsorised")
    assert "240" in output
    assert opened.index.count("mozilla-clogs-index") == 240
    assert opened.stream.lag("vigie-scorer", TOPIC) == 0


def test_consume_takes_a_fixed_threshold(opened: FakeServices, logs: Path) -> None:
    deploy_detector(opened)
    run(stream.app, "ingest", "--base-dir", logs)
    run(stream.app, "consume", "--threshold", "-1", "--batch", 50)
    found = {d.body["is_anomaly"] for d in opened.index.scan("mozilla-clogs-index")}
    assert found == {True}


def test_train_promotes_and_a_second_evaluation_measures(opened: FakeServices, logs: Path) -> None:
    output = run(anomaly.app, "train", "--base-dir", logs, "--epochs", 2)
    assert "log_lstm_autoencoder v1 is champion." in output
    assert opened.ledger.decisions(kind="gate")[0].actor == "vigie anomaly train"
    assert "auc" in run(anomaly.app, "evaluate", "--base-dir", logs)


def test_train_can_keep_the_champion(opened: FakeServices, logs: Path) -> None:
    run(anomaly.app, "train", "--base-dir", logs, "--epochs", 1, "--no-promote")
    assert opened.deployments.champion("log_lstm_autoencoder") is None


def test_explain_shows_the_tokens(opened: FakeServices) -> None:
    deploy_detector(opened)
    output = run(anomaly.app, "explain", "disk exploded 12 [bold]times")
    assert "exploded" in output
    assert "[bold]times" in output


def test_explain_reads_standard_input(opened: FakeServices) -> None:
    deploy_detector(opened)
    result = CliRunner().invoke(anomaly.app, ["explain"], input=b"one\ntwo\n")
    assert result.exit_code == 0
    assert result.output.count("score") >= 2


@pytest.mark.parametrize("command", [("consume",), ("run",), ("consume", "--follow")])
def test_allow_gap_skips_lost_lines(
    opened: FakeServices, logs: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    deploy_detector(opened)
    run(stream.app, "run", "--base-dir", logs)
    names = Settings.from_env().stream
    opened.stream.positions[names.group, TOPIC, 0] = Position(0)
    followed: list[object] = []
    monkeypatch.setattr(stream, "_follow", lambda *given: followed.append(given))
    where = ("--base-dir", logs) if command == ("run",) else ()
    output = run(stream.app, *command, *where, "--allow-gap")
    assert "before they were read" in output
    assert f"{opened.stream.first_offset(TOPIC, 0)}" in output
    assert opened.stream.lag(names.group, TOPIC) == 0
    assert len(followed) == ("--follow" in command)
