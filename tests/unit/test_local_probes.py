"""Waiting for a program: an answer counts only if it is ours."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from vigie.errors import SettingsError
from vigie.local.probes import wait_for
from vigie.local.programs import SERVING
from vigie.local.state import make_platform
from vigie.local.supervision import Supervisor


def test_an_answer_of_somebody_else_on_our_port_is_not_taken_for_ours(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        platform, _ = make_platform(tmp_path)
        platform = replace(platform, ports={**platform.ports, "serving": port})
        with pytest.raises(SettingsError, match=rf"port {port} of serving is held by process \d+"):
            wait_for(lambda: None, Supervisor(platform), (SERVING,), timeout_s=1)
