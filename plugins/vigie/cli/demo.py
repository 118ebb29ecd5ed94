"""``vigie demo``: the closed loop, asserted step by step."""

from __future__ import annotations

from typing import Annotated

import typer

from vigie.cli.support import console


def register(app: typer.Typer) -> None:
    """Add the command to the top level of ``vigie``."""
    app.command()(demo)


def demo(
    model: Annotated[str, typer.Option(help="The model to walk through the loop.")] = (
        "breast_cancer"
    ),
    rows: Annotated[int, typer.Option(min=100, help="How many predictions to send.")] = 240,
) -> None:
    """Bring the platform up and watch the whole loop run through Airflow; exit 0 if all held."""
    from vigie.demo.run_demo import run_demo
    from vigie.local.bring_up import bring_up
    from vigie.local.state import make_platform
    from vigie.settings import Settings, project_root

    platform, is_new = make_platform(project_root())
    console.rule("The platform")
    if is_new:
        console.print(f"Generated ports, passwords and keys: {platform.file} (mode 600)")
    bring_up(platform, tell=console.print)
    console.rule("The loop")
    checks = run_demo(
        Settings.from_env(),
        airflow_url=platform.url("airflow"),
        airflow_login=("admin", platform.secrets["airflow_admin_password"]),
        serving_url=platform.url("serving"),
        model=model,
        rows=rows,
        console=console,
    )
    checks.require()
    console.print(f"[bold green]All {len(list(checks))} assertions held.[/]")
