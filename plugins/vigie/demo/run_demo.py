"""Run the steps of the demo on a running platform and print a summary."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx
from rich.table import Table

from vigie.addresses import without_login
from vigie.demo.airflow_api import AirflowApi
from vigie.demo.serving_client import client_of
from vigie.demo.stage import Checks, Stage
from vigie.demo.steps import STEPS
from vigie.errors import VigieError
from vigie.models.catalog import get_model
from vigie.wiring import open_services

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.status import Status

    from vigie.demo.stage import Target
    from vigie.settings import Settings


def run_demo(
    settings: Settings, target: Target, *, model: str, rows: int, console: Console
) -> Checks:
    """Run the demo on a running platform and return its assertions.

    A step that cannot finish ends the demo, because the later steps depend on it.
    """
    checks = Checks()
    with ExitStack() as stack:
        services = stack.enter_context(open_services(settings))
        stage = Stage(
            services=services,
            settings=settings,
            airflow=stack.enter_context(
                AirflowApi(target.airflow_url, target.airflow_user, target.airflow_password)
            ),
            serving=stack.enter_context(
                httpx.Client(base_url=target.serving_url, timeout=30, trust_env=False)
            ),
            client=stack.enter_context(client_of(settings, target.serving_url)),
            logs=target.logs,
            model=get_model(settings.paths.models, model),
            rows=rows,
            checks=checks,
            report_progress=lambda _: None,
        )
        run_steps(stage, console)
    console.print(_summary(checks))
    console.print(_notes(stage, target, settings))
    return checks


def run_steps(stage: Stage, console: Console) -> None:
    """Run the steps in order; print the duration and the failed assertions of each step."""
    for number, (title, step) in enumerate(STEPS, 1):
        stage.checks.step = title
        heading = f"[{number}/{len(STEPS)}] {title}"
        begin, so_far = time.monotonic(), len(list(stage.checks))
        with console.status(f"{heading}: {step.__doc__}") as status:
            stage.report_progress = _reporter(status, heading)
            try:
                step(stage)
            except VigieError as exc:
                stage.checks.holds(f"{step.__name__} finished", False, exc)
        new = list(stage.checks)[so_far:]
        mark = "[green]✓[/]" if all(check.ok for check in new) else "[bold red]✗[/]"
        console.print(f"{mark} {heading} ({time.monotonic() - begin:.0f} s): {step.__doc__}")
        for check in (check for check in new if not check.ok):
            console.print(f"    [red]{check.claim}: expected {check.expected}, found {check.found}")
            if check.claim.endswith(" finished"):
                return


def _reporter(status: Status, heading: str) -> Callable[[str], None]:
    return lambda text: status.update(f"{heading}: {text}")


def _summary(checks: Checks) -> Table:
    table = Table("Step", "Assertion", "Expected", "Found", "", title="The loop")
    last = ""
    for check in checks:
        mark = "[green]✓[/]" if check.ok else "[bold red]✗[/]"
        step = "" if check.step == last else check.step
        values = [v if len(v) <= 60 else f"{v[:57]}…" for v in (check.expected, check.found)]
        table.add_row(step, check.claim, *values, mark)
        last = check.step
    return table


def _notes(stage: Stage, target: Target, settings: Settings) -> Table:
    table = Table(show_header=False, box=None)
    for name, note in stage.notes.items():
        table.add_row(name, note)
    table.add_row("", "")
    login = f"login: {target.airflow_user}, password: {target.password_from}"
    table.add_row("Airflow", f"{target.airflow_url}  ({login})")
    table.add_row("MLflow", without_login(settings.mlflow.tracking_uri or "off"))
    table.add_row("Serving page", f"{target.serving_url}/ui")
    table.add_row("Reports", str(settings.paths.reports))
    table.add_row("Decisions", f"vigie why --model {stage.model.name}")
    table.add_row("Stop", target.stop_with)
    return table
