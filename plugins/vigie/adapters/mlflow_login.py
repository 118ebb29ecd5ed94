"""Address and login, lent to MLflow's client, which reads them from the environment alone."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

VARIABLES = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
)
_one_at_a_time = threading.RLock()  # a process has one environment


@contextmanager
def lent(uri: str, login: Mapping[str, str]) -> Iterator[None]:
    """Set these variables for the block, and put back what was there.

    The client takes no login as an argument: each of its requests, and each of its artifact stores,
    reads the environment again (``mlflow/utils/credentials.py``). Without a login there must be
    none either, because that of the environment may be for another server. They are put back
    because they are settings of ours: whoever reads these next in this process must find the
    user's, not a Connection's. The address is among them, so that no thread of MLflow's own brings
    the login to another one.
    """
    with _one_at_a_time:
        before = {name: os.environ.pop(name) for name in VARIABLES if name in os.environ}
        os.environ.update({"MLFLOW_TRACKING_URI": uri, **login})
        try:
            yield
        finally:
            for name in VARIABLES:
                os.environ.pop(name, None)
            os.environ.update(before)
