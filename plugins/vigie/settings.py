"""The immutable settings, read once at each entry point.

Precedence: command-line option or Airflow Connection > environment > ``.env`` >
``data/local/platform.toml`` > default. Modules that :mod:`vigie.wiring` imports take single values
as arguments instead of these objects.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from vigie.errors import SettingsError
from vigie.records import ProjectPaths
from vigie.setting_sources import merged_values


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class ElasticsearchSettings(_Group):
    """Connection and index options of Elasticsearch; without ``host``, PostgreSQL is used."""

    host: str | None = Field(default=None, alias="ELASTICSEARCH_HOST")
    port: int = Field(default=9200, ge=1, le=65535, alias="ELASTICSEARCH_PORT")
    index: str = Field(default="ml-api-logs", alias="ELASTICSEARCH_INDEX")
    scheme: Literal["http", "https"] = Field(default="http", alias="ELASTICSEARCH_SCHEME")
    user: str | None = Field(default=None, alias="ELASTICSEARCH_USER")
    password: SecretStr | None = Field(default=None, alias="ELASTICSEARCH_PASSWORD")
    api_key: SecretStr | None = Field(default=None, alias="ELASTICSEARCH_API_KEY")
    ca_certs: Path | None = Field(default=None, alias="ELASTICSEARCH_CA_CERTS")
    verify_certs: bool = Field(default=True, alias="ELASTICSEARCH_VERIFY_CERTS")
    replicas: int | None = Field(default=None, ge=0, alias="ELASTICSEARCH_REPLICAS")
    retention_days: int | None = Field(default=None, ge=1, alias="ELASTICSEARCH_RETENTION_DAYS")

    @property
    def url(self) -> str:
        """Return ``scheme://host:port``; ``host`` may contain another scheme and port."""
        if self.host is None:
            raise SettingsError("ELASTICSEARCH_HOST is not set")
        scheme, _, rest = self.host.rpartition("://")
        name, _, path = rest.partition("/")
        if path or "@" in name:
            raise SettingsError(
                "ELASTICSEARCH_HOST must be a host or scheme://host:port, without a path; set user "
                "and password in ELASTICSEARCH_USER and ELASTICSEARCH_PASSWORD"
            )
        has_port = name.rpartition(":")[2].isdigit() and not name.endswith("]")
        return f"{scheme or self.scheme}://{name if has_port else f'{name}:{self.port}'}"


class PipelineSettings(_Group):
    """Batch size, poll interval and filter pattern for the collection of API log lines."""

    batch_size: int = Field(default=100, gt=0, alias="PIPELINE_BATCH_SIZE")
    poll_interval_s: float = Field(default=10.0, gt=0, alias="PIPELINE_POLL_INTERVAL")
    filter_pattern: str = Field(default="API Call - POST /predict", alias="PIPELINE_FILTER_PATTERN")


class GradioSettings(_Group):
    """URL and access token of the Gradio app from which API log lines are collected."""

    url: str | None = Field(default=None, alias="GRADIO_URL")
    hf_token: SecretStr | None = Field(default=None, alias="HF_TOKEN")


