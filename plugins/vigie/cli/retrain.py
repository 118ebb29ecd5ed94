"""``vigie retrain | promote | rollback | why``: a model's versions."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from vigie.cli.support import console, services
from vigie.errors import DataError

if TYPE_CHECKING:
    from vigie.models.thresholds import Threshold
    from vigie.settings import Settings

Model = Annotated[str, typer.Option("--model", "-m", help="The model file's name.")]
Reason = Annotated[str, typer.Option("--reason", help="What to write into the ledger.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the top level of ``vigie``."""
    for command in (retrain, promote, rollback, why):
        app.command()(command)


def retrain(
    model: Model,
    force: Annotated[bool, typer.Option("--force", help="Whatever the triggers say.")] = False,
    min_rows: Annotated[
        int | None, typer.Option(min=1, help="New labelled rows that ask for a training.")
    ] = None,
    drift_share: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of drifted columns that asks for one.")
    ] = None,
    performance_floor: Annotated[
        float | None, typer.Option(min=0, max=1, help="Performance below which one is asked for.")
    ] = None,
    run_id: Annotated[
        str | None, typer.Option(help="Go on with a run that stopped, by its id.")
    ] = None,
) -> None:
    """Check the triggers, train the candidates, and promote the best if the gate lets it pass."""
    from vigie.models.catalog import get_model
    from vigie.retraining.retrain_model import retrain_model

    given = {
        "min_rows": min_rows,
        "drift_share": drift_share,
        "performance_floor": performance_floor,
    }
    with services() as opened:
        run = run_id or f"cli-{opened.now():%Y%m%dT%H%M%S%f}"
        with console.status(f"Retraining {model} (run {run}) …"):
            report = retrain_model(
                opened,
                model=get_model(opened.paths.models, model),
                run_id=run,
                force=force,
                thresholds=_thresholds(opened.settings, given),
                actor=_who(),
            )
    if report.promoted:
        console.print(f"[green]{model} v{report.version}[/] ({report.candidate}) is champion.")
    else:
        console.print(f"[yellow]The champion stays[/]: {report.candidate} did not pass the gate.")
    for reason in report.reasons:
        console.print(f"  · {escape(reason)}", highlight=False)


def promote(
    model: Model,
    to: Annotated[int, typer.Option("--to", help="The published version.", min=1)],
    force: Annotated[bool, typer.Option("--force", help="Even if the gate refuses.")] = False,
    reason: Reason = "",
) -> None:
    """Make a published version champion by hand; exit code 4 if the gate refuses it."""
    from vigie.models.catalog import get_model
    from vigie.retraining.promotion import promote_version

    with services() as opened:
        report = promote_version(
            opened,
            model=get_model(opened.paths.models, model),
            version=to,
            force=force,
            actor=_who(),
            reason=reason,
        )
    console.print(f"[green]{model} v{report.version}[/] is champion.")
    for note in report.notes:
        console.print(f"  · {escape(note)}", highlight=False)


def rollback(
    model: Model,
    to: Annotated[
        int | None, typer.Option("--to", min=1, help="The version; else the one before.")
    ] = None,
    reason: Reason = "",
) -> None:
    """Go back to an earlier version at once; works while MLflow is down."""
    from vigie.registry.rollback_model import rollback_model

    with services() as opened:
        report = rollback_model(opened, model=model, actor=_who(), reason=reason, to=to)
    console.print(
        f"[green]{model} v{report.version}[/] is champion again (was v{report.previous_version})."
    )
    for note in report.notes:
        console.print(f"  · {escape(note)}", highlight=False)


def why(
    model: Model,
    at: Annotated[
        str | None, typer.Option(help="A date (its end) or a time, ISO 8601, UTC.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Decisions to show.")] = 12,
) -> None:
    """Tell which version is (or was) champion, how it came to be, and what was decided and why."""
    from vigie.cli.why_text import print_explanation
    from vigie.registry.explain_decisions import explain_decisions

    with services() as opened:
        print_explanation(explain_decisions(opened, model=model, at=_instant(at), limit=limit))


def _instant(text: str | None) -> datetime | None:
    """Read a date as its last instant, a time as itself; without a zone it is UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise DataError(
            f"--at {text!r} is not a date such as 2026-11-21 or 2026-11-21T14:00"
        ) from exc
    if len(text) == len("2026-11-21"):
        moment += timedelta(days=1, microseconds=-1)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _thresholds(settings: Settings, given: dict[str, float | None]) -> dict[str, Threshold]:
    from vigie.models.thresholds import thresholds_from

    return thresholds_from(
        ("command line", given),
        (settings.source("RETRAIN_THRESHOLD"), {"min_rows": settings.loop.retrain_threshold}),
        (settings.source("DRIFT_THRESHOLD"), {"drift_share": settings.loop.drift_threshold}),
    )


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown user"
