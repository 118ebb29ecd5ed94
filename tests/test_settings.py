"""Settings: precedence, sources, error messages; the lists of variables agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from dotenv import dotenv_values

from vigie.errors import SettingsError
from vigie.settings import Settings, known_variables


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIGIE_HOME", str(tmp_path))
    (tmp_path / "data" / "local").mkdir(parents=True)
    return tmp_path


def _platform_toml(home: Path, **values: str) -> None:
    lines = ["[environment]", *(f'{name} = "{value}"' for name, value in values.items())]
    (home / "data" / "local" / "platform.toml").write_text("\n".join(lines))


def test_the_embedded_services_are_the_default(home: Path) -> None:
    settings = Settings.from_env()
    assert settings.elasticsearch.host is None
    assert settings.source("ELASTICSEARCH_HOST") == "default"


def test_sources_override_those_of_lower_precedence(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    _platform_toml(home, KAFKA_BOOTSTRAP_SERVERS="platform:1")
    found.append(Settings.from_env())
    (home / ".env").write_text("KAFKA_BOOTSTRAP_SERVERS=dotenv:1\n")
    found.append(Settings.from_env())
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "env:1")
    found.append(Settings.from_env())
    found.append(Settings.from_env({"KAFKA_BOOTSTRAP_SERVERS": "flag:1"}))
    assert [s.stream.bootstrap_servers for s in found] == [
        "platform:1",
        "dotenv:1",
        "env:1",
        "flag:1",
    ]
    assert [s.source("KAFKA_BOOTSTRAP_SERVERS") for s in found] == [
        "platform.toml",
        ".env",
        "environment",
        "command line",
    ]


def test_an_empty_variable_counts_as_unset(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_BATCH_SIZE", "")
    assert Settings.from_env().pipeline.batch_size == 100


def test_an_empty_override_resets_its_variable(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "of the environment")
    settings = Settings.from_env({"HF_TOKEN": ""}, override_source="Airflow Connection")
    assert settings.gradio.hf_token is None
    assert settings.source("HF_TOKEN") == "Airflow Connection"


def test_an_error_names_the_variable_and_its_source_but_not_its_value(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_BATCH_SIZE", "CANARY")
    with pytest.raises(SettingsError) as caught:
        Settings.from_env()
    assert "PIPELINE_BATCH_SIZE (from environment)" in str(caught.value)
    assert "CANARY" not in str(caught.value)


def test_repr_does_not_show_secrets(home: Path) -> None:
    secret = ("HF_TOKEN", "VIGIE_DATABASE_URL", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
    settings = Settings.from_env(dict.fromkeys(secret, "CANARY"))
    assert "CANARY" not in repr(settings)


@pytest.mark.parametrize("login", ["ana:CANARY", "CANARY", ":CANARY"])
def test_a_login_in_the_url_of_mlflow_is_refused(home: Path, login: str) -> None:
    with pytest.raises(SettingsError, match="MLFLOW_TRACKING_PASSWORD") as caught:
        Settings.from_env({"MLFLOW_TRACKING_URI": f"https://{login}@mlflow.example"})
    assert "CANARY" not in str(caught.value)


def test_the_login_of_mlflow_is_returned_as_its_client_variables(home: Path) -> None:
    assert Settings.from_env().mlflow.login() == {}
    both = {"MLFLOW_TRACKING_USERNAME": "ana", "MLFLOW_TRACKING_PASSWORD": "p"}
    token = {"MLFLOW_TRACKING_TOKEN": "t"}
    assert Settings.from_env(both).mlflow.login() == both
    assert Settings.from_env(token).mlflow.login() == token


@pytest.mark.parametrize(
    "given",
    [
        {"MLFLOW_TRACKING_USERNAME": "CANARY"},
        {"MLFLOW_TRACKING_PASSWORD": "CANARY"},
        {"MLFLOW_TRACKING_PASSWORD": "CANARY", "MLFLOW_TRACKING_TOKEN": "CANARY"},
    ],
)
def test_an_mlflow_login_without_user_or_password_is_refused(
    home: Path, given: dict[str, str]
) -> None:
    settings = Settings.from_env(given).mlflow  # Reading the settings does not validate the login.
    with pytest.raises(SettingsError, match="both or none") as caught:
        settings.login()
    assert "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in str(caught.value)
    assert "CANARY" not in str(caught.value)


def test_an_mlflow_login_with_a_token_is_refused(home: Path) -> None:
    names = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
    settings = Settings.from_env(dict.fromkeys(names, "CANARY")).mlflow
    with pytest.raises(SettingsError, match="MLFLOW_TRACKING_TOKEN") as caught:
        settings.login()
    assert "CANARY" not in str(caught.value)


def test_the_error_for_a_broken_platform_file_advises_to_restore_it(home: Path) -> None:
    (home / "data" / "local" / "platform.toml").write_text("not toml [")
    with pytest.raises(SettingsError, match="restore it from a backup"):
        Settings.from_env()


def test_the_example_lists_every_variable_and_sets_none(project_root: Path) -> None:
    text = (project_root / ".env.example").read_text()
    ours, stack, _ = text.partition("\n# --- the Compose stack")  # tests/stack checks the rest
    listed = set(re.findall(r"^# ([A-Z][A-Z_]+)=", ours, re.MULTILINE))
    assert stack
    assert listed == set(known_variables())
    assert not re.findall(r"^[A-Z]", text, re.MULTILINE)


def test_uncommenting_any_line_of_the_example_sets_what_it_shows(
    project_root: Path, tmp_path: Path
) -> None:
    """No line has a comment after its value, and no value is refused."""
    text = (project_root / ".env.example").read_text()
    lines = re.findall(r"^# ([A-Z][A-Z_]+=.*)$", text, re.MULTILINE)
    for line in lines:
        assert not re.search(r"\s[(#]", line)
    file = tmp_path / ".env"
    file.write_text("\n".join(lines))
    values = {name: value or "" for name, value in dotenv_values(file).items()}
    alone = {"KAFKA_SECURITY_PROTOCOL", "KAFKA_SASL_MECHANISM"}  # Variables that require a login.
    Settings.from_env({name: value for name, value in values.items() if name not in alone})


def test_the_error_for_an_invalid_url_does_not_contain_it(home: Path) -> None:
    """urllib's error contains the part with the login."""
    with pytest.raises(SettingsError, match="MLFLOW_TRACKING_URI") as caught:
        Settings.from_env({"MLFLOW_TRACKING_URI": "http://me:CANARY@h\u2100"})
    assert "CANARY" not in str(caught.value)
