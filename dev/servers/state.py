"""State of ``make services`` in ``data/services/services.toml`` (mode 0600)."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

from vigie.encoding import atomic_path
from vigie.errors import SettingsError
from vigie.local.ports import is_free

_HEADER = """\
# Written by `make services`: ports, passwords and addresses of the real servers for tests.
# [urls] lists the running servers, [skipped] the reasons why the other servers are not running.
"""
_TABLES = ("ports", "secrets", "urls", "versions", "skipped", "pids", "started")


@dataclass(slots=True)
class Site:
    """The servers of one checkout: folders, ports, passwords and processes."""

    root: Path
    ports: dict[str, int] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    urls: dict[str, str] = field(default_factory=dict, repr=False)
    versions: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.root / "data" / "services"

    @property
    def file(self) -> Path:
        return self.folder / "services.toml"

    @property
    def sources(self) -> Path:
        """Folder of the Maven files and the Elasticsearch launcher."""
        return self.root / "dev" / "servers" / "java_sources"

    def home(self, name: str) -> Path:
        """Return a server's folder; create it with mode 0700."""
        folder = self.folder / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def log(self, name: str) -> Path:
        """Return the log file of a server."""
        return self.folder / "logs" / f"{name}.log"

    def secret(self, name: str) -> str:
        """Return a password, generated at the first call."""
        return self.secrets.setdefault(name, token_urlsafe(24))

    def claim(self, name: str, default: int) -> int:
        """Return a port for a stopped server: the saved port or, if used, the next free one."""
        taken = {port for owner, port in self.ports.items() if owner != name}
        first = self.ports.get(name, default)
        candidates: list[int] = [first, *range(default, default + 1000)]
        for port in candidates:
            if port not in taken and is_free(port):
                self.ports[name] = port
                return port
        raise SettingsError(f"no free port found for {name}, starting from {default}")

    def forget(self, name: str, reason: str) -> None:
        """Store the reason why a server is not running, and delete its address and process."""
        for table in (self.urls, self.versions, self.pids, self.started):
            table.pop(name, None)
        self.skipped[name] = reason

    def write(self) -> None:
        """Write ``services.toml`` atomically, with mode 0600."""
        lines = [_HEADER]
        for name in _TABLES:
            table = getattr(self, name)
            lines += [f"[{name}]", *(f"{k} = {json.dumps(v)}" for k, v in table.items()), ""]
        with atomic_path(self.file) as temporary:
            temporary.chmod(0o600)
            temporary.write_text("\n".join(lines), encoding="utf-8")


def read_site(root: Path) -> Site:
    """Return the saved state of a checkout's servers; empty before the first ``make services``.

    Raises
    ------
    SettingsError
        If the file exists but cannot be read.
    """
    site = Site(root)
    try:
        tables: dict[str, Any] = tomllib.loads(site.file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return site
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise SettingsError(f"{site.file} cannot be read: {exc}; remove it") from exc
    for name in _TABLES:
        getattr(site, name).update(tables.get(name, {}))
    return site
