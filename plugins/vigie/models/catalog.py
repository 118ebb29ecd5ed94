"""Load, list and check the model files of a folder."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from vigie.errors import DataError, PermanentError
from vigie.models.loading import ModelFileError, load_model_file
from vigie.models.model_file import ModelFile
from vigie.models.names import model_names


class State(StrEnum):
    READY = "ready"
    WAITING = "waiting for data"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model file and its state; ``model`` is None if the file is invalid."""

    name: str
    state: State
    detail: str  # reference table, instruction to provide it, or mistakes
    model: ModelFile | None = None


def get_model(folder: Path, name: str) -> ModelFile:
    """Load one model by name.

    Raises
    ------
    PermanentError
        The folder has no model of this name, or the model file is invalid.
    """
    names = model_names(folder)
    if name not in names:
        known = ", ".join(names) or "none"
        raise PermanentError(f"no model is named {name!r} in {folder}; available: {known}")
    return load_model_file(Path(folder) / f"{name}.toml")


def model_states(folder: Path, data_dir: Path) -> list[ModelState]:
    """Return the state of each model file; an invalid file does not raise an error."""
    return [_state(path, data_dir) for path in sorted(Path(folder).glob("*.toml"))]


def _state(path: Path, data_dir: Path) -> ModelState:
    from vigie.models.reference import is_ready, where_to_put

    try:
        model = load_model_file(path)
    except ModelFileError as exc:
        return ModelState(path.stem, State.INVALID, str(exc))
    if is_ready(model, data_dir):
        return ModelState(model.name, State.READY, model.reference, model)
    return ModelState(model.name, State.WAITING, where_to_put(model, data_dir), model)


def check_model(path: Path, data_dir: Path) -> tuple[str, ...]:
    """Return the mistakes in a model file and in its reference table, if the table exists."""
    from vigie.models.reference import is_ready, load_reference

    try:
        model = load_model_file(path)
        if is_ready(model, data_dir):
            load_reference(model, data_dir)
    except ModelFileError as exc:
        return exc.problems
    except DataError as exc:
        return (str(exc),)
    return ()