class StreamSettings(_Group):
    """Options of Kafka and scoring; without ``bootstrap_servers``, the embedded stream is used."""

    bootstrap_servers: str | None = Field(default=None, alias="KAFKA_BOOTSTRAP_SERVERS")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", alias="KAFKA_SECURITY_PROTOCOL"
    )
    sasl_mechanism: str = Field(default="SCRAM-SHA-512", alias="KAFKA_SASL_MECHANISM")
    sasl_username: str | None = Field(default=None, alias="KAFKA_SASL_USERNAME")
    sasl_password: SecretStr | None = Field(default=None, alias="KAFKA_SASL_PASSWORD")
    ssl_ca_location: str | None = Field(default=None, alias="KAFKA_SSL_CA_LOCATION")
    ssl_certificate_location: str | None = Field(
        default=None, alias="KAFKA_SSL_CERTIFICATE_LOCATION"
    )
    ssl_key_location: str | None = Field(default=None, alias="KAFKA_SSL_KEY_LOCATION")
    topic: str = Field(default="vigie-logs", alias="VIGIE_STREAM_TOPIC")
    group: str = Field(default="vigie-scorer", alias="VIGIE_STREAM_GROUP")
    index: str = Field(default="mozilla-clogs-index", alias="VIGIE_ANOMALY_INDEX")
    workers: int = Field(default=1, ge=1, le=64, alias="VIGIE_STREAM_WORKERS")

    @property
    def dead_letter_topic(self) -> str | None:
        """Return the topic to which dead letters are copied; None for the embedded stream."""
        return f"{self.topic}.dlq" if self.bootstrap_servers else None

    def security(self) -> dict[str, str]:
        """Return librdkafka's options for TLS and SASL, including the password in clear text."""
        uses_sasl, secret = self.security_protocol.startswith("SASL"), self.sasl_password
        if uses_sasl and not (self.sasl_username and secret):
            raise SettingsError(
                f"KAFKA_SECURITY_PROTOCOL={self.security_protocol} needs KAFKA_SASL_USERNAME and "
                "KAFKA_SASL_PASSWORD"
            )
        if not uses_sasl and (self.sasl_username or secret):
            raise SettingsError(
                "KAFKA_SASL_USERNAME or KAFKA_SASL_PASSWORD is set, but KAFKA_SECURITY_PROTOCOL="
                f"{self.security_protocol} does not use them; set KAFKA_SECURITY_PROTOCOL=SASL_SSL"
            )
        files = {
            "ssl.ca.location": self.ssl_ca_location,
            "ssl.certificate.location": self.ssl_certificate_location,
            "ssl.key.location": self.ssl_key_location,
        }
        found: dict[str, str] = {"security.protocol": self.security_protocol}
        found |= {option: path for option, path in files.items() if path}
        if self.sasl_username and secret:
            found["sasl.mechanism"] = self.sasl_mechanism
            found["sasl.username"] = self.sasl_username
            found["sasl.password"] = secret.get_secret_value()
        return found


