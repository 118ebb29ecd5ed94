"""Output of ``vigie retrain | promote | rollback | why``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from vigie.cli import retrain
from vigie.errors import DataError, NotEnoughDataError, PermanentError
from vigie.settings import Settings
from vigie.testing import FakeServices

NAME = "breast_cancer"
Invoke = Callable[..., Result]


@pytest.fixture
def vigie(services: FakeServices, project_root: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Run a command with the fakes; errors of vigie are raised."""
    text = (project_root / "models" / f"{NAME}.toml").read_text(encoding="utf-8")
    quick = text.replace('["logistic_regression", "random_forest", "xgboost"]', '["xgboost"]')
    (services.paths.models / f"{NAME}.toml").write_text(quick, encoding="utf-8")

    @contextmanager
    def opened(overrides: Mapping[str, str | None] | None = None) -> Iterator[FakeServices]:
        services.settings = Settings.from_env()  # type: ignore[attr-defined]
        yield services

    monkeypatch.setattr(retrain, "services", opened)
    monkeypatch.setattr(retrain.console, "_width", 200)
    app = typer.Typer()
    retrain.register(app)

    def invoke(*arguments: str) -> Result:
        result = CliRunner().invoke(app, arguments)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


def test_retrain_prints_the_version_and_the_reasons(vigie: Invoke) -> None:
    shown = vigie("retrain", "--model", NAME).output
    assert f"{NAME} v1 (xgboost) is champion" in shown
    assert "ignores the features" in shown


def test_retrain_without_a_fired_trigger_prints_the_comparison(
    vigie: Invoke, services: FakeServices
) -> None:
    vigie("retrain", "--model", NAME)
    services.clock.advance(seconds=1)
    with pytest.raises(NotEnoughDataError, match="rows: 0 unused labelled rows, 1000 needed"):
        vigie("retrain", "--model", NAME)


def test_a_threshold_of_the_command_line_overrides_the_environment(
    vigie: Invoke, services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETRAIN_THRESHOLD", "7")
    monkeypatch.setenv("DRIFT_THRESHOLD", "0.7")
    vigie("retrain", "--model", NAME, "--min-rows", "5", "--run-id", "r1")
    triggers = services.ledger.decisions(kind="trigger")[0].evidence["triggers"]
    assert (triggers["rows"]["threshold"], triggers["rows"]["source"]) == (5, "command line")
    assert (triggers["drift"]["threshold"], triggers["drift"]["source"]) == (0.7, "environment")


def test_an_unknown_model_is_refused_with_the_list_of_models(vigie: Invoke) -> None:
    with pytest.raises(PermanentError, match=NAME):
        vigie("retrain", "--model", "unknown")


def test_rollback_prints_both_versions(vigie: Invoke, services: FakeServices) -> None:
    vigie("retrain", "--model", NAME, "--run-id", "r1")
    first = services.bundles.open(NAME, 1)
    services.bundles.publish(NAME, 2, first.files, first.info)
    services.deployments.deploy(NAME, 2, expected_number=1, actor="t", reason="second")
    assert f"{NAME} v1 is champion again (was v2)" in vigie("rollback", "--model", NAME).output


def test_why_prints_champion_deployments_and_decisions(vigie: Invoke) -> None:
    vigie("retrain", "--model", NAME, "--run-id", "r1")
    shown = vigie("why", "--model", NAME).output
    for expected in (f"{NAME} v1 is champion", "Deployments", "gate: yes", "no_champion", "run r1"):
        assert expected in shown


def test_why_of_a_model_without_champion_names_the_next_command(vigie: Invoke) -> None:
    assert "has no champion" in vigie("why", "--model", NAME).output
    assert "had no champion" in vigie("why", "--model", NAME, "--at", "2020-01-01").output


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21", datetime(2026, 11, 21, 23, 59, 59, 999999, UTC)),
        ("2026-11-21T14:00", datetime(2026, 11, 21, 14, tzinfo=UTC)),
        ("2026-11-21T14:00:00+00:00", datetime(2026, 11, 21, 14, tzinfo=UTC)),
    ],
)
def test_a_date_is_its_last_instant(text: str, expected: datetime) -> None:
    assert retrain._instant(text) == expected


def test_an_invalid_date_is_refused() -> None:
    with pytest.raises(DataError, match="2026-11-21"):
        retrain._instant("yesterday")
