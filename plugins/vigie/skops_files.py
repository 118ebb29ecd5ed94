"""Fitted scikit-learn models as skops files; the only module that touches skops.

A file is data: loading it builds only types that skops knows or that the caller lists. The list is
never read from the file.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any
from zipfile import BadZipFile

from vigie.errors import DataError

_TORCH_BACK_END = "sklearn.externals.array_api_compat.torch"
#: What reading damaged bytes raises, in skops and in what it builds.
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
    """Return a fitted model as the bytes of a skops file."""
    data: bytes = _skops().dumps(model)
    return data


def load(data: bytes, trusted: Sequence[str]) -> Any:
    """Return the model of a skops file.

    Raises
    ------
    DataError
        If the file is damaged, or holds a type that neither skops nor ``trusted`` knows.
    """
    skops = _skops()
    try:
        return skops.loads(data, trusted=list(trusted))
    except skops.exceptions.UntrustedTypesFoundException as exc:
        raise DataError(f"refused: {exc}") from exc
    except DAMAGED as exc:
        raise DataError(f"damaged: {exc!r}") from exc


def unknown_types(data: bytes) -> list[str]:
    """Return the types of a skops file that skops does not know by itself."""
    return list(_skops().get_untrusted_types(data=data))


def prepare() -> None:
    """Import skops now: before threads run, or where its second would be felt later."""
    _skops()


def _skops() -> Any:
    """Import skops without two side effects of its import.

    It lists every estimator of scikit-learn, which loads torch where it is installed (560 MB, 3 s
    that nobody needs); a back end that cannot be imported is passed over. And it looks for scipy's
    functions in every loaded module, in order of import: Airflow's deprecated modules answer each
    of 300 names with a warning (7 s, a minute in a task's log), so they go to the end of the row,
    where the search does not come.
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
