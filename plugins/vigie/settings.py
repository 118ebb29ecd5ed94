"""Settings: read once at an entry point, immutable afterwards.

Precedence: command-line flag or Airflow Connection > environment > ``.env`` >
``data/local/platform.toml`` > default.
An empty variable counts as unset (that is what Compose yields for ``${VAR:-}``). Below
:mod:`vigie.wiring`
values are passed, never these objects.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from vigie.errors import SettingsError
from vigie.records import ProjectPaths


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class ElasticsearchSettings(_Group):
    """The real log index; without a host the embedded one is used."""

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
        """Return scheme, host and port; a host that is a URL itself keeps its own."""
        if self.host is None:
            raise SettingsError("ELASTICSEARCH_HOST is not set")
        scheme, _, rest = self.host.rpartition("://")
        name, _, path = rest.partition("/")
        if path or "@" in name:
            raise SettingsError(
                "ELASTICSEARCH_HOST is a host or scheme://host:port, without path; user and "
                "password go into ELASTICSEARCH_USER and ELASTICSEARCH_PASSWORD"
            )
        has_port = name.rpartition(":")[2].isdigit() and not name.endswith("]")
        return f"{scheme or self.scheme}://{name if has_port else f'{name}:{self.port}'}"


class PipelineSettings(_Group):
    """How API logs are collected."""

    batch_size: int = Field(default=100, gt=0, alias="PIPELINE_BATCH_SIZE")
    poll_interval_s: float = Field(default=10.0, gt=0, alias="PIPELINE_POLL_INTERVAL")
    filter_pattern: str = Field(default="API Call - POST /predict", alias="PIPELINE_FILTER_PATTERN")


class GradioSettings(_Group):
    """Where the served model's log comes from."""

    url: str | None = Field(default=None, alias="GRADIO_URL")
    hf_token: SecretStr | None = Field(default=None, alias="HF_TOKEN")


