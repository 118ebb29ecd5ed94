"""Run the commands of docker-compose.yml with the addresses and folders of this machine."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.ports import free_port
from vigie.demo.airflow_api import AirflowApi
from vigie.errors import TransientError
from vigie.local.postgres import EmbeddedPostgres

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
Check = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = [pytest.mark.timeout(400)]


class Moved:
    """Translate a service's command and environment to this machine."""

    def __init__(self, here: Path, database: EmbeddedPostgres) -> None:
        self.folder = here
        self.port = free_port()
        self._changes = {
            "/opt/vigie": str(here),
            "/opt/airflow": str(here / "airflow-home"),
            "http://airflow-api-server:8080": f"http://127.0.0.1:{self.port}",
            "/mlflow/artifacts": str(here / "artifacts"),
        }
        self._sockets = str(database.sockets)

    def text(self, value: str) -> str:
        for old, new in self._changes.items():
            value = value.replace(old, new)
        if "@postgres:5432/" in value:
            value = value.replace("@postgres:5432/", "@/") + f"?host={self._sockets}"
        return value

    def environment(self, service: dict[str, Any]) -> dict[str, str]:
        own = {key: self.text(str(value)) for key, value in service["environment"].items()}
        own |= {"PGHOST": self._sockets} if own.get("PGHOST") == "postgres" else {}
        image = {  # variables set by the images
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "AIRFLOW_HOME": str(self.folder / "airflow-home"),
            "VIGIE_HOME": str(self.folder),
            "HOME": str(self.folder),
            "PYTHONSAFEPATH": "1",
        }
        return image | own

    def command(self, service: dict[str, Any], **replaced: str) -> list[str]:
        return [replaced.get(word, self.text(word)) for word in service["command"]]


@pytest.fixture(scope="module")
def database(
    tmp_path_factory: pytest.TempPathFactory, stack: dict[str, Any]
) -> Iterator[EmbeddedPostgres]:
    """Run PostgreSQL with the roles and databases of init-db.sql."""
    folder = tmp_path_factory.mktemp("stack-postgres") / "data"
    server = EmbeddedPostgres(folder, secrets.token_hex(8), durable=False)
    environment = stack["services"]["postgres"]["environment"]
    names = ("airflow", "mlflow", "vigie")
    server.start()
    try:
        passwords = {name: environment[f"{name.upper()}_DB_PASSWORD"] for name in names}
        server.create_databases(ROOT / "init-db.sql", passwords)
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def moved(here: Path, database: EmbeddedPostgres) -> Moved:
    return Moved(here, database)


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[Path]:
    """Run a server for the duration of the block; yield its log."""
    log = folder / f"{command[0]}-{secrets.token_hex(3)}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield log
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()


def wait_for(url: str, log: Path, timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, timeout=5, trust_env=False).status_code < 500:
                return
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.3)


def health(service: dict[str, Any], moved: Moved, *what: str) -> int:
    """Run a service's health check, with its last arguments replaced by ``what``."""
    words = [*moved.command({"command": service["healthcheck"]["test"][1:]})]
    command = [str(BIN / words[0]), *words[1 : len(words) - len(what)], *what]
    done = subprocess.run(
        command, env=moved.environment(service), capture_output=True, text=True, check=False
    )
    return done.returncode


