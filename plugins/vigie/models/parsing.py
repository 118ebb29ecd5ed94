"""From a TOML file to a :class:`ModelFile`, or to the list of its mistakes."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from vigie.models.feature_parsing import parse_features
from vigie.models.features import derivations
from vigie.models.model_file import (
    CANDIDATES,
    METRICS,
    Cost,
    Gate,
    ModelFile,
    Retrain,
    Training,
)
from vigie.models.names import NAME
from vigie.models.tables import written
from vigie.models.toml_table import ModelFileError, Table, show

_TABLES = (".csv", ".csv.gz", ".parquet")
DATASETS = ("sklearn:breast_cancer",)


def parse_model(path: Path) -> ModelFile:
    """Read and validate a model file; see :func:`vigie.models.model_file.load_model_file`."""
    return model_of(_read(path), path)


def model_of(values: dict[str, Any], path: Path) -> ModelFile:
    """Validate what a file holds; ``path`` gives the expected name and stands in the messages."""
    table = Table(values, _shown(path))
    model = _model(table, path)
    table.finish()
    if table.problems:
        raise ModelFileError(table.problems)
    return model


def _shown(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ModelFileError([f"{_shown(path)}: not valid TOML: {exc}"]) from exc
    except OSError as exc:
        raise ModelFileError([f"{_shown(path)}: cannot be read: {exc.strerror}"]) from exc


def _model(table: Table, path: Path) -> ModelFile:
    positive = table.text("positive_label")
    negative = table.text("negative_label")
    training = _training(table.table("training"))
    model = ModelFile(
        name=_name(table, path),
        title=table.text("title", path.stem.replace("_", " ")),
        target=table.text("target"),
        positive_label=positive,
        negative_label=negative,
        positive_value=_value(table, "positive_value", positive),
        negative_value=_value(table, "negative_value", negative),
        reference=_reference(table),
        reference_share=table.number("reference_share", 1.0, above=0.0, high=1.0),
        derive=table.optional_text("derive", derivations()),
        features=parse_features(table.table("features")),
        accepted=parse_features(table.table("accepted")),
        training=training,
        retrain=_retrain(table.table("retrain"), training.metric),
        gate=_gate(table.table("gate")),
        cost=_cost(table.table("cost")),
        path=path,
    )
    _check_whole(table, model)
    return model


def _name(table: Table, path: Path) -> str:
    name = table.text("name")
    if name and not NAME.fullmatch(name):
        table.refuse("name", f"expected small letters, digits and _, found {show(name)}")
    elif name and name != path.stem:
        table.refuse("name", f"expected the file's own name {show(path.stem)}, found {show(name)}")
    return name


def _value(table: Table, key: str, default: str) -> str:
    """Return what the reference table holds for a label, as text; whole numbers are usual."""
    value = table.values.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool):
        table.optional_number(key)
        return written(value)
    return table.optional_text(key) or default


def _reference(table: Table) -> str:
    reference = table.text("reference")
    is_dataset = reference in DATASETS
    if reference and not is_dataset and not reference.lower().endswith(_TABLES):
        wanted = f"a path that ends in {', '.join(_TABLES)}, or {', '.join(DATASETS)}"
        table.refuse("reference", f"expected {wanted}, found {show(reference)}")
    return reference


def _training(table: Table) -> Training:
    training = Training(
        candidates=table.texts("candidates", CANDIDATES, CANDIDATES),
        metric=table.text("metric", "average_precision", METRICS),
        holdout_share=table.number("holdout_share", 0.25, above=0.0, below=1.0),
        seed=table.whole("seed", 42),
    )
    table.finish()
    return training


def _retrain(table: Table, metric: str) -> Retrain:
    retrain = Retrain(
        min_rows=table.whole("min_rows", 1000, low=1),
        min_labelled=table.whole("min_labelled", 50, low=1),
        drift_share=table.number("drift_share", 0.3, above=0.0, high=1.0),
        performance_metric=table.text("performance_metric", metric, METRICS),
        performance_floor=table.optional_number("performance_floor", low=0.0, high=1.0),
        hysteresis=table.whole("hysteresis", 1, low=1),
        cooldown_hours=table.number("cooldown_hours", 0.0, low=0.0),
    )
    table.finish()
    return retrain


def _gate(table: Table) -> Gate:
    guards = table.table("guards")
    losses = {metric: guards.number(metric, 0.0, low=0.0, high=1.0) for metric in METRICS}
    gate = Gate(
        min_gain=table.number("min_gain", 0.0, low=0.0, high=1.0),
        confidence=table.number("confidence", 0.9, low=0.5, below=1.0),
        tolerance=table.number("tolerance", 0.01, low=0.0, high=1.0),
        guards={metric: loss for metric, loss in losses.items() if metric in guards},
    )
    guards.finish()
    table.finish()
    return gate


def _cost(table: Table) -> Cost:
    cost = Cost(
        miss=table.number("miss", 1.0, above=0.0),
        false_alarm=table.number("false_alarm", 1.0, above=0.0),
    )
    table.finish()
    return cost


def _check_whole(table: Table, model: ModelFile) -> None:
    if not model.features:
        table.refuse("features", "expected at least one table [features.NAME]")
    if model.positive_label and model.positive_label == model.negative_label:
        table.refuse("negative_label", "expected another text than positive_label")
    names = Counter(f.name for f in (*model.features, *model.accepted)) + Counter([model.target])
    for name in (name for name, n in names.items() if n > 1):
        table.refuse("target" if name == model.target else "accepted", f"{name} is there twice")