class MlflowSettings(_Group):
    """URL, login and experiment of the MLflow server; ``enabled=False`` disables tracking."""

    enabled: bool = Field(default=True, alias="MLFLOW_ENABLED")
    tracking_uri: str | None = Field(default=None, alias="MLFLOW_TRACKING_URI")
    tracking_username: str | None = Field(default=None, alias="MLFLOW_TRACKING_USERNAME")
    tracking_password: SecretStr | None = Field(default=None, alias="MLFLOW_TRACKING_PASSWORD")
    tracking_token: SecretStr | None = Field(default=None, alias="MLFLOW_TRACKING_TOKEN")
    experiment_name: str = Field(default="anomaly-detection", alias="MLFLOW_EXPERIMENT_NAME")

    @field_validator("tracking_uri")
    @classmethod
    def _without_login(cls, uri: str | None) -> str | None:
        """Reject a login in the URL, because links and messages show the URL."""
        try:
            has_login = urlsplit(uri or "").username is not None
        except ValueError:  # The message of urlsplit would contain the URL.
            raise ValueError("expected a URL such as http://host:5000") from None
        if has_login:
            raise ValueError(
                "expected a URL without user and password; "
                "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            )
        return uri

    def login(self) -> dict[str, str]:
        """Return MLflow's login variables, in clear text; empty without a login."""
        user, password, token = self.tracking_username, self.tracking_password, self.tracking_token
        if bool(user) != bool(password):
            raise SettingsError(
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD must be set together: "
                "set both or none"
            )
        if user and token:
            raise SettingsError(
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_TOKEN are both set; unset the token, "
                "or the user name and the password"
            )
        if user and password:
            return {
                "MLFLOW_TRACKING_USERNAME": user,
                "MLFLOW_TRACKING_PASSWORD": password.get_secret_value(),
            }
        return {"MLFLOW_TRACKING_TOKEN": token.get_secret_value()} if token else {}


class MetricsSettings(_Group):
    """URL of the Pushgateway; without a URL, metrics are written to files that serving exposes."""

    pushgateway_url: str | None = Field(  # may contain a login, so repr does not show it
        default=None, alias="PROMETHEUS_PUSHGATEWAY_URL", repr=False
    )

    @field_validator("pushgateway_url")
    @classmethod
    def _with_an_escaped_login(cls, url: str | None) -> str | None:
        """Reject a login with an unescaped /, ? or #, which would end the host part of the URL."""
        beyond = re.split("[/?#]", re.sub(r"^\w+://", "", url or ""), maxsplit=1)[1:]
        if any("@" in part for part in beyond):
            raise ValueError("write / ? and # in the login as %2F, %3F and %23")
        return url


class LoopSettings(_Group):
    """Overrides of ``min_rows`` and ``drift_share`` of all models; number of reports to keep."""

    retrain_threshold: int | None = Field(default=None, ge=1, alias="RETRAIN_THRESHOLD")
    drift_threshold: float | None = Field(default=None, gt=0, le=1, alias="DRIFT_THRESHOLD")
    max_reports: int = Field(default=10, ge=1, alias="MAX_REPORTS")


class DatabaseSettings(_Group):
    """URL of the PostgreSQL database with predictions, labels, deployments and decisions."""

    url: SecretStr | None = Field(default=None, alias="VIGIE_DATABASE_URL")


class ServingSettings(_Group):
    """Address, default model and API key of the prediction service."""

    host: str = Field(default="127.0.0.1", alias="VIGIE_SERVING_HOST")
    port: int = Field(default=8080, ge=1, le=65535, alias="VIGIE_SERVING_PORT")
    model: str | None = Field(default=None, alias="VIGIE_SERVING_MODEL")
    api_key: SecretStr | None = Field(default=None, alias="VIGIE_API_KEY")


class CelerySettings(_Group):
    """Broker and number of Celery workers; without a broker, the LocalExecutor runs the tasks."""

    broker_url: SecretStr | None = Field(default=None, alias="VIGIE_CELERY_BROKER_URL")
    workers: int = Field(default=2, ge=1, le=8, alias="VIGIE_CELERY_WORKERS")


class FolderSettings(_Group):
    """Folders of data, artifacts and reports; relative paths start at the project root."""

    data: Path = Field(default=Path("data"), alias="DATA_DIR")
    artifacts: Path = Field(default=Path("artifacts"), alias="ARTIFACTS_DIR")
    reports: Path = Field(default=Path("reports"), alias="REPORTS_DIR")


def project_root() -> Path:
    """Return ``VIGIE_HOME`` if it is set, else the root of the checkout with this package."""
    home = os.environ.get("VIGIE_HOME")
    return Path(home) if home else Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, and the source of each variable's value."""

    paths: ProjectPaths
    database: DatabaseSettings
    elasticsearch: ElasticsearchSettings
    pipeline: PipelineSettings
    gradio: GradioSettings
    stream: StreamSettings
    mlflow: MlflowSettings
    metrics: MetricsSettings
    loop: LoopSettings
    serving: ServingSettings
    celery: CelerySettings
    sources: Mapping[str, str]

    @classmethod
    def from_env(
        cls, overrides: Mapping[str, str] | None = None, *, override_source: str = "command line"
    ) -> Self:
        """Read and validate the settings.

        Parameters
        ----------
        overrides
            Values of command-line options or Airflow Connections by variable name. They take
            precedence over the environment; an empty value resets its variable to the default.
        override_source
            The name under which ``vigie check`` shows the overrides as a source.

        Raises
        ------
        SettingsError
            If a value is invalid (the message omits it), or ``platform.toml`` cannot be read.
        """
        root = project_root()
        known = set(known_variables())
        values, sources = merged_values(root, known, overrides or {}, override_source)
        try:
            folders = FolderSettings.model_validate(values)
            paths = ProjectPaths(
                root, root / folders.data, root / folders.artifacts, root / folders.reports
            )
            groups: dict[str, Any] = {
                name: group.model_validate(values) for name, group in GROUPS.items()
            }
        except ValidationError as exc:
            raise SettingsError(_explain(exc, sources)) from None
        return cls(paths=paths, sources=sources, **groups)

    def source(self, variable: str) -> str:
        """Return the name of the source that set a variable; ``default`` if no source did."""
        return self.sources.get(variable, "default")


GROUPS: Mapping[str, type[_Group]] = {
    "database": DatabaseSettings,
    "elasticsearch": ElasticsearchSettings,
    "pipeline": PipelineSettings,
    "gradio": GradioSettings,
    "stream": StreamSettings,
    "mlflow": MlflowSettings,
    "metrics": MetricsSettings,
    "loop": LoopSettings,
    "serving": ServingSettings,
    "celery": CelerySettings,
}


def known_variables() -> tuple[str, ...]:
    """Return the names of all variables that the settings read."""
    groups: list[type[_Group]] = [*GROUPS.values(), FolderSettings]
    return tuple(str(field.alias) for group in groups for field in group.model_fields.values())


def _explain(error: ValidationError, sources: Mapping[str, str]) -> str:
    """Format the errors by variable and source, without the values, which may be secret."""
    problems = [
        (str(problem["loc"][0]), problem["msg"]) for problem in error.errors(include_input=False)
    ]
    return "; ".join(
        f"{name} (from {sources.get(name, 'default')}): {message}" for name, message in problems
    )