@pytest.fixture(scope="module")
def airflow(moved: Moved, stack: dict[str, Any]) -> Iterator[Callable[..., str]]:
    """Run the init script twice and the api-server; return a function that runs ``airflow``."""
    init, server = (stack["services"][f"airflow-{name}"] for name in ("init", "api-server"))
    for _ in range(2):
        command = moved.command(init)
        done = subprocess.run(
            command, env=moved.environment(init), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def call(*arguments: str) -> str:
        done = subprocess.run(
            ["airflow", *arguments],
            cwd=moved.folder,
            env=moved.environment(server),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    command = moved.command(server, **{"0.0.0.0": "127.0.0.1", "8080": str(moved.port)})
    with running(command, moved.environment(server), moved.folder) as log:
        wait_for(f"http://127.0.0.1:{moved.port}/api/v2/version", log)
        yield call


@pytest.mark.airflow
def test_airflow_accepts_every_setting_of_the_stack(airflow: Callable[..., str]) -> None:
    assert "No issues found" in airflow("config", "lint")


@pytest.mark.airflow
def test_health_is_checked_per_airflow_component(
    airflow: Callable[..., str], moved: Moved, stack: dict[str, Any]
) -> None:
    services = stack["services"]
    assert health(services["airflow-api-server"], moved) == 0
    assert health(services["airflow-scheduler"], moved) != 0  # no scheduler is running


def status_of_login(url: str, user: str, password: str) -> int:
    login = {"username": user, "password": password}
    return httpx.post(f"{url}/auth/token", json=login, trust_env=False, timeout=30).status_code


@pytest.mark.airflow
def test_airflow_accepts_only_the_generated_login(
    airflow: Callable[..., str], moved: Moved, stack_secrets: dict[str, str]
) -> None:
    url = f"http://127.0.0.1:{moved.port}"
    assert status_of_login(url, "admin", stack_secrets["AIRFLOW_ADMIN_PASSWORD"]) == 201
    assert status_of_login(url, "admin", "admin") == 401
    assert status_of_login(url, "nobody", "wrong") == 401
    assert httpx.get(f"{url}/api/v2/dags", trust_env=False).status_code == 401


def may_trigger(url: str, user: str, password: str, patience_s: float) -> bool:
    """Try to trigger a DAG until it succeeds; Airflow rereads roles every 30 seconds."""
    deadline = time.monotonic() + patience_s
    with AirflowApi(url, user, password) as airflow:
        while time.monotonic() < deadline:
            try:
                airflow.trigger("logs_to_elasticsearch")
            except TransientError:
                time.sleep(2)
            else:
                return True
    return False


@pytest.mark.airflow
def test_the_documented_user_commands_work(airflow: Callable[..., str], moved: Moved) -> None:
    url = f"http://127.0.0.1:{moved.port}"
    names = ("--firstname", "Ana", "--lastname", "B", "--email", "ana@example.org")
    create = ("users", "create", "--username", "ana", "--role", "Viewer", *names)
    airflow(*create, "--password", "first-password")
    assert status_of_login(url, "ana", "first-password") == 201
    assert "ana" in airflow("users", "list")
    airflow("users", "reset-password", "--username", "ana", "--password", "second-password")
    assert status_of_login(url, "ana", "first-password") == 401
    with AirflowApi(url, "ana", "second-password") as viewer:
        assert viewer.import_errors() == []
        with pytest.raises(TransientError, match="rejected"):
            viewer.trigger("logs_to_elasticsearch")
    airflow("dags", "reserialize")
    airflow("users", "add-role", "--username", "ana", "--role", "User")
    assert may_trigger(url, "ana", "second-password", patience_s=60)
    airflow("users", "delete", "--username", "ana")
    assert status_of_login(url, "ana", "second-password") == 401


@pytest.mark.airflow
def test_every_dag_is_found_where_the_stack_mounts_it(
    airflow: Callable[..., str], moved: Moved, stack_secrets: dict[str, str]
) -> None:
    airflow("dags", "reserialize")
    url, password = f"http://127.0.0.1:{moved.port}", stack_secrets["AIRFLOW_ADMIN_PASSWORD"]
    with AirflowApi(url, "admin", password) as api:
        assert api.import_errors() == []
        found = api.dag_ids()
        groups = api._ask("GET", "/api/v2/dags/ml_retrain_pipeline/tasks")["tasks"]
    assert sorted(found) == sorted(p.stem for p in (ROOT / "airflow" / "dags").glob("*.py"))
    # The DAG has found models/ relative to its own file.
    assert "breast_cancer.check_triggers" in {task["task_id"] for task in groups}


@pytest.mark.airflow
def test_every_airflow_command_line_of_the_file_is_valid(stack: dict[str, Any]) -> None:
    commands = [
        service["command"][1:]
        for name, service in stack["services"].items()
        if service.get("command", [""])[0] == "airflow"
    ]
    assert len(commands) == 5
    program = (
        "import json, sys\nfrom airflow.cli import cli_parser\n"
        "for command in json.loads(sys.argv[1]): cli_parser.get_parser().parse_args(command)\n"
    )
    environment = {**os.environ, "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor"}
    subprocess.run(
        [sys.executable, "-I", "-c", program, json.dumps(commands)], env=environment, check=True
    )


def test_every_vigie_command_line_of_the_file_is_valid(stack: dict[str, Any]) -> None:
    import click
    from typer.main import get_command

    from vigie.cli.main import app

    commands = [
        service["command"][1:]
        for service in stack["services"].values()
        if service.get("command", [""])[0] == "vigie"
    ]
    assert len(commands) == 2
    for words in commands:
        command: Any = get_command(app)
        context, rest = click.Context(command), words
        while isinstance(command, click.Group):
            _, command, rest = command.resolve_command(context, rest)
        assert command.make_context(command.name, list(rest))


@pytest.fixture(scope="module")
def mlflow_init(moved: Moved, stack: dict[str, Any]) -> Callable[[], None]:
    """Return a function that runs the service which creates MLflow's users."""
    service = stack["services"]["mlflow-init"]

    def call() -> None:
        done = subprocess.run(
            moved.command(service),
            env=moved.environment(service),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return call


@pytest.fixture(scope="module")
def mlflow(
    moved: Moved, stack: dict[str, Any], compose_port: int, mlflow_init: Callable[[], None]
) -> Iterator[str]:
    mlflow_init()
    service = stack["services"]["mlflow"]
    command = [
        word.replace("--host=0.0.0.0", "--host=127.0.0.1")
        .replace("--port=5000", f"--port={compose_port}")
        .replace(":5000,127.0.0.1:5000", f":5000,127.0.0.1:{compose_port}")  # MLFLOW_PORT
        for word in moved.command(service)
    ]
    with running(command, moved.environment(service), moved.folder) as log:
        wait_for(f"http://127.0.0.1:{compose_port}/health", log)
        yield f"http://127.0.0.1:{compose_port}"


@pytest.fixture(scope="module")
def compose_port() -> int:
    return free_port()


SEARCH = "/api/2.0/mlflow/experiments/search?max_results=100"


@pytest.fixture(scope="module")
def mlflow_client(mlflow: str, stack_secrets: dict[str, str]) -> Iterator[httpx.Client]:
    """Return a client with the login of the tasks."""
    login = ("vigie", stack_secrets["VIGIE_MLFLOW_PASSWORD"])
    with httpx.Client(base_url=mlflow, auth=login, trust_env=False, timeout=60) as client:
        yield client


def test_mlflow_answers_a_call_under_its_service_name(mlflow_client: httpx.Client) -> None:
    answer = mlflow_client.get(SEARCH, headers={"Host": "mlflow:5000"})
    assert answer.status_code == 200
    assert "Default" in {found["name"] for found in answer.json()["experiments"]}


def test_mlflow_rejects_an_unlisted_host_name_except_on_its_health_page(
    mlflow_client: httpx.Client,
) -> None:
    stranger = {"Host": "attacker.example:5000"}
    assert mlflow_client.get(SEARCH, headers=stranger).status_code == 403
    assert mlflow_client.get("/health", headers=stranger).status_code == 200


def test_mlflow_rejects_a_call_from_another_origin(mlflow_client: httpx.Client) -> None:
    origin = {"Origin": "http://attacker.example"}
    call = "/api/2.0/mlflow/experiments/create"
    assert mlflow_client.post(call, json={"name": "x"}, headers=origin).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        *(SEARCH, SEARCH.replace("/api/", "/ajax-api/"), "/", "/version", "/metrics", "/signup"),
        *("/api/2.0/mlflow-artifacts/artifacts", "/graphql", "/openapi.json"),
    ],
)
def test_mlflow_requires_a_login_for_every_path(mlflow: str, path: str) -> None:
    assert httpx.get(f"{mlflow}{path}", trust_env=False).status_code == 401
    wrong = httpx.get(f"{mlflow}{path}", auth=("vigie", "wrong"), trust_env=False)
    assert wrong.status_code == 401


def test_mlflow_requires_a_login_to_delete_a_model(mlflow: str) -> None:
    call = f"{mlflow}/api/2.0/mlflow/registered-models/delete"
    answer = httpx.request("DELETE", call, json={"name": "any"}, trust_env=False)
    assert answer.status_code == 401


TRACK = """
import os, sys
import mlflow
from mlflow import MlflowClient
client = MlflowClient()
experiment = client.create_experiment("anomaly-detection")
mlflow.set_experiment("anomaly-detection")
with mlflow.start_run() as run:
    mlflow.log_metric("f1", 0.5)
    mlflow.log_text("weights", "model/weights.txt")
client.create_registered_model("detector")
version = client.create_model_version("detector", run.info.artifact_uri, run.info.run_id)
client.set_registered_model_alias("detector", "champion", version.version)
assert client.get_model_version_by_alias("detector", "champion").version == version.version
assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/model/weights.txt") == "weights"
client.rename_registered_model("admins", "renamed")
"""


def test_the_tasks_login_can_track_register_and_change_models_of_other_users(
    mlflow: str, moved: Moved, stack: dict[str, Any], stack_secrets: dict[str, str]
) -> None:
    admin = ("admin", stack_secrets["MLFLOW_ADMIN_PASSWORD"])
    call = f"{mlflow}/api/2.0/mlflow/registered-models/create"
    made = httpx.post(call, json={"name": "admins"}, auth=admin, trust_env=False, timeout=60)
    assert made.status_code == 200
    environment = moved.environment(stack["services"]["airflow-scheduler"])
    done = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", "-c", TRACK],
        env=environment | {"MLFLOW_TRACKING_URI": mlflow},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_tasks_login_cannot_manage_users(mlflow_client: httpx.Client) -> None:
    users = "/api/2.0/mlflow/users"
    new = {"username": "mallory", "password": "long enough to do"}
    taken = {"username": "admin", "password": "long enough to do"}
    assert mlflow_client.post(f"{users}/create", json=new).status_code == 403
    assert mlflow_client.patch(f"{users}/update-password", json=taken).status_code == 403


ACCEPTED_PASSWORDS = """
import sys
from mlflow.server.auth.config import read_auth_config
from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore
store = SqlAlchemyStore()
store.init_db(read_auth_config().database_uri)
print(*(word for word in sys.argv[1:] if store.authenticate_user("vigie", word)), sep="\\n")
"""


def test_a_start_sets_the_password_of_env_again(
    mlflow: str,
    moved: Moved,
    stack: dict[str, Any],
    stack_secrets: dict[str, str],
    mlflow_init: Callable[[], None],
) -> None:
    """The database is queried, because the server caches logins for a minute."""
    changed = {"username": "vigie", "password": "changed in the meantime"}
    both = (changed["password"], stack_secrets["VIGIE_MLFLOW_PASSWORD"])

    def accepted() -> list[str]:
        done = subprocess.run(
            [sys.executable, "-I", "-W", "ignore", "-c", ACCEPTED_PASSWORDS, *both],
            env=moved.environment(stack["services"]["mlflow-init"]),
            cwd=moved.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.splitlines()

    with httpx.Client(base_url=mlflow, trust_env=False, timeout=60) as client:
        admin = ("admin", stack_secrets["MLFLOW_ADMIN_PASSWORD"])
        answer = client.patch("/api/2.0/mlflow/users/update-password", json=changed, auth=admin)
        assert answer.status_code == 200
    assert accepted() == [both[0]]
    mlflow_init()
    assert accepted() == [both[1]]


def test_mlflows_health_check_fails_where_a_client_fails(
    mlflow: str, moved: Moved, stack: dict[str, Any]
) -> None:
    service = stack["services"]["mlflow"]
    assert health(service, moved, mlflow) == 0
    assert (
        health(service, moved, mlflow.replace("127.0.0.1", "localhost")) != 0
    )  # an unlisted host name
    other = service | {"environment": service["environment"] | {"MLFLOW_TRACKING_PASSWORD": "x"}}
    assert health(other, moved, mlflow) != 0


def test_serving_is_healthy_without_a_champion(
    moved: Moved, stack: dict[str, Any], airflow: Callable[..., str]
) -> None:
    service, port = stack["services"]["serving-api"], free_port()
    command = moved.command(service, **{"0.0.0.0": "127.0.0.1", "8080": str(port)})
    with running(command, moved.environment(service), moved.folder) as log:
        wait_for(f"http://127.0.0.1:{port}/health", log)
        assert httpx.get(f"http://127.0.0.1:{port}/ready", trust_env=False).status_code == 503
        deadline = time.monotonic() + 20
        while health(service, moved, f"http://127.0.0.1:{port}") != 0:
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(1)


@pytest.fixture
def recorder() -> Iterator[tuple[str, list[tuple[str, str, str, Any]]]]:
    """Run a server that records method, path, login and body."""
    calls: list[tuple[str, str, str, Any]] = []

    class Recorder(BaseHTTPRequestHandler):
        def _record(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            login = self.headers["Authorization"]
            calls.append((self.command, self.path, login, json.loads(body)))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        do_PUT = do_POST = _record  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Write no log."""

    server = HTTPServer(("127.0.0.1", 0), Recorder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", calls
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_elasticsearch_users_have_the_least_privileges(
    recorder: tuple[str, list[tuple[str, str, str, Any]]],
    stack: dict[str, Any],
    stack_secrets: dict[str, str],
) -> None:
    url, calls = recorder
    service = stack["services"]["elasticsearch-init"]
    environment = {**os.environ, **service["environment"], "ELASTICSEARCH_URL": url}
    script = ROOT / "compose" / "elasticsearch-init.sh"
    subprocess.run(["sh", script], env=environment, check=True, stdout=subprocess.DEVNULL)
    bodies = {path: body for _, path, _, body in calls}
    assert {login for _, _, login, _ in calls} != {None}
    assert bodies["/_security/user/kibana_system/_password"] == {
        "password": stack_secrets["KIBANA_PASSWORD"]
    }
    assert bodies["/_security/user/vigie"]["roles"] == ["vigie"]
    assert bodies["/_security/user/airflow"]["roles"] == ["airflow_logs"]
    allowed = bodies["/_security/role/vigie"]["indices"][0]["names"]
    assert {"ml-api-logs*", "mozilla-clogs-index*", "vigie-*"} <= set(allowed)
    for role in ("vigie", "airflow_logs"):
        granted = bodies[f"/_security/role/{role}"]
        names = [name for index in granted["indices"] for name in index["names"]]
        assert "*" not in names
        assert "all" not in {p for index in granted["indices"] for p in index["privileges"]}


@pytest.fixture
def redis(stack: dict[str, Any], tmp_path: Path) -> tuple[list[str], dict[str, str], list[str]]:
    """Return the service's command and environment for this machine, and a ping command."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed; run: apt-get install redis-server")
    service, port = stack["services"]["redis"], free_port()
    moved = f"dir {tmp_path}\nport {port}\nbind 127.0.0.1\n"
    command = [word.replace("dir /data\n", moved) for word in service["command"]]
    environment = {**os.environ, **service["environment"]}
    return command, environment, ["redis-cli", "-p", str(port), "ping"]


def output_of(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout


def wait_for_redis(ping: list[str], environment: dict[str, str]) -> None:
    deadline = time.monotonic() + 20
    while "PONG" not in output_of(ping, environment):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_redis_reads_its_password_from_standard_input(
    redis: tuple[list[str], dict[str, str], list[str]], tmp_path: Path
) -> None:
    command, environment, ping = redis
    with running(command, environment, tmp_path):
        wait_for_redis(ping, environment)
        bare = {name: value for name, value in environment.items() if name != "REDISCLI_AUTH"}
        refused = output_of(ping, bare)
    assert "NOAUTH" in refused


def test_redis_receives_the_stop_signal_and_shuts_down(
    redis: tuple[list[str], dict[str, str], list[str]], tmp_path: Path
) -> None:
    command, environment, ping = redis
    with running(command, environment, tmp_path) as log:
        wait_for_redis(ping, environment)
    output = log.read_text()
    assert "Received SIGTERM scheduling shutdown" in output
    assert "ready to exit, bye bye" in output


@pytest.mark.airflow
@pytest.mark.parametrize("password", ["-starts-with-a-dash", "--role", "plain"])
def test_airflow_accepts_any_first_password(password: str, tmp_path: Path) -> None:
    for name in ("python", "airflow"):
        (tmp_path / name).write_text(
            '#!/bin/sh\n[ "$1" = users ] && printf "%s\\n" "$@" > "$ARGUMENTS"\nexit 0\n'
        )
        (tmp_path / name).chmod(0o755)
    arguments = tmp_path / "arguments"
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "ARGUMENTS": str(arguments),
        "AIRFLOW_ADMIN_USER": "admin",
        "AIRFLOW_ADMIN_PASSWORD": password,
    }
    subprocess.run(["sh", ROOT / "compose" / "airflow-init.sh"], env=environment, check=True)
    program = (
        "import sys\nfrom airflow.cli import cli_parser\n"
        "print(cli_parser.get_parser().parse_args(sys.argv[1:]).password)\n"
    )
    manager = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
    done = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", "-c", program, *arguments.read_text().splitlines()],
        env={**os.environ, "AIRFLOW__CORE__AUTH_MANAGER": manager, "AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip().splitlines()[-1:] == [password], done.stderr[-1000:]


@pytest.mark.parametrize("script", sorted((ROOT / "compose").glob("*.sh")), ids=lambda p: p.name)
def test_every_shell_script_is_valid(script: Path) -> None:
    subprocess.run(["sh", "-n", script], check=True)
