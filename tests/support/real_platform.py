"""A local platform on the real servers, with its own databases, topic and indices."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import sqlalchemy as sa
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from vigie.settings import known_variables

ROOT = Path(__file__).resolve().parents[2]
DAGS = sorted(path.stem for path in (ROOT / "airflow" / "dags").glob("*.py"))
LOG_INDICES = ("ml-api-message", "ml-api-perfs", "vigie-dead-letters", "vigie-incidents")


class RealPlatform:
    """A checkout whose ``.env`` sets the real servers."""

    def __init__(self, root: Path, urls: Mapping[str, str]) -> None:
        self.root = root
        self.urls = urls
        self.mark = secrets.token_hex(4)
        self.roles = [f"{name}_{self.mark}" for name in ("airflow", "mlflow", "vigie")]
        self.topic = f"logs-{self.mark}"
        self.index = f"clogs-{self.mark}"
        self.raw_index = f"api-{self.mark}"

    def make(self, **more: str) -> None:
        """Create the checkout and the databases; write ``.env``."""
        self.root.mkdir(parents=True)
        for name in ("airflow", "init-db.sql", "models", "plugins"):
            (self.root / name).symlink_to(ROOT / name)
        urls = [self._make_database(name) for name in self.roles]
        elasticsearch = urlsplit(self.urls["elasticsearch"])
        values = {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": urls[0],
            "MLFLOW_BACKEND_STORE_URI": urls[1],
            "VIGIE_DATABASE_URL": urls[2],
            "KAFKA_BOOTSTRAP_SERVERS": self.urls["kafka"],
            "ELASTICSEARCH_HOST": elasticsearch.hostname or "",
            "ELASTICSEARCH_PORT": str(elasticsearch.port),
            "ELASTICSEARCH_INDEX": self.raw_index,
            "PROMETHEUS_PUSHGATEWAY_URL": self.urls["pushgateway"],
            "VIGIE_STREAM_TOPIC": self.topic,
            "VIGIE_STREAM_GROUP": f"scorer-{self.mark}",
            "VIGIE_ANOMALY_INDEX": self.index,
        }
        lines = [f"{name}={value}\n" for name, value in (values | more).items()]
        (self.root / ".env").write_text("".join(lines))

    def run(
        self, *arguments: str, timeout_s: float = 600, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``vigie ARGUMENTS`` in the checkout."""
        inherited = {k: v for k, v in os.environ.items() if k not in known_variables()}
        inherited = {k: v for k, v in inherited.items() if not k.startswith("AIRFLOW")}
        return subprocess.run(
            [str(Path(sys.executable).parent / "vigie"), *arguments],
            cwd=self.root,
            env=inherited | {"VIGIE_HOME": str(self.root), "COLUMNS": "160"} | environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def forget(self) -> None:
        """Remove databases, roles, topics, documents and the DAGs' metrics from the servers."""
        with self._superuser() as connection:
            for name in self.roles:
                connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
                connection.exec_driver_sql(f"DROP ROLE IF EXISTS {name}")
        self.clean_servers()
        topics = [self.topic, f"{self.topic}.dlq"]
        admin = AdminClient({"bootstrap.servers": self.urls["kafka"]})
        for future in admin.delete_topics(topics, operation_timeout=10).values():
            with suppress(KafkaException):  # the topic does not exist
                future.result(timeout=15)

    def clean_servers(self) -> None:
        """Delete the indices and metric groups whose names tests share."""
        for index in (*LOG_INDICES, self.index, self.raw_index):
            httpx.delete(f"{self.urls['elasticsearch']}/{index}", timeout=30)
        gateway = self.urls["pushgateway"]
        groups = httpx.get(f"{gateway}/api/v1/metrics", timeout=10, trust_env=False).json()
        for group in groups["data"]:
            labels = dict(group["labels"])
            job = labels.pop("job")
            if job in DAGS:
                path = "".join(f"/{name}/{value}" for name, value in labels.items())
                httpx.delete(f"{gateway}/metrics/job/{job}{path}", timeout=10)

    def _make_database(self, name: str) -> str:
        password = secrets.token_urlsafe(16)
        with self._superuser() as connection:
            connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
            connection.exec_driver_sql(f"CREATE DATABASE {name} OWNER {name} TEMPLATE template0")
        url = sa.make_url(self.urls["postgres"])
        url = url.set(username=name, password=password, database=name)
        return url.render_as_string(hide_password=False)

    @contextmanager
    def _superuser(self) -> Iterator[sa.Connection]:
        engine = sa.create_engine(self.urls["postgres"], isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()
