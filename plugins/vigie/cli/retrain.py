"""``vigie retrain``, ``promote``, ``rollback`` and ``why``: versions of a model."""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.markup import escape

from vigie.cli.support import console, services
from vigie.errors import DataError

Model = Annotated[str, typer.Option("--model", "-m", help="Name of the model file.")]
Reason = Annotated[str, typer.Option("--reason", help="Reason to record with the decision.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the top level of ``vigie``."""
    for command in (retrain, promote, rollback, why):
        app.command()(command)


def retrain(
    model: Model,
    force: Annotated[bool, typer.Option("--force", help="Train even if no trigger fires.")] = False,
    min_rows: Annotated[
        int | None,
        typer.Option(min=1, help="Number of unused labelled rows that triggers a training."),
    ] = None,
    drift_share: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Train if the share of drifted columns exceeds this value."
        ),
    ] = None,
    performance_floor: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Train if the performance metric is below this value."),
    ] = None,
    run_id: Annotated[
        str | None, typer.Option(help="Continue the interrupted retraining that has this run id.")
    ] = None,
) -> None:
    """Train candidates if a trigger fires; promote the best candidate if the gate accepts it."""
    from vigie.models.catalog import get_model
    from vigie.retraining.retrain_model import retrain_model
    from vigie.wiring import overridden_thresholds

    given = {
        "min_rows": min_rows,
        "drift_share": drift_share,
        "performance_floor": performance_floor,
    }
    with services() as opened:
        run = run_id or f"cli-{opened.now():%Y%m%dT%H%M%S%f}"
        with console.status(f"Retraining {model} (run {run}) …"):
            result = retrain_model(
                opened,
                model=get_model(opened.paths.models, model),
                run_id=run,
                force=force,
                thresholds=overridden_thresholds(opened.settings, "command line", given),
                actor=_user(),
            )
    if result.promoted:
        console.print(f"[green]{model} v{result.version}[/] ({result.candidate}) is champion.")
    else:
        console.print(f"[yellow]The champion is unchanged[/]: the gate refused {result.candidate}.")
    _print_items(result.reasons)


def promote(
    model: Model,
    to: Annotated[int, typer.Option("--to", help="Published version to promote.", min=1)],
    force: Annotated[
        bool, typer.Option("--force", help="Promote even if the gate refuses the version.")
    ] = False,
    reason: Reason = "",
) -> None:
    """Promote a published version; exit 4 if the gate refuses it."""
    from vigie.models.catalog import get_model
    from vigie.retraining.promotion import promote_version

    with services() as opened:
        result = promote_version(
            opened,
            model=get_model(opened.paths.models, model),
            version=to,
            force=force,
            actor=_user(),
            reason=reason,
        )
    console.print(f"[green]{model} v{result.version}[/] is champion.")
    _print_items(result.notes)


def rollback(
    model: Model,
    to: Annotated[
        int | None,
        typer.Option("--to", min=1, help="Version to deploy. [default: the previous champion]"),
    ] = None,
    reason: Reason = "",
) -> None:
    """Deploy an earlier version again. MLflow is not required."""
    from vigie.registry.rollback_model import rollback_model

    with services() as opened:
        result = rollback_model(opened, model=model, actor=_user(), reason=reason, to=to)
    console.print(
        f"[green]{model} v{result.version}[/] is champion again (was v{result.previous_version})."
    )
    _print_items(result.notes)


def why(
    model: Model,
    at: Annotated[
        str | None,
        typer.Option(help="State at this time (ISO 8601, UTC); a date means the end of the day."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of decisions to print.")] = 12,
) -> None:
    """Print the champion, the deployments, and the newest decisions with their reasons."""
    from vigie.cli.why_text import print_explanation
    from vigie.registry.explain_decisions import explain_decisions

    with services() as opened:
        print_explanation(explain_decisions(opened, model=model, at=_instant(at), limit=limit))


def _print_items(items: Iterable[str]) -> None:
    for item in items:
        console.print(f"  · {escape(item)}", highlight=False)


def _instant(text: str | None) -> datetime | None:
    """Parse a time, in UTC if it has no offset; a date means the end of that day."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise DataError(
            f"--at {text!r} is not a date or time such as 2026-11-21 or 2026-11-21T14:00"
        ) from exc
    if len(text) == len("2026-11-21"):
        moment += timedelta(days=1, microseconds=-1)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown user"