class StreamSettings(_Group):
    """The stream of log lines; without servers the embedded one is used."""

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
        """Where Kafka's other readers find refused lines; the embedded stream has no others."""
        return f"{self.topic}.dlq" if self.bootstrap_servers else None

    def security(self) -> dict[str, str]:
        """Return librdkafka's options for TLS and SASL; they hold the password in clear."""
        uses_sasl, secret = self.security_protocol.startswith("SASL"), self.sasl_password
        if uses_sasl and not (self.sasl_username and secret):
            raise SettingsError(
                f"KAFKA_SECURITY_PROTOCOL={self.security_protocol} needs KAFKA_SASL_USERNAME and "
                "KAFKA_SASL_PASSWORD"
            )
        if not uses_sasl and (self.sasl_username or secret):
            raise SettingsError(
                "KAFKA_SASL_USERNAME or KAFKA_SASL_PASSWORD is set, but KAFKA_SECURITY_PROTOCOL is "
                f"{self.security_protocol}, which does not use it; set SASL_SSL"
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
    """The tracking server."""

    enabled: bool = Field(default=True, alias="MLFLOW_ENABLED")
    tracking_uri: str | None = Field(default=None, alias="MLFLOW_TRACKING_URI")
    tracking_username: str | None = Field(default=None, alias="MLFLOW_TRACKING_USERNAME")
    tracking_password: SecretStr | None = Field(default=None, alias="MLFLOW_TRACKING_PASSWORD")
    tracking_token: SecretStr | None = Field(default=None, alias="MLFLOW_TRACKING_TOKEN")
    experiment_name: str = Field(default="anomaly-detection", alias="MLFLOW_EXPERIMENT_NAME")

    @field_validator("tracking_uri")
    @classmethod
    def _without_login(cls, uri: str | None) -> str | None:
        """Refuse a login in the address, which reports, links and messages tell."""
        try:
            has_login = urlsplit(uri or "").username is not None
        except ValueError:  # whose words repeat the address
            raise ValueError("expected an address such as http://host:5000") from None
        if has_login:
            raise ValueError(
                "expected no user and no password in it; "
                "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            )
        return uri

    def login(self) -> dict[str, str]:
        """Return the login as the variables of MLflow's client; they hold the secret in clear."""
        user, password, token = self.tracking_username, self.tracking_password, self.tracking_token
        if bool(user) != bool(password):
            raise SettingsError(
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD belong together; "
                "set both or none"
            )
        if user and token:
            raise SettingsError(
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_TOKEN are two logins; unset one"
            )
        if user and password:
            return {
                "MLFLOW_TRACKING_USERNAME": user,
                "MLFLOW_TRACKING_PASSWORD": password.get_secret_value(),
            }
        return {"MLFLOW_TRACKING_TOKEN": token.get_secret_value()} if token else {}


class MetricsSettings(_Group):
    """Where figures go; without a Pushgateway, to text files that serving exposes."""

    pushgateway_url: str | None = Field(  # not shown: it may hold a login
        default=None, alias="PROMETHEUS_PUSHGATEWAY_URL", repr=False
    )

    @field_validator("pushgateway_url")
    @classmethod
    def _with_an_escaped_login(cls, url: str | None) -> str | None:
        """Refuse a login that ends the host's part too early; the rest of it would be told."""
        beyond = re.split("[/?#]", re.sub(r"^\w+://", "", url or ""), maxsplit=1)[1:]
        if any("@" in part for part in beyond):
            raise ValueError("expected / ? and # of a password as %2F, %3F and %23")
        return url


class LoopSettings(_Group):
    """Thresholds of the loop; None leaves them to the model file."""

    retrain_threshold: int | None = Field(default=None, ge=1, alias="RETRAIN_THRESHOLD")
    drift_threshold: float | None = Field(default=None, gt=0, le=1, alias="DRIFT_THRESHOLD")
    max_reports: int = Field(default=10, ge=1, alias="MAX_REPORTS")


class DatabaseSettings(_Group):
    """The one database."""

    url: SecretStr | None = Field(default=None, alias="VIGIE_DATABASE_URL")


class ServingSettings(_Group):
    """The prediction service."""

    host: str = Field(default="127.0.0.1", alias="VIGIE_SERVING_HOST")
    port: int = Field(default=8080, ge=1, le=65535, alias="VIGIE_SERVING_PORT")
    model: str | None = Field(default=None, alias="VIGIE_SERVING_MODEL")
    api_key: SecretStr | None = Field(default=None, alias="VIGIE_API_KEY")


class CelerySettings(_Group):
    """The local platform's Airflow on several worker processes; without a broker, LocalExecutor."""

    broker_url: SecretStr | None = Field(default=None, alias="VIGIE_CELERY_BROKER_URL")
    workers: int = Field(default=2, ge=1, le=8, alias="VIGIE_CELERY_WORKERS")


class FolderSettings(_Group):
    """Folders; relative ones are below the project."""

    data: Path = Field(default=Path("data"), alias="DATA_DIR")
    artifacts: Path = Field(default=Path("artifacts"), alias="ARTIFACTS_DIR")
    reports: Path = Field(default=Path("reports"), alias="REPORTS_DIR")


def project_root() -> Path:
    """Return ``VIGIE_HOME``, else the checkout that this package lies in."""
    home = os.environ.get("VIGIE_HOME")
    return Path(home) if home else Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Settings:
    """All groups, and where each variable's value came from."""

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
        """Read every source once.

        Parameters
        ----------
        overrides
            Values by variable name that win over the environment (flags, Airflow Connections); an
            empty one resets its variable to the default.
        override_source
            What to say of them in ``vigie check``.

        Raises
        ------
        SettingsError
            Names the variable and what is wrong with it, never its value.
        """
        root = project_root()
        values, sources = _merge(root, overrides or {}, override_source)
        try:
            folders = FolderSettings.model_validate(values)
            return cls(
                paths=ProjectPaths(
                    root, root / folders.data, root / folders.artifacts, root / folders.reports
                ),
                database=DatabaseSettings.model_validate(values),
                elasticsearch=ElasticsearchSettings.model_validate(values),
                pipeline=PipelineSettings.model_validate(values),
                gradio=GradioSettings.model_validate(values),
                stream=StreamSettings.model_validate(values),
                mlflow=MlflowSettings.model_validate(values),
                metrics=MetricsSettings.model_validate(values),
                loop=LoopSettings.model_validate(values),
                serving=ServingSettings.model_validate(values),
                celery=CelerySettings.model_validate(values),
                sources=sources,
            )
        except ValidationError as exc:
            raise SettingsError(_explain(exc, sources)) from None

    def source(self, variable: str) -> str:
        """Say where a variable's value came from."""
        return self.sources.get(variable, "default")


GROUPS: tuple[type[_Group], ...] = (
    DatabaseSettings,
    ElasticsearchSettings,
    PipelineSettings,
    GradioSettings,
    StreamSettings,
    MlflowSettings,
    MetricsSettings,
    LoopSettings,
    ServingSettings,
    CelerySettings,
    FolderSettings,
)


def known_variables() -> tuple[str, ...]:
    """Return every variable that settings read, for ``.env.example``, the docs and their test."""
    return tuple(str(field.alias) for group in GROUPS for field in group.model_fields.values())


def _merge(
    root: Path, overrides: Mapping[str, str], override_source: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Layer the sources, lowest first; remember which one each value came from."""
    layers = (
        ("platform.toml", _platform_environment(root / "data" / "local" / "platform.toml")),
        (".env", read_dotenv(root)),
        ("environment", os.environ),
        (override_source, overrides),
    )
    known = set(known_variables())
    values: dict[str, str] = {}
    sources: dict[str, str] = {}
    for name, layer in layers:
        for variable in known & layer.keys():
            if layer[variable]:
                values[variable] = layer[variable]
            elif layer is overrides:
                values.pop(variable, None)
            else:
                continue
            sources[variable] = name
    return values, sources


def _platform_environment(path: Path) -> dict[str, str]:
    """Read the ``[environment]`` table that ``vigie init`` wrote."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("environment", {})
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, OSError) as exc:
        raise SettingsError(f"{path} cannot be read ({exc}); run: vigie init") from exc
    return {str(key): str(value) for key, value in table.items()}


def read_dotenv(root: Path) -> dict[str, str]:
    """Return the variables of a project's ``.env``; empty if there is no file."""
    path = root / ".env"
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    return {key: value for key, value in dotenv_values(path).items() if value is not None}


def _explain(error: ValidationError, sources: Mapping[str, str]) -> str:
    """Say which variables are wrong and where they were set, without their values (they may be
    secret).
    """
    problems = [
        (str(problem["loc"][0]), problem["msg"]) for problem in error.errors(include_input=False)
    ]
    return "; ".join(
        f"{name} (from {sources.get(name, 'default')}): {message}" for name, message in problems
    )
