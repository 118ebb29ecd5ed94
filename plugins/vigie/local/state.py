"""The ports, passwords and keys of the local platform: ``data/local/platform.toml``."""

from __future__ import annotations

import base64
import json
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vigie.encoding import atomic_path
from vigie.errors import SettingsError
from vigie.local.folders import socket_folder
from vigie.local.ports import DEFAULT_PORTS, LOOPBACK, free_block
from vigie.local.postgres import EmbeddedPostgres

DATABASES = ("airflow", "mlflow", "vigie")
_SECRETS = (
    *(f"{name}_database_password" for name in ("superuser", *DATABASES)),
    *("airflow_admin_password", "airflow_secret_key", "airflow_jwt_secret", "airflow_fernet_key"),
)
_HEADER = """\
# Written by `vigie init`: the ports, passwords and keys of this local platform.
# Keep this file private, and do not separate it from the folders next to it: their databases use
# these passwords.
# The variables below have the lowest precedence: .env, the environment and options override them.
"""


@dataclass(frozen=True, slots=True)
class Platform:
    """The local platform of one checkout: its ports, secrets, folders and addresses."""

    root: Path
    ports: Mapping[str, int]
    secrets: Mapping[str, str] = field(repr=False)

    @property
    def folder(self) -> Path:
        return self.root / "data" / "local"

    @property
    def file(self) -> Path:
        return platform_file(self.root)

    @property
    def sockets(self) -> Path:
        """The private folder of the supervisor's socket."""
        return socket_folder(self.folder)

    @property
    def mark(self) -> str:
        """Value of ``VIGIE_PLATFORM`` in the environment of every process of this platform."""
        return self.sockets.name

    @property
    def postgres(self) -> EmbeddedPostgres:
        password = self.secrets["superuser_database_password"]
        return EmbeddedPostgres(self.folder / "postgres", password)

    @property
    def init_script(self) -> Path:
        return self.root / "init-db.sql"

    def database_url(self, name: str) -> str:
        """Return the URL of a database, with the login of the role of the same name."""
        return self.postgres.url(name, name, self.secrets[f"{name}_database_password"])

    @property
    def database_passwords(self) -> dict[str, str]:
        return {name: self.secrets[f"{name}_database_password"] for name in DATABASES}

    def url(self, service: str) -> str:
        """Return the address of ``serving``, ``airflow`` or ``mlflow``."""
        return f"http://{LOOPBACK}:{self.ports[service]}"

    @property
    def environment(self) -> dict[str, str]:
        """Settings with which commands, tasks and serving connect to this platform."""
        return {
            "VIGIE_DATABASE_URL": self.database_url("vigie"),
            "MLFLOW_TRACKING_URI": self.url("mlflow"),
            "GRADIO_URL": f"{self.url('serving')}/ui",
            "VIGIE_SERVING_PORT": str(self.ports["serving"]),
        }

    def write(self) -> None:
        """Write ``platform.toml`` atomically, with mode 0600."""
        tables = {"ports": self.ports, "secrets": self.secrets, "environment": self.environment}
        lines = [_HEADER]
        for name, table in tables.items():
            lines += [f"[{name}]", *(f"{k} = {json.dumps(v)}" for k, v in table.items()), ""]
        with atomic_path(self.file) as temporary:
            temporary.chmod(0o600)
            temporary.write_text("\n".join(lines), encoding="utf-8")


def platform_file(root: Path) -> Path:
    """Return the path of a checkout's ``platform.toml``."""
    return root / "data" / "local" / "platform.toml"


def read_platform(root: Path) -> Platform | None:
    """Return the platform of a checkout, or None before ``vigie init``.

    Raises
    ------
    SettingsError
        If the file cannot be read or lacks a port or a secret.
    """
    path = platform_file(root)
    if not path.exists():
        return None
    tables = _load(path)
    ports, stored = tables.get("ports", {}), tables.get("secrets", {})
    missing = [name for name in DEFAULT_PORTS if not isinstance(ports.get(name), int)]
    missing += [name for name in _SECRETS if not isinstance(stored.get(name), str)]
    if missing:
        raise SettingsError(f"{path} lacks {', '.join(missing)}; run: vigie init")
    return Platform(root, ports, stored)


def make_platform(root: Path, *, new_ports: bool = False) -> tuple[Platform, bool]:
    """Return the platform of a checkout and whether it is new.

    Idempotent: existing secrets are kept, and missing ones are added. The ports are replaced by a
    free block if one is missing, and by another free block with ``new_ports``.
    """
    path = platform_file(root)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        platform = Platform(root, free_block(), {name: _generate(name) for name in _SECRETS})
        platform.write()
        return platform, True
    platform = _complete(root, path)
    if new_ports:
        platform = replace(platform, ports=free_block(avoid=platform.ports))
    platform.write()  # The URLs contain the path of the checkout, which may have moved.
    return platform, False


def _complete(root: Path, path: Path) -> Platform:
    """Read the file, and add the ports and secrets that an older version did not write."""
    tables = _load(path)
    stored = {name: tables.get("secrets", {}).get(name) or _generate(name) for name in _SECRETS}
    ports = dict(tables.get("ports", {}))
    is_complete = all(isinstance(ports.get(name), int) for name in DEFAULT_PORTS)
    return Platform(root, ports if is_complete else free_block(), stored)


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise SettingsError(f"{path} cannot be read: {exc}") from exc


def _generate(name: str) -> str:
    if name == "airflow_fernet_key":  # Fernet requires 32 bytes in URL-safe base64.
        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    if name == "airflow_admin_password":  # shorter, because users type it
        return secrets.token_urlsafe(12)
    return secrets.token_urlsafe(32)
