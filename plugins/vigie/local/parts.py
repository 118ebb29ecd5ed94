"""The parts of the platform: what runs here, what it needs first, how it shows that it is up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vigie.local.airflow_database import migrate_airflow
from vigie.local.database import migrate_records
from vigie.local.environments import broker_options, program_environment
from vigie.local.probes import Probe, probe_airflow, probe_mlflow, probe_serving, probe_workers
from vigie.local.programs import AIRFLOW_PROGRAMS, MLFLOW, SERVING, WORKERS, Program
from vigie.local.state import Platform
from vigie.settings import Settings


@dataclass(frozen=True, slots=True)
class Service:
    """A part of the platform that starts on its own once PostgreSQL is there."""

    name: str
    programs: tuple[Program, ...]
    prepare: Callable[[], None]
    probe: Probe


def wanted_services(platform: Platform, overrides: Mapping[str, str]) -> list[Service]:
    """Return what runs here: MLflow only where the user has neither his own nor switched it off."""
    environment = program_environment(platform, overrides, "airflow")
    mlflow, serving = (platform.url(name) for name in ("mlflow", "serving"))
    wanted = [
        _airflow(platform, environment),
        Service(
            "serving",
            (SERVING,),
            lambda: migrate_records(environment["VIGIE_DATABASE_URL"]),
            lambda: probe_serving(serving),
        ),
    ]
    is_off = overrides.get("MLFLOW_ENABLED", "true").lower() in ("false", "0", "no", "off")
    if "MLFLOW_TRACKING_URI" not in overrides and not is_off:
        wanted.append(Service("mlflow", (MLFLOW,), lambda: None, lambda: probe_mlflow(mlflow)))
    return wanted


def _airflow(platform: Platform, environment: Mapping[str, str]) -> Service:
    """Return Airflow, with its Celery workers where there is a broker."""
    settings = Settings.from_env(environment, override_source="platform").celery
    broker = settings.broker_url.get_secret_value() if settings.broker_url else ""
    workers = WORKERS[: settings.workers] if broker else ()

    def probe() -> None:
        probe_airflow(platform.url("airflow"))
        if workers:
            probe_workers(broker, broker_options(broker, platform.mark), len(workers))

    programs = (*AIRFLOW_PROGRAMS, *workers)
    return Service("airflow", programs, lambda: migrate_airflow(platform, environment), probe)
