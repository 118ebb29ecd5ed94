"""Output and exit codes of ``vigie logs``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from vigie.cli import logs
from vigie.collection.index_specs import MESSAGE
from vigie.errors import NotEnoughDataError, PermanentError, SettingsError, TransientError
from vigie.records import IndexSpec, Prediction
from vigie.settings import Settings
from vigie.testing import FakeServices

Invoke = Callable[..., Result]


@pytest.fixture
def given() -> dict[str, str | None]:
    """The overrides that the command passed to the settings."""
    return {}


@pytest.fixture
def vigie_logs(
    services: FakeServices, given: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> Invoke:
    """Run ``vigie logs …`` against the fakes; errors of vigie are raised."""

    @contextmanager
    def opened(overrides: Mapping[str, str | None] | None = None) -> Iterator[FakeServices]:
        given.update(overrides or {})
        services.settings = Settings.from_env()  # type: ignore[attr-defined]
        yield services

    monkeypatch.setattr(logs, "services", opened)
    monkeypatch.setenv("COLUMNS", "200")

    def invoke(*arguments: str) -> Result:
        result = CliRunner().invoke(logs.app, arguments)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def calls(services: FakeServices) -> None:
    for number in range(3):
        services.predictions.add(
            Prediction(
                f"t{number}", "toy", 1, {"a": 1}, "NO", 0.5, "", services.now(), latency_ms=1.0
            )
        )


@pytest.mark.usefixtures("calls")
def test_once_shows_the_counts_of_each_index(vigie_logs: Invoke) -> None:
    output = vigie_logs("once").output
    assert "Collecting from in memory" in output
    assert "3 lines collected, none remain" in output
    assert "ml-api-message" in output


@pytest.mark.usefixtures("calls")
def test_once_stops_at_the_limit(vigie_logs: Invoke, services: FakeServices) -> None:
    assert "2 lines collected, 1 remain" in vigie_logs("once", "--limit", "2").output
    assert services.index.count(MESSAGE.name) == 2


def test_the_address_and_token_options_override_the_settings(
    vigie_logs: Invoke, given: dict[str, str | None]
) -> None:
    vigie_logs("once", "--gradio-url", "http://127.0.0.1:1/ui", "--hf-token", "secret")
    assert given == {"GRADIO_URL": "http://127.0.0.1:1/ui", "HF_TOKEN": "secret"}


def test_once_reports_an_unavailable_service(
    vigie_logs: Invoke, services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check() -> str:
        raise TransientError("Cannot reach the API at 127.0.0.1:8080")

    monkeypatch.setattr(services.api_logs, "check", check)
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:8080"):
        vigie_logs("once")


@pytest.mark.usefixtures("calls")
def test_run_waits_for_an_unavailable_service_and_stops_on_ctrl_c(
    vigie_logs: Invoke, services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = services.api_logs.read
    slept: list[float] = []

    def down(*_: int) -> None:
        raise TransientError("no answer from 127.0.0.1:8080")

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        monkeypatch.setattr(services.api_logs, "read", read)
        if len(slept) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(services.api_logs, "read", down)
    monkeypatch.setattr(logs.time, "sleep", sleep)
    result = vigie_logs("run", "--interval", "2")
    assert result.exit_code == 0
    assert "no answer from 127.0.0.1:8080. Next attempt in" in result.stderr
    assert "3 lines: ml-api-logs +3, ml-api-message +3, ml-api-perfs +3" in result.stdout
    assert "Stopped; 3 lines collected." in result.stdout
    assert slept[1:] == [2, 2]


def test_check_indices_reports_problems_and_exits_with_2(
    vigie_logs: Invoke, services: FakeServices
) -> None:
    assert vigie_logs("check-indices").exit_code == 0
    services.index.ensure(IndexSpec(MESSAGE.name, {"@timestamp": "date", "stray": "text"}))
    result = vigie_logs("check-indices")
    assert result.exit_code == 2
    assert "stray: unexpected field" in result.output


@pytest.mark.usefixtures("calls")
def test_clear_requires_yes(vigie_logs: Invoke) -> None:
    vigie_logs("once")
    with pytest.raises(PermanentError, match=r"ml-api-message \(3 documents\).*add --yes"):
        vigie_logs("clear")
    assert "ml-api-message: 3 documents deleted" in vigie_logs("clear", "--yes").output


@pytest.mark.usefixtures("calls")
def test_deduplicate_prints_the_documented_lines(vigie_logs: Invoke) -> None:
    vigie_logs("once")
    output = vigie_logs("deduplicate").output
    assert (
        "ml-api-message\nDocuments before: 3\nDuplicates removed: 0\nDocuments after: 3" in output
    )


def test_an_export_without_predictions_has_not_enough_data(
    vigie_logs: Invoke, services: FakeServices, project_root: Path
) -> None:
    shipped = (project_root / "models" / "breast_cancer.toml").read_text()
    (services.paths.models / "breast_cancer.toml").write_text(shipped)
    with pytest.raises(NotEnoughDataError, match="breast_cancer"):
        vigie_logs("export")


def test_output_requires_a_model(vigie_logs: Invoke) -> None:
    with pytest.raises(PermanentError, match="--output requires --model"):
        vigie_logs("export", "--output", "x.parquet")


def test_dead_letters_and_replay(
    vigie_logs: Invoke, services: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    class Source:
        def check(self) -> str:
            return "lines"

        def read(self, offset: int, limit: int):  # type: ignore[no-untyped-def]
            from vigie.records import LogBatch

            lines = ("[red]no log line",)[offset : offset + limit]
            return LogBatch(offset, lines, offset + len(lines))

    services.api_logs = Source()  # type: ignore[assignment]
    once = vigie_logs("once")
    assert once.exit_code == 0, "an invalid line does not fail the command"
    assert "1 dead letters are stored in vigie-dead-letters; reason of the first: " in caplog.text
    assert [record.levelname for record in caplog.records if "are stored in" in record.message] == [
        "WARNING"
    ]
    assert "[red]no log line" in vigie_logs("dead-letters").output
    shown = json.loads(vigie_logs("dead-letters", "--json").output)
    assert (shown["total"], shown["letters"][0]["error_type"]) == (1, "unreadable_line")
    dry = vigie_logs("replay", "--dry-run").output
    assert "Would replay 1 dead letters (1 of the API log, 0 of the stream): 0 are readable" in dry
    wet = vigie_logs("replay").output
    assert "Replayed 1 dead letters (1 of the API log, 0 of the stream): 0 indexed" in wet


@pytest.mark.usefixtures("calls")
def test_expire_deletes_older_documents_and_prints_their_number(
    vigie_logs: Invoke, services: FakeServices
) -> None:
    vigie_logs("once")
    services.clock.advance(days=9)
    with pytest.raises(PermanentError, match=r"older than 7 days from ml-api-logs.*add --yes"):
        vigie_logs("expire", "--days", "7")
    assert services.index.count(MESSAGE.name) == 3
    output = vigie_logs("expire", "--days", "7", "--yes").output
    assert f"{MESSAGE.name}: 3 documents from before" in output
    assert services.index.count(MESSAGE.name) == 0


def test_expire_without_a_number_of_days_deletes_nothing(vigie_logs: Invoke) -> None:
    with pytest.raises(SettingsError, match="ELASTICSEARCH_RETENTION_DAYS"):
        vigie_logs("expire")
