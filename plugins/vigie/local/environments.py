"""The environment of each program: what this platform is, and what the user overrides.

The user's overrides are noted by ``vigie up`` in ``data/local/run/overrides.json``: a program that
the supervisor restarts next week sees what the platform was started with, and ``vigie status`` can
say how a shell differs from it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from vigie.encoding import atomic_path
from vigie.local.ports import LOOPBACK
from vigie.local.state import Platform
from vigie.settings import CelerySettings, known_variables

MARK = "VIGIE_PLATFORM"  # every supervised process has it, so that `vigie down` finds the last one
OWN_DATABASES = (  # with all three, the embedded PostgreSQL is not needed
    "VIGIE_DATABASE_URL",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    "MLFLOW_BACKEND_STORE_URI",
)
# Taken from the shell only if they are ours; Airflow's and MLflow's in a shell may belong to
# another installation. In the project's .env they are meant for this one.
_FOREIGN = ("AIRFLOW", "MLFLOW_", "_AIRFLOW", "VIGIE_")


def user_overrides(root: Path) -> dict[str, str]:
    """Return what the user sets: ``.env``, and our variables of the shell, which win.

    Left out is what the Compose files alone ask for: the passwords of the stack's superusers are
    nothing to a program of this platform.
    """
    known = set(known_variables())
    shell = {name: value for name, value in os.environ.items() if name in known and value}
    foreign = _compose_variables(root) - known
    file = _dotenv(root / ".env").items()
    return {name: value for name, value in file if value and name not in foreign} | shell


def _compose_variables(root: Path) -> set[str]:
    texts = (path.read_text(encoding="utf-8") for path in root.glob("docker-compose*.yml"))
    return {name for text in texts for name in re.findall(r"\$\{(\w+)", text)}


def _dotenv(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    return {name: value for name, value in dotenv_values(path).items() if value is not None}


def overrides_file(platform: Platform) -> Path:
    return platform.folder / "run" / "overrides.json"


def read_overrides(platform: Platform) -> dict[str, str] | None:
    """Return the overrides that the platform was started with, or None before the first ``up``."""
    try:
        noted: dict[str, str] = json.loads(overrides_file(platform).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return noted


def write_overrides(platform: Platform, overrides: Mapping[str, str]) -> None:
    """Note the overrides (they may hold secrets: mode 0600)."""
    with atomic_path(overrides_file(platform)) as temporary:
        temporary.chmod(0o600)
        temporary.write_text(json.dumps(dict(overrides)), encoding="utf-8")


def differences(platform: Platform) -> tuple[str, ...]:
    """Name the variables in which this shell differs from what the platform was started with."""
    noted, mine = read_overrides(platform) or {}, user_overrides(platform.root)
    return tuple(sorted(n for n in noted.keys() | mine.keys() if noted.get(n) != mine.get(n)))


def program_environment(
    platform: Platform, overrides: Mapping[str, str], program: str
) -> dict[str, str]:
    """Return the whole environment of a program; each gets only the secrets that it needs."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
    inherited = {k: v for k, v in inherited.items() if k not in known_variables()}
    own = _airflow(platform, overrides) if program.startswith("airflow") else {}
    own = _mlflow(platform) if program == "mlflow" else own
    return inherited | platform.environment | _everybody(platform) | own | dict(overrides)


def _everybody(platform: Platform) -> dict[str, str]:
    loopback = f"{LOOPBACK},localhost,::1"
    no_proxy = ",".join(filter(None, (os.environ.get("NO_PROXY"), loopback)))
    return {
        "VIGIE_HOME": str(platform.root),
        "PATH": os.pathsep.join(
            (str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))
        ),
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        "NO_COLOR": "1",  # logs are files
        "SPT_NOENV": "1",  # a process that sets its title keeps its environment, and so our mark
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "1",  # folders called airflow/ and mlflow/ must not shadow packages
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",  # its client takes DO_NOT_TRACK only as "true"
        "SCARF_ANALYTICS": "false",
        "GRADIO_ANALYTICS_ENABLED": "False",
    }


def _mlflow(platform: Platform) -> dict[str, str]:
    return {
        "MLFLOW_BACKEND_STORE_URI": platform.database_url("mlflow"),
        "MLFLOW_ARTIFACTS_DESTINATION": (platform.folder / "mlflow").as_uri(),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # nine idle processes, 2 GB
    }


def _airflow(platform: Platform, overrides: Mapping[str, str]) -> dict[str, str]:
    home = platform.folder / "airflow"
    sections = {
        "core": _core(platform, home),
        "database": {"sql_alchemy_conn": platform.database_url("airflow")},
        "api": {
            "host": LOOPBACK,
            "port": str(platform.ports["airflow"]),
            "base_url": platform.url("airflow"),
            "secret_key": platform.secrets["airflow_secret_key"],
            "expose_config": "false",
        },
        "api_auth": {"jwt_secret": platform.secrets["airflow_jwt_secret"]},
        "logging": {"base_log_folder": str(platform.folder / "logs" / "tasks")},
        # Few files on one machine: one parser is enough, and a new DAG or model file is seen within
        # half a minute, not five.
        "dag_processor": {"parsing_processes": "1", "refresh_interval": "30"},
    }
    if "VIGIE_CELERY_BROKER_URL" in overrides:
        _use_celery(sections, platform, overrides)
    return {"AIRFLOW_HOME": str(home)} | {
        f"AIRFLOW__{section.upper()}__{key.upper()}": value
        for section, keys in sections.items()
        for key, value in keys.items()
    }


def broker_options(broker_url: str, mark: str) -> dict[str, str]:
    """Keep a platform's tasks from the workers of another one on the same Redis.

    Not a queue of its own: tasks that wait in the database while the executor is changed have the
    name of the default one.
    """
    is_redis = broker_url.startswith(("redis://", "rediss://"))
    return {"global_keyprefix": f"{mark}:"} if is_redis else {}


def _use_celery(
    sections: dict[str, dict[str, str]], platform: Platform, overrides: Mapping[str, str]
) -> None:
    """Let worker processes run the tasks."""
    broker = overrides["VIGIE_CELERY_BROKER_URL"]
    workers = int(overrides.get("VIGIE_CELERY_WORKERS", CelerySettings().workers))
    slots = 2  # as many tasks a worker: with two workers no more at once than with LocalExecutor
    sections["core"] |= {"executor": "CeleryExecutor", "parallelism": str(slots * workers)}
    sections["celery"] = {
        "broker_url": broker,
        "worker_concurrency": str(slots),
        "worker_umask": "0o077",
    }
    sections["celery_broker_transport_options"] = broker_options(broker, platform.mark)


def _core(platform: Platform, home: Path) -> dict[str, str]:
    return {
        "executor": "LocalExecutor",
        "parallelism": "4",  # a task costs 0.6 s of two cores, and memory: more gains little
        "dags_folder": str(platform.root / "airflow" / "dags"),
        "plugins_folder": str(platform.root / "plugins"),
        "load_examples": "false",
        "dags_are_paused_at_creation": "true",
        "fernet_key": platform.secrets["airflow_fernet_key"],
        "execution_api_server_url": f"{platform.url('airflow')}/execution/",
        "simple_auth_manager_users": "admin:admin",
        "simple_auth_manager_passwords_file": str(home / "passwords.json"),
        "hostname_callable": "socket.gethostname",  # the default asks the network
    }
