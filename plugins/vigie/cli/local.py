"""``vigie init | up | status | down | check | backup | airflow``: the local platform."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vigie.cli.support import console, errors

if TYPE_CHECKING:
    from vigie.local.overview import Row
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
        bool, typer.Option("--new-ports", help="Take another free block of ports.")
    ] = False,
) -> None:
    """Choose ports, generate passwords and keys: writes data/local/platform.toml.

    A database that VIGIE_DATABASE_URL names gets the tables of this version.
    """
    from vigie.local.database import migrate_records, named_database
    from vigie.settings import Settings

    platform = _init(new_ports=new_ports)
    if (named := named_database(Settings.from_env())) is not None:
        migrate_records(named)
        console.print("The database of VIGIE_DATABASE_URL has the tables of this version.")
    ports = ", ".join(f"{name} {port}" for name, port in platform.ports.items())
    console.print(f"Ports: {ports}. Start with: vigie up", highlight=False)


def _init(*, new_ports: bool = False) -> Platform:
    """Return the platform; tell the generated password when it is new."""
    from vigie.local.state import make_platform
    from vigie.settings import project_root

    platform, is_new = make_platform(project_root(), new_ports=new_ports)
    if is_new:
        console.print(
            f"Wrote {platform.file} (mode 600; it keeps the passwords and keys).", soft_wrap=True
        )
        secret = platform.secrets["airflow_admin_password"]
        console.print(f"Airflow's login, shown only now: [bold]admin[/] / [bold]{secret}[/]")
    return platform


def up() -> None:
    """Start everything and wait until it answers; safe to repeat."""
    from vigie.local.bring_up import bring_up

    platform = _init()
    with console.status("Starting the platform …"):
        bring_up(platform, tell=lambda line: console.print(line, highlight=False))
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
    """Stop everything; no process is left behind."""
    from vigie.local.state import read_platform
    from vigie.local.take_down import take_down
    from vigie.settings import project_root

    platform = read_platform(project_root())
    if platform is None:
        console.print("There is no local platform here; nothing to stop.")
        return
    with console.status("Stopping the platform …"):
        left = take_down(platform, tell=errors.print)
    console.print("The platform is down." + (f" ({left} processes were ended.)" if left else ""))


def status(
    password: Annotated[
        bool, typer.Option("--password", help="Show the password of Airflow's user admin.")
    ] = False,
) -> None:
    """Show each program (state, process, uptime, port, memory), and where the logs are."""
    from vigie.local.environments import differences
    from vigie.local.overview import overview

    platform = _existing()
    if password:
        console.print(platform.secrets["airflow_admin_password"], highlight=False, markup=False)
        return
    _print_rows(overview(platform))
    console.print(f"Logs: {platform.folder / 'logs'}/PROGRAM.log", soft_wrap=True, highlight=False)
    changed = differences(platform)
    if changed:
        errors.print(
            f"[yellow]This shell differs from the running platform in {', '.join(changed)}; "
            "apply with: vigie up[/]"
        )


def _print_rows(rows: list[Row]) -> None:
    from rich.table import Table

    table = Table("program", "state", "pid", "uptime", "port", "memory", box=None, pad_edge=False)
    colours = {"RUNNING": "green", "STARTING": "yellow", "STOPPED": "dim"}
    for row in rows:
        colour = colours.get(row.state, "red")
        state = f"[{colour}]{row.state.lower()}[/]"
        table.add_row(row.name, state, row.pid, row.uptime, row.port, row.memory)
    console.print(table)


def check() -> None:
    """Tell for each role what is in use, its version, where the setting came from, what to do."""
    from vigie.local.check import check as ask
    from vigie.settings import Settings

    found = ask(Settings.from_env())
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
    folder: Annotated[Path, typer.Argument(help="Where NAME.dump of each database goes.")],
) -> None:
    """Copy the local platform's databases while they run (pg_dump)."""
    from vigie.local.backup import back_up

    for dump in back_up(_existing(), folder):
        console.print(f"Wrote {dump}", soft_wrap=True, highlight=False)


def airflow(context: typer.Context) -> None:
    """Run Airflow's own command line in the platform's environment."""
    from vigie.local.airflow_cli import run_airflow

    run_airflow(_existing(), context.args)


def _existing() -> Platform:
    from vigie.errors import SettingsError
    from vigie.local.state import read_platform
    from vigie.settings import project_root

    platform = read_platform(project_root())
    if platform is None:
        raise SettingsError("there is no local platform here yet; run: vigie up")
    return platform
