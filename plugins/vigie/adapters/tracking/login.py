"""Address, login and patience, lent to MLflow's client, which reads only the environment."""

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
#: For a server that takes a call and does not answer, unless the user says otherwise; a minute and
#: a half. The client's own figures (120 s, seven retries) keep a task for 16 minutes a call.
PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "30", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
_one_at_a_time = threading.RLock()  # a process has one environment


@contextmanager
def lent(uri: str, login: Mapping[str, str]) -> Iterator[None]:
    """Set these variables, and :data:`PATIENCE`, for the block, and put back what was there.

    The client takes no login as an argument: each of its requests, and each of its artifact stores,
    reads the environment again (``mlflow/utils/credentials.py``). Without a login there must be
    none either, because that of the environment may be for another server. They are put back
    because they are settings of ours: whoever reads these next in this process must find the
    user's, not a Connection's. The address is among them, so that no thread of MLflow's own brings
    the login to another one.
    """
    with _one_at_a_time:
        before = {name: os.environ.pop(name) for name in VARIABLES if name in os.environ}
        patience = {name: value for name, value in PATIENCE.items() if not os.environ.get(name)}
        before |= {name: os.environ[name] for name in patience if name in os.environ}
        os.environ.update({"MLFLOW_TRACKING_URI": uri, **login, **patience})
        try:
            yield
        finally:
            for name in (*VARIABLES, *patience):
                os.environ.pop(name, None)
            os.environ.update(before)
