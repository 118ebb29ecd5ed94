"""Store fitted scikit-learn models as skops files; the only module that uses skops.

A loaded file may contain only types that skops trusts or that the caller lists.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any
from zipfile import BadZipFile

from vigie.errors import DataError

_TORCH_BACK_END = "sklearn.externals.array_api_compat.torch"
#: Errors that damaged bytes cause in skops or in the types that it creates.
DAMAGED = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    EOFError,
    OSError,
    ImportError,
    BadZipFile,
)


def dump(model: Any) -> bytes:
    """Serialize a fitted model to the bytes of a skops file."""
    data: bytes = _skops().dumps(model)
    return data


def load(data: bytes, trusted: Sequence[str]) -> Any:
    """Load a model from the bytes of a skops file.

    Raises DataError if the file is damaged, or contains a type that is neither trusted by skops nor
    listed in ``trusted``.
    """
    skops = _skops()
    try:
        return skops.loads(data, trusted=list(trusted))
    except skops.exceptions.UntrustedTypesFoundException as exc:
        raise DataError(f"refused: {exc}") from exc
    except DAMAGED as exc:
        raise DataError(f"damaged: {exc!r}") from exc


def unknown_types(data: bytes) -> list[str]:
    """Return the types in a skops file that skops does not trust by default."""
    return list(_skops().get_untrusted_types(data=data))


def _skops() -> Any:
    """Import skops without two side effects of its import.

    The import lists every estimator of scikit-learn, which loads torch if it is installed (560 MB,
    3 s). scikit-learn skips a back end that cannot be imported, so torch is hidden. The import also
    looks up 300 names of scipy in the loaded modules, in the order of ``sys.modules``, and
    Airflow's deprecated modules emit a warning for each name (7 s). The Airflow modules are
    therefore moved to the end of ``sys.modules``, which the search does not reach.
    """
    found = sys.modules.get("skops.io")
    if found is not None and hasattr(found, "loads"):
        return found
    importlib.import_module("scipy.special")
    for name in [name for name in sys.modules if name.partition(".")[0] == "airflow"]:
        sys.modules[name] = sys.modules.pop(name)
    hidden = _TORCH_BACK_END not in sys.modules
    if hidden:
        sys.modules[_TORCH_BACK_END] = None  # type: ignore[assignment]
    try:
        importlib.import_module("skops.io.exceptions")
        return importlib.import_module("skops.io")
    finally:
        if hidden:
            del sys.modules[_TORCH_BACK_END]
