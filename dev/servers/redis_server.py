"""Redis from a Debian package, the message broker of Celery workers."""

from __future__ import annotations

import re
import socket

from servers import debian
from servers.debian import find_program
from servers.server import Notify, Server
from servers.state import Site
from vigie.errors import TransientError
from vigie.local.ports import LOOPBACK

_CONFIGURATION = """\
bind {host}
port {port}
requirepass {password}
save ""
appendonly no
"""


class RedisServer(Server):
    """Redis without persistence, with a password."""

    name = "redis"
    ports = {"redis": 16379}  # noqa: RUF012
    secrets = ("redis",)

    def obtain(self, site: Site, notify: Notify, *, install: bool) -> None:
        if find_program("redis-server") is None:
            debian.install("redis-server", "redis-server", notify, allowed=install)

    def prepare(self, site: Site) -> None:
        path = site.home(self.name) / "redis.conf"
        path.touch(mode=0o600)
        values = {"port": site.ports["redis"], "password": site.secret(self.name)}
        path.write_text(_CONFIGURATION.format(host=LOOPBACK, **values))

    def command(self, site: Site) -> list[str]:
        return [find_program("redis-server") or "redis-server", "redis.conf"]

    def url(self, site: Site) -> str:
        return f"redis://:{site.secret(self.name)}@{LOOPBACK}:{site.ports['redis']}/0"

    def ask_version(self, site: Site) -> str:
        question = f"AUTH {site.secret(self.name)}\r\nINFO server\r\nQUIT\r\n".encode()
        try:
            with socket.create_connection((LOOPBACK, site.ports["redis"]), timeout=2) as connection:
                connection.sendall(question)
                answer = connection.makefile("rb").read().decode(errors="replace")
        except OSError as exc:
            raise TransientError(f"Redis did not answer: {exc}") from exc
        found = re.search(r"redis_version:(\S+)", answer)
        if found is None:
            raise TransientError(f"Redis answered {answer[:200]!r}")
        return found[1]
