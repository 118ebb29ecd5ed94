"""Ask a service what its clients ask it; exit 1 and say why if the answer is not right.

Python's standard library only, run in the container: ``python -I healthcheck.py KIND WHAT``.

``airflow PART``    Airflow's own health of ``metadatabase``, ``scheduler``, ``triggerer`` or
                    ``dag_processor`` (by the heartbeats in the database), through the api-server
``mlflow URL``      an API call under that host name, with the login of the environment: ``/health``
                    answers 200 even where the server refuses every call
``serving URL``     it answers, and its last look at the database succeeded
"""

from __future__ import annotations

import base64
import json
import os
import sys
import urllib.request

TIMEOUT_S = 8


def main(kind: str, what: str) -> str:
    """Return a reason to be unhealthy, or nothing."""
    return {"airflow": airflow, "mlflow": mlflow, "serving": serving}[kind](what)


def airflow(part: str) -> str:
    execution = os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
    base = execution.removesuffix("/").removesuffix("/execution")
    status = json.loads(_get(f"{base}/api/v2/monitor/health"))[part]["status"]
    return "" if status == "healthy" else f"{part} is {status}"


def mlflow(url: str) -> str:
    pair = f"{os.environ['MLFLOW_TRACKING_USERNAME']}:{os.environ['MLFLOW_TRACKING_PASSWORD']}"
    login = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    answer = json.loads(_get(f"{url}/api/2.0/mlflow/experiments/search?max_results=1", login))
    return "" if answer.get("experiments") else "no experiment, not even the default one"


def serving(url: str) -> str:
    lines = _get(f"{url}/metrics").splitlines()
    up = [line.split()[-1] for line in lines if line.startswith("vigie_serving_database_up")]
    return "" if up and float(up[0]) == 1 else "the database does not answer"


def _get(url: str, headers: dict[str, str] | None = None) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers=headers or {})
    with opener.open(request, timeout=TIMEOUT_S) as answer:
        return str(answer.read().decode())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]) or 0)
