"""The environment of each program: the platform's settings and the user's overrides.

``vigie up`` saves the overrides in ``data/local/run/overrides.json``. A program that the supervisor
restarts later gets the same settings, and ``vigie status`` lists the settings that differ in the
current shell.
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
from vigie.setting_sources import read_dotenv
from vigie.settings import CelerySettings, known_variables

MARK = "VIGIE_PLATFORM"  # set in every process, so that `vigie down` can identify all of them
OWN_DATABASES = (  # with all three set, the embedded PostgreSQL is not needed
    "VIGIE_DATABASE_URL",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    "MLFLOW_BACKEND_STORE_URI",
)
# A shell variable with one of these prefixes is used only if it is a setting of vigie, because it
# may belong to another installation of Airflow or MLflow. This does not apply to variables of .env.
_FOREIGN = ("AIRFLOW", "MLFLOW_", "_AIRFLOW", "VIGIE_")


def user_overrides(root: Path) -> dict[str, str]:
    """Return the variables of ``.env``, overridden by the settings in the shell.

    Variables that only the Compose files use are omitted: the programs of this platform must not
    get the passwords of the Compose stack's superusers.
    """
    known = set(known_variables())
    shell = {name: value for name, value in os.environ.items() if name in known and value}
    foreign = _compose_variables(root) - known
    file = read_dotenv(root).items()
    return {name: value for name, value in file if value and name not in foreign} | shell


def _compose_variables(root: Path) -> set[str]:
    texts = (path.read_text(encoding="utf-8") for path in root.glob("docker-compose*.yml"))
    return {name for text in texts for name in re.findall(r"\$\{(\w+)", text)}


def overrides_file(platform: Platform) -> Path:
    return platform.folder / "run" / "overrides.json"


def read_overrides(platform: Platform) -> dict[str, str] | None:
    """Return the overrides that the last ``vigie up`` saved, or None if it has never run."""
    try:
        noted: dict[str, str] = json.loads(overrides_file(platform).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return noted


def write_overrides(platform: Platform, overrides: Mapping[str, str]) -> None:
    """Save the overrides with mode 0600, because they may contain secrets."""
    with atomic_path(overrides_file(platform)) as temporary:
        temporary.chmod(0o600)
        temporary.write_text(json.dumps(dict(overrides)), encoding="utf-8")


def differences(platform: Platform) -> tuple[str, ...]:
    """Return the variables that differ between the shell or ``.env`` and the last ``up``."""
    noted, mine = read_overrides(platform) or {}, user_overrides(platform.root)
    return tuple(sorted(n for n in noted.keys() | mine.keys() if noted.get(n) != mine.get(n)))


def program_environment(
    platform: Platform, overrides: Mapping[str, str], program: str
) -> dict[str, str]:
    """Return the environment of a program: inherited variables, settings and ``overrides``.

    Only Airflow's programs get Airflow's keys, and only MLflow gets the URL of its database.
    """
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
    inherited = {k: v for k, v in inherited.items() if k not in known_variables()}
    own = _airflow(platform, overrides) if program.startswith("airflow") else {}
    own = _mlflow(platform) if program == "mlflow" else own
    return inherited | platform.environment | _common(platform) | own | dict(overrides)


def _common(platform: Platform) -> dict[str, str]:
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
        "SPT_NOENV": "1",  # setproctitle must not overwrite the environment, which has the mark
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "1",  # the folders airflow/ and mlflow/ must not shadow the packages
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",  # MLflow accepts DO_NOT_TRACK only as "true"
        "SCARF_ANALYTICS": "false",
        "GRADIO_ANALYTICS_ENABLED": "False",
    }


def _mlflow(platform: Platform) -> dict[str, str]:
    return {
        "MLFLOW_BACKEND_STORE_URI": platform.database_url("mlflow"),
        "MLFLOW_ARTIFACTS_DESTINATION": (platform.folder / "mlflow").as_uri(),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # otherwise nine idle processes use 2 GB
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
        # One parser is sufficient for a few files. The interval reduces the time until a new DAG or
        # model file is found from five minutes to 30 seconds.
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
    """Return options that separate the tasks of several platforms on one Redis.

    For another broker, the result is empty. The tasks are separated by a key prefix. Separate
    queues would lose tasks that were put in the default queue before the executor was changed.
    """
    is_redis = broker_url.startswith(("redis://", "rediss://"))
    return {"global_keyprefix": f"{mark}:"} if is_redis else {}


def _use_celery(
    sections: dict[str, dict[str, str]], platform: Platform, overrides: Mapping[str, str]
) -> None:
    """Add the settings of the CeleryExecutor to ``sections``."""
    broker = overrides["VIGIE_CELERY_BROKER_URL"]
    workers = int(overrides.get("VIGIE_CELERY_WORKERS", CelerySettings().workers))
    slots = 2  # tasks per worker: two workers run as many tasks as the LocalExecutor
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
        "parallelism": "4",  # more would hardly be faster: starting a task takes 0.6 s of two cores
        "dags_folder": str(platform.root / "airflow" / "dags"),
        "plugins_folder": str(platform.root / "plugins"),
        "load_examples": "false",
        "dags_are_paused_at_creation": "true",
        "fernet_key": platform.secrets["airflow_fernet_key"],
        "execution_api_server_url": f"{platform.url('airflow')}/execution/",
        "simple_auth_manager_users": "admin:admin",
        "simple_auth_manager_passwords_file": str(home / "passwords.json"),
        "hostname_callable": "socket.gethostname",  # the default queries the network
    }
