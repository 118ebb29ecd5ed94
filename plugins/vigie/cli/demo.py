"""``vigie demo``: run the closed loop and assert the result of each step."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from vigie.cli.support import console

if TYPE_CHECKING:
    from vigie.demo.stage import Target
    from vigie.settings import Settings


class PlatformKind(StrEnum):
    """Platforms on which the demo can run."""

    LOCAL = "local"
    COMPOSE = "compose"


def register(app: typer.Typer) -> None:
    """Add the command to the top level of ``vigie``."""
    app.command()(demo)


def demo(
    model: Annotated[str, typer.Option(help="Model to serve and retrain.")] = "breast_cancer",
    rows: Annotated[int, typer.Option(min=100, help="Number of predictions to request.")] = 240,
    platform: Annotated[
        PlatformKind,
        typer.Option(
            help="local: start the local platform; compose: use the running Compose stack."
        ),
    ] = PlatformKind.LOCAL,
) -> None:
    """Run the closed loop in Airflow and assert each result; exit 2 if an assertion fails."""
    from vigie.demo.run_demo import run_demo

    console.rule("The platform")
    settings, target = _compose() if platform is PlatformKind.COMPOSE else _local()
    console.rule("The loop")
    checks = run_demo(settings, target, model=model, rows=rows, console=console)
    checks.require()
    console.print(f"[bold green]All {len(list(checks))} assertions held.[/]")


def _local() -> tuple[Settings, Target]:
    """Start the local platform; return its settings and addresses."""
    from vigie.demo.stage import Target
    from vigie.local.lifecycle import bring_up
    from vigie.local.state import make_platform
    from vigie.settings import Settings, project_root

    platform, is_new = make_platform(project_root())
    if is_new:
        console.print(f"Generated ports, passwords and keys: {platform.file} (mode 600)")
    bring_up(platform, echo=console.print)
    target = Target(
        airflow_url=platform.url("airflow"),
        airflow_user="admin",
        airflow_password=platform.secrets["airflow_admin_password"],
        serving_url=platform.url("serving"),
        logs=platform.folder / "logs",
        password_from="vigie status --password",
        stop_with="vigie down",
    )
    return Settings.from_env(), target


def _compose() -> tuple[Settings, Target]:
    """Return the settings and addresses of the running Compose stack."""
    from vigie.demo import compose
    from vigie.settings import project_root

    variables = compose.stack_variables(project_root())
    settings = compose.stack_settings(variables)
    compose.require_ports(variables)
    target = compose.stack_target(project_root(), variables)
    console.print(f"Using the Compose stack with Airflow at {target.airflow_url}", highlight=False)
    return settings, target
