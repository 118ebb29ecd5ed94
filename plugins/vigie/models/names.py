"""The names of the models: all that a DAG file may know while it is parsed."""

from __future__ import annotations

import re
from pathlib import Path

#: Safe as a folder, a task id, a registry name and a metric label.
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def model_names(folder: Path) -> list[str]:
    """Return the names of the model files in a folder, sorted, without opening any.

    A model's name is its file's name (the validation insists on it), so a file with a mistake keeps
    its tasks, and these fail with the mistake as their message, instead of vanishing from the DAG.
    """
    return sorted(p.stem for p in Path(folder).glob("*.toml") if NAME.fullmatch(p.stem))
