"""``vigie init | up | status | down | check | backup | airflow``: the local platform."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vigie.cli.support import console, errors

if TYPE_CHECKING:
    from vigie.local.state import Platform
    from vigie.records import ServiceStatus


def register(app: typer.Typer) -> None:
    """Add the commands to the top level of ``vigie``."""
    app.command()(init)
    app.command()(up)
    app.command()(status)
    app.command()(down)
    app.command()(check)
    app.command()(backup)
    app.command(
        context_settings={
            "ignore_unknown_options": True,
            "allow_extra_args": True,
            "allow_interspersed_args": False,
            "help_option_names": [],
        }
    )(airflow)


def init(
    new_ports: Annotated[
        bool, typer.Option("--new-ports", help="Choose another free block of ports.")
    ] = False,
) -> None:
    """Choose ports, generate passwords and keys, and write data/local/platform.toml.

    If VIGIE_DATABASE_URL is set, also migrate the schema of that database.
    """
    from vigie.local.database import external_database
    from vigie.settings import Settings
    from vigie.wiring import upgrade_database

    platform = _init(new_ports=new_ports)
    if (external := external_database(Settings.from_env())) is not None:
        upgrade_database(external)
        console.print("Migrated the database of VIGIE_DATABASE_URL to the schema of this version.")
    ports = ", ".join(f"{name} {port}" for name, port in platform.ports.items())
    console.print(f"Ports: {ports}. Start with: vigie up", highlight=False)


def _init(*, new_ports: bool = False) -> Platform:
    """Return the platform; if it is new, print the generated password."""
    from vigie.local.state import make_platform
    from vigie.settings import project_root

    platform, is_new = make_platform(project_root(), new_ports=new_ports)
    if is_new:
        console.print(
            f"Wrote {platform.file} (mode 600; it contains the passwords and keys).", soft_wrap=True
        )
        secret = platform.secrets["airflow_admin_password"]
        console.print(f"Airflow login: [bold]admin[/] / [bold]{secret}[/]")
    return platform


def up() -> None:
    """Start all programs that are not running, and wait until all programs are ready."""
    from vigie.local.lifecycle import bring_up

    platform = _init()
    with console.status("Starting the platform …"):
        bring_up(platform, echo=lambda line: console.print(line, highlight=False))
    console.print(
        f"\nServing  {platform.url('serving')}\n"
        f"Airflow  {platform.url('airflow')}  (admin; password: vigie status --password)\n"
        f"MLflow   {platform.url('mlflow')}\n"
        "DAGs start paused; enable one with: vigie airflow dags unpause DAG\n"
        "Stop with: vigie down",
        highlight=False,
        soft_wrap=True,
    )


def down() -> None:
    """Stop all programs of the platform."""
    from vigie.local.lifecycle import take_down
    from vigie.local.state import read_platform
    from vigie.settings import project_root

    platform = read_platform(project_root())
    if platform is None:
        console.print("There is no local platform in this project; nothing to stop.")
        return
    with console.status("Stopping the platform …"):
        killed = take_down(platform, echo=errors.print)
    console.print(
        "The platform is stopped."
        + (f" ({killed} processes did not stop on their own.)" if killed else "")
    )


def status(
    password: Annotated[
        bool,
        typer.Option("--password", help="Print the password of the Airflow user admin."),
    ] = False,
) -> None:
    """Print the state, process id, uptime, port and memory of each program."""
    from rich.table import Table

    from vigie.local.environments import differences
    from vigie.local.supervision import status_rows

    platform = _existing()
    if password:
        console.print(platform.secrets["airflow_admin_password"], highlight=False, markup=False)
        return
    table = Table("program", "state", "pid", "uptime", "port", "memory", box=None, pad_edge=False)
    colours = {"RUNNING": "green", "STARTING": "yellow", "STOPPED": "dim"}
    for row in status_rows(platform):
        state = f"[{colours.get(row.state, 'red')}]{row.state.lower()}[/]"
        table.add_row(row.name, state, row.pid, row.uptime, row.port, row.memory)
    console.print(table)
    console.print(f"Logs: {platform.folder / 'logs'}/PROGRAM.log", soft_wrap=True, highlight=False)
    if changed := differences(platform):
        errors.print(
            "[yellow]Settings that differ between this shell and the running platform: "
            f"{', '.join(changed)}. Apply them with: vigie up[/]"
        )


def check() -> None:
    """Print for each role the backend, its version or error, and the source of the setting."""
    from vigie.local.check import check_roles
    from vigie.settings import Settings

    found = check_roles(Settings.from_env())
    _print_statuses(found.statuses)
    if (problem := found.problem()) is not None:
        raise problem


def _print_statuses(found: list[ServiceStatus]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("role", "in use", "", "ms", "set by", box=None, pad_edge=False)
    for status in found:
        sign = escape(status.detail) if status.ok else "[red]down[/]"
        latency = "" if status.latency_ms is None else f"{status.latency_ms:.0f}"
        table.add_row(status.role, status.backend, sign, latency, status.source)
    console.print(table)
    for status in found:
        if not status.ok:
            errors.print(f"[red]{status.role}:[/] {escape(status.detail)}", soft_wrap=True)
            errors.print(f"  → {escape(status.advice)}", soft_wrap=True, highlight=False)


def backup(
    folder: Annotated[Path, typer.Argument(help="Folder for one DATABASE.dump file per database.")],
) -> None:
    """Back up the databases with pg_dump; the local platform must be running."""
    from vigie.local.database import back_up

    for dump in back_up(_existing(), folder):
        console.print(f"Wrote {dump}", soft_wrap=True, highlight=False)


def airflow(context: typer.Context) -> None:
    """Run an Airflow command in the platform's environment."""
    from vigie.local.airflow_commands import run_airflow

    run_airflow(_existing(), context.args)


def _existing() -> Platform:
    from vigie.errors import SettingsError
    from vigie.local.state import read_platform
    from vigie.settings import project_root

    platform = read_platform(project_root())
    if platform is None:
        raise SettingsError("there is no local platform in this project yet; run: vigie up")
    return platform
