"""Send a service the request that its clients send; exit with 1 and a reason if it fails.

Run in the container with Python's standard library: ``python -I healthcheck.py KIND WHAT``.

``airflow PART``    the health that Airflow reports for ``metadatabase``, ``scheduler``,
                    ``triggerer`` or ``dag_processor``, based on heartbeats in the database
``mlflow URL``      an API call under that host name with the login of the environment, because
                    ``/health`` returns 200 even if the server rejects every call
``serving URL``     the service answers and its last database query succeeded
"""

from __future__ import annotations

import base64
import json
import os
import sys
import urllib.request

TIMEOUT_S = 8


def main(kind: str, what: str) -> str:
    """Return the reason why the service is unhealthy, or an empty string."""
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
    return "" if answer.get("experiments") else "the default experiment is missing"


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
