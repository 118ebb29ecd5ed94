"""``vigie drift``: write the reports of a served model, or compare two tables."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vigie.cli.support import console, services

if TYPE_CHECKING:
    import pandas as pd

    from vigie.models.model_file import ModelFile
    from vigie.roles import Services

app = typer.Typer(no_args_is_help=True)

MODEL = typer.Option("--model", "-m", help="Name of a model file.")
ShareOption = Annotated[
    float | None,
    typer.Option(
        min=0, max=1, help="The data has drifted if more than this share of columns has drifted."
    ),
]


@app.command()
def report(
    model: Annotated[str, MODEL],
    hours: Annotated[float, typer.Option(min=0.01, help="Hours to look back.")] = 6.0,
    drift_share: ShareOption = None,
) -> None:
    """Write the reports of a served model and record the verdicts on drift and performance."""
    from vigie.cli.drift_text import decision_text
    from vigie.models.catalog import get_model
    from vigie.reports.decide_drift import report_on_model
    from vigie.reports.window import Period, ReportRun
    from vigie.wiring import overridden_thresholds

    with services() as opened:
        now = opened.now()
        given = {"drift_share": drift_share}
        run = ReportRun(
            model=get_model(opened.paths.models, model),
            period=Period(now - timedelta(hours=hours), now),
            run_id=f"manual-{now:%Y%m%dT%H%M%S}",
            thresholds=overridden_thresholds(opened.settings, "command line", given),
            actor="command line",
        )
        result = report_on_model(opened, run=run)
    console.print(decision_text(result), highlight=False, markup=False, soft_wrap=True)


@app.command()
def analyze(
    reference: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet file. Default: the model's reference table."),
    ] = None,
    current: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet file. Default: the model's exported dataset."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="HTML file. Default: data_drift_report.html in the reports folder."),
    ] = None,
    model: Annotated[str | None, MODEL] = None,
    target: Annotated[str, typer.Option(help="Target column, used without --model.")] = "target",
    drift_share: ShareOption = None,
) -> None:
    """Compare two tables, print a summary and write a report. No database is needed."""
    from vigie.cli.drift_text import analysis_text
    from vigie.models.catalog import get_model
    from vigie.reports.analyze_drift import analyze_drift
    from vigie.settings import Settings
    from vigie.wiring import open_services

    with open_services(Settings.from_env()) as opened:
        name = model or _exported_model(opened, reference, current)
        which = get_model(opened.paths.models, name) if name else None
        before, now = _tables(opened, which, reference, current)
        result = analyze_drift(
            opened,
            reference=before,
            current=now,
            output=output or opened.paths.reports / "data_drift_report.html",
            model=which,
            target=target,
            drift_share=drift_share,
        )
    console.print(analysis_text(result), highlight=False, markup=False, soft_wrap=True)


def _exported_model(opened: Services, reference: Path | None, current: Path | None) -> str | None:
    """Return the name of the only model with an exported dataset; None if both tables are given."""
    from vigie.errors import DataError, NotEnoughDataError

    if reference and current:
        return None
    exports = sorted((opened.paths.data / "exports").glob("*/inference_dataset.parquet"))
    names = [path.parent.name for path in exports]
    if not names:
        raise NotEnoughDataError(
            "there is no exported dataset yet; run vigie logs once and vigie logs export, "
            "or give --reference and --current"
        )
    if len(names) > 1:
        raise DataError(f"there are several exports; choose one with --model: {', '.join(names)}")
    return names[0]


def _tables(
    opened: Services, model: ModelFile | None, reference: Path | None, current: Path | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    from vigie.errors import SettingsError
    from vigie.models.reference import load_reference, read_table

    if model is None:
        if not (reference and current):
            raise SettingsError("give --reference and --current, or --model")
        return read_table(reference), read_table(current)
    export = opened.paths.data / "exports" / model.name / "inference_dataset.parquet"
    before = read_table(reference) if reference else load_reference(model, opened.paths.data)
    return before, read_table(current or export)
