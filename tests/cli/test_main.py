"""The entry point: errors end with a message and an exit code, without a traceback."""

from __future__ import annotations

import sys
from importlib.metadata import version

import pytest

from vigie import errors
from vigie.cli import main as entry


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["vigie", *arguments])
    with pytest.raises(SystemExit) as ended:
        entry.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("why",), "--model"),
        (("logs", "once", "--nope"), "--nope"),
        (("nope",), "nope"),
        (("drift", "report", "--model", "m", "--hours", "soon"), "--hours"),
        (("why", "--model", "m", "--at", "yesterday"), "2026-11-21"),
    ],
)
def test_wrong_usage_ends_with_a_message_and_code_two(
    arguments: tuple[str, ...],
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    database_url: str,
) -> None:
    monkeypatch.setenv("VIGIE_DATABASE_URL", database_url)
    assert call(monkeypatch, *arguments) == 2
    assert named in capsys.readouterr().err


def test_without_a_command_the_help_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch) == 2
    shown = capsys.readouterr()
    assert "Exit codes" in shown.out + shown.err


def test_version_prints_the_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"vigie {version('vigie')}\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.SettingsError("x"), 2),
        (errors.DataError("x"), 2),
        (errors.TransientError("x"), 3),
        (errors.ConflictError("x"), 4),
        (errors.NotEnoughDataError("x"), 0),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_ends_with_its_exit_code(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr("vigie.cli.retrain.services", fail)
    assert call(monkeypatch, "why", "--model", "m") == code
