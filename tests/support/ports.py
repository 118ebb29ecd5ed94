"""Ports that the system chooses."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Return a port of the loopback interface that no process uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
