"""Command line: ``python -m servers up`` and ``python -m servers down``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from servers.bring_up import SERVERS, Outcome, bring_up, take_down
from servers.state import read_site
from vigie.errors import VigieError
from vigie.settings import project_root

FAILED = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 3 if an installed server did not start."""
    parser = argparse.ArgumentParser(
        prog="servers", description="Start or stop real servers for tests."
    )
    parser.add_argument("command", choices=["up", "down"])
    parser.add_argument(
        "--only", nargs="+", choices=list(SERVERS), help="act on these servers only"
    )
    parser.add_argument("--no-install", action="store_true", help="never call apt-get")
    given = parser.parse_args(arguments)
    console = Console()
    servers = [SERVERS[name] for name in given.only or SERVERS]
    try:
        if given.command == "down":
            if not take_down(project_root(), servers, console.print):
                console.print("No server is running.")
            return 0
        outcomes = bring_up(project_root(), servers, console.print, install=not given.no_install)
    except VigieError as exc:
        console.print(Text(str(exc), style="red"))
        return exc.exit_code
    console.print(_table(project_root(), outcomes))
    return FAILED if any(outcome.failed for outcome in outcomes) else 0


def _table(root: Path, outcomes: Sequence[Outcome]) -> Table:
    site = read_site(root)
    logs = site.log("NAME").relative_to(root)
    table = Table(title="Real servers", title_justify="left", caption=f"Logs: {logs}")
    for heading in ("server", "version", "port", ""):
        table.add_column(heading, overflow="fold")
    for outcome in outcomes:
        colour = "green" if outcome.version else "red" if outcome.failed else "yellow"
        port = str(site.ports.get(outcome.name, "")) if outcome.version else ""
        version = outcome.version or ("failed" if outcome.failed else "skipped")
        table.add_row(outcome.name, version, port, Text(outcome.note, style=colour))
    return table


if __name__ == "__main__":
    sys.exit(main())
