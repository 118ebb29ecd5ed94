"""``vigie models``: list, show and check the model files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from vigie.cli.support import console

if TYPE_CHECKING:
    from vigie.models.catalog import ModelState
    from vigie.models.model_file import Feature, ModelFile, Retrain

app = typer.Typer(no_args_is_help=True)
_COLOURS = {"ready": "green", "waiting for data": "yellow", "invalid": "red"}


@app.command("list")
def list_models() -> None:
    """List every model file with its state and its champion."""
    from vigie.models.catalog import model_states
    from vigie.settings import Settings

    paths = Settings.from_env({}).paths
    states = model_states(paths.models, paths.data)
    champions = _champions([state.name for state in states])
    table = Table("model", "state", "champion", "target", "features", "detail")
    for state in states:
        table.add_row(*_row(state, champions.get(state.name, "")))
    console.print(table)
    if not states:
        console.print(f"There are no model files in {paths.models}; see docs/models.md.")


@app.command()
def show(name: Annotated[str, typer.Argument(help="Name of the model.")]) -> None:
    """Show the features of a model and its rules for training, retraining and promotion."""
    from vigie.models.catalog import get_model
    from vigie.models.reference import is_ready, where_to_put
    from vigie.settings import Settings

    paths = Settings.from_env({}).paths
    model = get_model(paths.models, name)
    ready = is_ready(model, paths.data)
    state = "ready" if ready else f"waiting for data: {where_to_put(model, paths.data)}"
    champion = _champions([name]).get(name, "none")
    console.print(_details(model, {"state": state, "champion": champion}))
    console.print(_features(model))


@app.command()
def check(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Model files. [default: all files in models/]")
    ] = None,
) -> None:
    """Validate model files and any reference tables that exist; exit 2 if a file is invalid."""
    from vigie.models.catalog import check_model
    from vigie.models.loading import ModelFileError
    from vigie.settings import Settings

    paths = Settings.from_env({}).paths
    problems: list[str] = []
    for path in files or sorted(paths.models.glob("*.toml")):
        found = check_model(path, paths.data)
        console.print(f"{path.name}: " + ("[red]invalid[/]" if found else "[green]valid[/]"))
        problems.extend(found)
    if problems:
        raise ModelFileError(problems)


def _row(state: ModelState, champion: str) -> tuple[str, ...]:
    colour = _COLOURS[state.state]
    target = "" if state.model is None else state.model.target
    n_features = "" if state.model is None else str(len(state.model.features))
    shown = f"[{colour}]{state.state}[/]"
    return state.name, shown, champion, target, n_features, escape(state.detail)


def _champions(names: list[str]) -> Mapping[str, str]:
    """Return the champion per model, read from ``champion.json`` if the database is unavailable."""
    from vigie.errors import VigieError
    from vigie.settings import Settings
    from vigie.wiring import open_services

    champions: dict[str, str] = {}
    with open_services(Settings.from_env({})) as services:
        for name in names:
            try:
                deployment, note = services.deployments.champion(name), ""
            except VigieError:
                try:
                    deployment, note = services.bundles.read_champion(name), " (copy)"
                except VigieError:
                    deployment, note = None, ""
            if deployment is not None:
                champions[name] = f"v{deployment.version}{note}"
    return champions


def _details(model: ModelFile, extra: Mapping[str, str]) -> Table:
    table = Table(show_header=False, title=escape(model.title))
    training, retrain, gate = model.training, model.retrain, model.gate
    guards = ", ".join(f"{k} may lose {v:g}" for k, v in gate.guards.items()) or "no guards"
    rows = {
        **extra,
        "file": str(model.path),
        "target": f"{model.target}: {model.positive_label} or {model.negative_label}",
        "reference": f"{model.reference} ({model.reference_share:.0%} of its rows)",
        "derived features": model.derive or "none",
        "training": f"{', '.join(training.candidates)}; selected by {training.metric}; "
        f"{training.holdout_share:.0%} hold-out",
        "retraining triggers": f"{retrain.min_rows} new rows, {retrain.drift_share:.0%} drifted "
        f"features, {_floor(retrain)}",
        "gate": f"gain of at least {gate.min_gain:g}; loss of at most {gate.tolerance:g} with "
        f"{gate.confidence:.0%} confidence; {guards}",
        "cost": f"miss {model.cost.miss:g}, false alarm {model.cost.false_alarm:g}",
    }
    for key, value in rows.items():
        table.add_row(key, escape(value))
    return table


def _floor(retrain: Retrain) -> str:
    if retrain.performance_floor is None:
        return "no performance floor"
    return f"{retrain.performance_metric} below {retrain.performance_floor:g}"


def _features(model: ModelFile) -> Table:
    from vigie.models.request import describe

    table = Table("feature", "accepted values", "required", "column of the table")
    for feature in (*model.features, *model.accepted):
        table.add_row(feature.name, describe(feature), _need(feature, model), feature.column)
    return table


def _need(feature: Feature, model: ModelFile) -> str:
    if feature in model.accepted:
        return "logged only"
    return "yes" if feature.required else "no"
