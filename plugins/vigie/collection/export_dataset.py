"""Export the predictions of models as Parquet tables of features and predicted labels."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vigie import catalogue
from vigie.collection.index_specs import MESSAGE
from vigie.encoding import atomic_path, digest
from vigie.errors import DataError, NotEnoughDataError
from vigie.models.catalog import model_states
from vigie.models.features import derivation
from vigie.models.request import validate_features
from vigie.models.tables import frame_of
from vigie.records import JobResult, Sample

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from vigie.models.model_file import ModelFile
    from vigie.roles import Services

log = logging.getLogger(__name__)

TARGET = "target"
#: The target is a prediction, not a label; never train on it.
LABEL_SOURCE = "model_prediction"
_ROWS_AT_ONCE = 2_000
_ARROW_TYPES = {"float": "float64", "integer": "int64", "boolean": "bool", "category": "string"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult(JobResult):
    """The result of exporting one model's predictions; ``documents`` is ``rows + unusable``."""

    model: str
    path: Path
    documents: int
    rows: int
    unusable: int  # documents of the model that do not match its model file
    columns: int
    size_bytes: int
    label_source: str = LABEL_SOURCE


def export_dataset(
    services: Services, *, model: ModelFile, output: Path | None = None, only_if_new: bool = False
) -> ExportResult:
    """Write the predictions of a model to a Parquet file.

    The columns are the base features, the derived features and ``target`` (the predicted label as
    0 or 1). The metadata of the file contains ``label_source = model_prediction``. The file is
    replaced atomically; if the export fails, the previous file remains.

    Raises
    ------
    NotEnoughDataError
        The index contains no usable prediction of the model. With ``only_if_new``, also raised if
        neither the number of indexed documents nor the model file changed since the last export.
    """
    path = output or services.paths.data / "exports" / model.name / "inference_dataset.parquet"
    metadata = _metadata(services, model)
    if only_if_new and _read_metadata(path).items() >= metadata.items():
        raise NotEnoughDataError(f"{model.name}: no new documents since the last export")
    usable = _Usable(model, services)
    with atomic_path(path) as temporary:
        rows, columns = _write(temporary, model, usable, metadata)
        if not rows:
            raise NotEnoughDataError(
                f"{model.name}: no usable prediction in {MESSAGE.name} ({usable.unusable} do not "
                "match the model file); call the model, then run: vigie logs once"
            )
    return ExportResult(
        model=model.name,
        path=path,
        documents=rows + usable.unusable,
        rows=rows,
        unusable=usable.unusable,
        columns=columns,
        size_bytes=path.stat().st_size,
        metrics=(
            Sample(catalogue.EXPORTED_ROWS, rows, {"model": model.name}),
            Sample(catalogue.EXPORT_UNUSABLE, usable.unusable, {"model": model.name}),
        ),
    )


def _metadata(services: Services, model: ModelFile) -> dict[str, str]:
    """Return the metadata to write; with ``only_if_new``, a file with the same values is kept."""
    return {
        "label_source": LABEL_SOURCE,
        "model": model.name,
        "index_documents": str(services.index.count(MESSAGE.name)),
        "model_file": digest(repr(model)),
    }


class _Usable:
    """The features and target of each prediction of the model that matches the model file.

    Iteration counts the predictions of the model that do not match in ``unusable``.
    """

    def __init__(self, model: ModelFile, services: Services) -> None:
        self.model, self.services = model, services
        self.unusable = 0

    def __iter__(self) -> Iterator[tuple[dict[str, Any], int]]:
        for document in self.services.index.scan(MESSAGE.name):
            if not _is_of(self.model, document.body):
                continue
            try:
                features = validate_features(self.model, document.body["input_data"])
                target = self._target(document.body["result"]["prediction"])
            except DataError:
                self.unusable += 1
            else:
                yield features, target

    def _target(self, label: str) -> int:
        if label not in self.model.labels:
            raise DataError(f"{label!r} is not a label of {self.model.name}")
        return int(label == self.model.positive_label)


def _is_of(model: ModelFile, body: Mapping[str, Any]) -> bool:
    """Return whether a document is a prediction of the model.

    A document without a model name is assigned to each model whose required features it contains.
    """
    if "model" in body:
        return bool(body["model"] == model.name)
    required = {feature.name for feature in model.features if feature.required}
    return required.issubset(body["input_data"])


def _write(
    path: Path,
    model: ModelFile,
    usable: Iterable[tuple[dict[str, Any], int]],
    metadata: Mapping[str, str],
) -> tuple[int, int]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(model).with_metadata(metadata)
    rows = iter(usable)
    written = 0
    with pq.ParquetWriter(path, schema) as writer:
        while batch := list(islice(rows, _ROWS_AT_ONCE)):
            frame = _frame(model, batch)
            arrays = [pa.array(frame[f.name], type=f.type, from_pandas=True) for f in schema]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            written += len(batch)
    return written, len(schema)


def _frame(model: ModelFile, batch: list[tuple[dict[str, Any], int]]) -> pd.DataFrame:
    frame = frame_of(model, [features for features, _ in batch])
    frame = frame.astype({f.name: "boolean" for f in model.features if f.type == "boolean"})
    if model.derive:
        frame = frame.join(derivation(model.derive).derive(frame))
    return frame.assign(**{TARGET: [target for _, target in batch]})


def _schema(model: ModelFile) -> pa.Schema:
    """Return the schema of the exported table, which is the same for every batch."""
    import pyarrow as pa

    derived = derivation(model.derive).NAMES if model.derive else ()
    return pa.schema(
        [(f.name, pa.type_for_alias(_ARROW_TYPES[f.type])) for f in model.features]
        + [(name, pa.float64()) for name in derived]
        + [(TARGET, pa.int64())]
    )


def _read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of an export, or ``{}`` if the file is missing or unreadable."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowException):
        return {}
    return {key.decode(): value.decode() for key, value in found.items() if key != b"ARROW:schema"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportsResult(JobResult):
    """The results of exporting several models."""

    exports: tuple[ExportResult, ...]


def export_datasets(services: Services) -> ExportsResult:
    """Export each model for which documents are new or the model file changed.

    Models without usable predictions and invalid model files are logged and skipped.

    Raises
    ------
    NotEnoughDataError
        No model was exported.
    """
    exports: list[ExportResult] = []
    for state in model_states(services.paths.models, services.paths.data):
        if state.model is None:
            log.warning("skipped the export of %s: %s", state.name, state.detail)
            continue
        try:
            exports.append(export_dataset(services, model=state.model, only_if_new=True))
        except NotEnoughDataError as exc:
            log.info("%s", exc)
    if not exports:
        raise NotEnoughDataError(
            "no export was written: no valid model has new predictions or a changed model file"
        )
    metrics = [sample for export in exports for sample in export.metrics]
    return ExportsResult(exports=tuple(exports), metrics=metrics)
