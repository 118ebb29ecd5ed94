"""Load what unpacks bundles without loading torch."""

from __future__ import annotations

import importlib
import sys

_BACK_END = "sklearn.externals.array_api_compat.torch"


def load_servable() -> None:
    """Import :mod:`vigie.training.servable` while scikit-learn's torch back end is hidden.

    Importing skops lists every estimator, which walks through scikit-learn's packages and so loads
    torch where it is installed: 560 MB and 3 s that no answer needs. A back end that cannot be
    imported is passed over, as it is where torch is not installed. Call it before threads run.
    """
    if _BACK_END in sys.modules:
        importlib.import_module("vigie.training.servable")
        return
    sys.modules[_BACK_END] = None  # type: ignore[assignment]
    try:
        importlib.import_module("vigie.training.servable")
    finally:
        del sys.modules[_BACK_END]
