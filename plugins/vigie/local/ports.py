"""Ports of the local platform: find free ports, and identify the process that uses a port."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping

import psutil

from vigie.errors import SettingsError

LOOPBACK = "127.0.0.1"
DEFAULT_PORTS: Mapping[str, int] = {"serving": 8080, "airflow": 8083, "mlflow": 5000}
_BLOCKS = 50  # more checkouts than one machine is expected to have


def free_block(avoid: Mapping[str, int] | None = None) -> dict[str, int]:
    """Return the first free block of ports (the defaults plus 0, 10, 20, …) except ``avoid``."""
    for shift in range(0, 10 * _BLOCKS, 10):
        block = {name: port + shift for name, port in DEFAULT_PORTS.items()}
        if block != avoid and all(is_free(port) for port in block.values()):
            return block
    raise SettingsError(f"no free block of ports up to {max(block.values())}")


def is_free(port: int) -> bool:
    """Return whether a program can listen on this port of the loopback interface.

    The port is tested with connect and with bind, because macOS allows a bind to 127.0.0.1 while
    another process listens on all interfaces.
    """
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex((LOOPBACK, port)) == 0:
            return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def taken(port: int, program: str) -> SettingsError:
    """Return the error for a port that another process uses."""
    return SettingsError(
        f"port {port} of {program} is used by {holder(port)}; "
        "stop that process, or choose other ports with: vigie init --new-ports"
    )


def holder(port: int) -> str:
    """Describe the process that uses a port, if this user can see the process."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.pid:
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return "another process (of another user, or not visible)"
