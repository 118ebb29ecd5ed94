"""The environment of each program: the platform's settings, overridden by the user's."""

from __future__ import annotations

import configparser
import shutil
from pathlib import Path

import pytest

from vigie.local.environments import (
    differences,
    program_environment,
    read_overrides,
    user_overrides,
    write_overrides,
)
from vigie.local.launch import program_command
from vigie.local.programs import PROGRAMS
from vigie.local.state import Platform, make_platform
from vigie.local.supervision import Supervisor


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return make_platform(tmp_path / "my clone %(x)s ; 100 %")[0]


def test_the_shell_overrides_dotenv_and_dotenv_overrides_the_platform(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    (platform.root / ".env").write_text("MAX_REPORTS=3\nGRADIO_URL=http://dotenv\nDATA_DIR=\n")
    monkeypatch.setenv("MAX_REPORTS", "4")
    environment = program_environment(platform, user_overrides(platform.root), "serving")
    assert environment["MAX_REPORTS"] == "4"
    assert environment["GRADIO_URL"] == "http://dotenv"
    assert environment["MLFLOW_TRACKING_URI"] == platform.url("mlflow")
    assert "DATA_DIR" not in environment  # empty counts as unset


def test_airflow_variables_of_the_shell_are_left_out(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://production")
    monkeypatch.setenv("AIRFLOW_HOME", "/elsewhere")
    environment = program_environment(platform, user_overrides(platform.root), "airflow-scheduler")
    assert environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == platform.database_url("airflow")
    assert environment["AIRFLOW_HOME"] == str(platform.folder / "airflow")


def test_airflow_variables_in_dotenv_are_used(platform: Platform) -> None:
    (platform.root / ".env").write_text("AIRFLOW__CORE__PARALLELISM=2\n")
    environment = program_environment(platform, user_overrides(platform.root), "airflow-scheduler")
    assert environment["AIRFLOW__CORE__PARALLELISM"] == "2"


def test_local_programs_do_not_get_secrets_of_the_compose_stack(
    platform: Platform, project_root: Path
) -> None:
    shutil.copy(project_root / "docker-compose.yml", platform.root)
    secrets = (
        "POSTGRES_PASSWORD",
        "ELASTIC_PASSWORD",
        "AIRFLOW_ADMIN_PASSWORD",
        "VIGIE_DB_PASSWORD",
    )
    lines = [f"{name}=CANARY" for name in secrets]
    (platform.root / ".env").write_text("\n".join([*lines, "RETRAIN_THRESHOLD=7", "AWS_REGION=x"]))
    assert user_overrides(platform.root) == {"RETRAIN_THRESHOLD": "7", "AWS_REGION": "x"}


def test_without_a_broker_the_scheduler_runs_the_tasks(platform: Platform) -> None:
    environment = program_environment(platform, {}, "airflow-scheduler")
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert not [name for name in environment if "CELERY" in name]


def test_with_a_broker_the_parallelism_is_that_of_the_workers(platform: Platform) -> None:
    broker = "redis://:secret@127.0.0.1:6379/0"
    overrides = {"VIGIE_CELERY_BROKER_URL": broker, "VIGIE_CELERY_WORKERS": "3"}
    for program in ("airflow-scheduler", "airflow-worker-1"):
        environment = program_environment(platform, overrides, program)
        assert environment["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
        assert environment["AIRFLOW__CORE__PARALLELISM"] == "6"
        assert environment["AIRFLOW__CELERY__BROKER_URL"] == broker


def test_two_platforms_on_one_redis_use_different_keys(platform: Platform) -> None:
    option = "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__GLOBAL_KEYPREFIX"
    on_redis = {"VIGIE_CELERY_BROKER_URL": "rediss://h/0"}
    elsewhere = {"VIGIE_CELERY_BROKER_URL": "amqp://h/vhost"}
    assert program_environment(platform, on_redis, "airflow-scheduler")[option].startswith(
        platform.mark
    )
    assert option not in program_environment(platform, elsewhere, "airflow-scheduler")


def test_each_program_gets_only_its_own_secrets(platform: Platform) -> None:
    owners = {
        "airflow_database_password": "airflow-scheduler",
        "airflow_fernet_key": "airflow-scheduler",
        "airflow_jwt_secret": "airflow-scheduler",
        "airflow_secret_key": "airflow-scheduler",
        "mlflow_database_password": "mlflow",
    }
    for program in ("airflow-scheduler", "mlflow", "serving"):
        seen = " ".join(program_environment(platform, {}, program).values())
        found = {name for name in owners if platform.secrets[name] in seen}
        assert found == {name for name, owner in owners.items() if owner == program}


def test_no_secret_is_on_a_command_line_or_in_the_supervisor_configuration(
    platform: Platform,
) -> None:
    commands = [program_command(platform, name) for name in PROGRAMS if name != "postgres"]
    text = " ".join(
        word for command in [*commands, platform.postgres.command()] for word in command
    )
    text += Supervisor(platform).configuration()
    assert not [name for name, secret in platform.secrets.items() if secret in text]


def test_no_path_of_the_user_is_in_the_supervisor_configuration(platform: Platform) -> None:
    assert "my clone" not in Supervisor(platform).configuration()


def test_requests_to_the_platform_bypass_a_proxy(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "intranet")
    environment = program_environment(platform, {}, "serving")
    assert environment["NO_PROXY"] == environment["no_proxy"] == "intranet,127.0.0.1,localhost,::1"


def test_variables_in_which_the_shell_differs_are_listed(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_overrides(platform, {"MAX_REPORTS": "3", "HF_TOKEN": "secret"})
    monkeypatch.setenv("MAX_REPORTS", "3")
    monkeypatch.setenv("DRIFT_THRESHOLD", "0.2")
    assert differences(platform) == ("DRIFT_THRESHOLD", "HF_TOKEN")


def test_overrides_are_private(platform: Platform) -> None:
    assert read_overrides(platform) is None
    write_overrides(platform, {"HF_TOKEN": "secret"})
    path = platform.folder / "run" / "overrides.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_overrides(platform) == {"HF_TOKEN": "secret"}


def test_programs_that_run_tasks_stop_before_the_api_server(tmp_path: Path) -> None:
    """supervisord stops the group with the highest number first and waits for it."""
    platform, _ = make_platform(tmp_path)
    text = configparser.RawConfigParser()
    text.read_string(Supervisor(platform).configuration())
    first = text["group:tasks"]
    then = text["group:platform"]
    assert (
        int(first["priority"]) > int(then["priority"]) > int(text["program:postgres"]["priority"])
    )
    assert {"airflow-scheduler", "airflow-worker-1"} < set(first["programs"].split(","))
    assert {"airflow-api-server", "mlflow", "serving"} < set(then["programs"].split(","))
    assert not set(first["programs"].split(",")) & set(then["programs"].split(","))
