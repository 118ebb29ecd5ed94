"""docker-compose.yml is valid and complete, and requires every secret."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from vigie.settings import known_variables

ROOT = Path(__file__).resolve().parents[2]
FILES = ("docker-compose.yml", "docker-compose.ports.yml")
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?:(:[-?])([^}]*))?\}")
# Documented service names.
DOCUMENTED = {
    *("postgres", "airflow-init", "airflow-api-server", "airflow-scheduler"),
    *("airflow-dag-processor", "airflow-triggerer", "mlflow", "kafka", "kafka-init"),
    *("elasticsearch", "kibana", "prometheus", "pushgateway", "alertmanager", "grafana"),
    *("serving-api", "redis", "airflow-worker"),
}
# Settings with fixed values in the stack: its services, logins, mounts and ports.
OWN = {
    *("VIGIE_DATABASE_URL", "ELASTICSEARCH_HOST", "ELASTICSEARCH_PORT", "ELASTICSEARCH_USER"),
    *("ELASTICSEARCH_PASSWORD", "KAFKA_BOOTSTRAP_SERVERS", "PROMETHEUS_PUSHGATEWAY_URL"),
    *("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
    *("GRADIO_URL", "VIGIE_SERVING_HOST", "VIGIE_SERVING_PORT"),
    *("DATA_DIR", "ARTIFACTS_DIR", "REPORTS_DIR"),
}
# Settings for other clusters or the local platform, which containers do not get.
NOT_IN_STACK = {
    *("ELASTICSEARCH_SCHEME", "ELASTICSEARCH_API_KEY", "ELASTICSEARCH_CA_CERTS"),
    *("ELASTICSEARCH_VERIFY_CERTS", "MLFLOW_TRACKING_TOKEN"),
    *("VIGIE_CELERY_BROKER_URL", "VIGIE_CELERY_WORKERS"),
}
Docker = Callable[..., subprocess.CompletedProcess[str]]


def variables(text: str) -> dict[str, set[str]]:
    """Return each variable of a file with the operators of its uses."""
    found: dict[str, set[str]] = {}
    for name, operator, message in VARIABLE.findall(text):
        found.setdefault(name, set()).add(f"{operator}{message}" if operator == ":?" else operator)
    return found


@pytest.fixture(scope="session")
def docker_compose(
    stack_secrets: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Docker:
    """Return a function that runs Compose, which checks files without an engine."""
    client = shutil.which("docker")
    has_plugin = (
        client
        and not subprocess.run(
            [client, "compose", "version"], capture_output=True, check=False
        ).returncode
    )
    command = [client, "compose"] if client and has_plugin else [shutil.which("docker-compose")]
    if command[0] is None:
        pytest.skip("docker compose is not installed")
    empty = tmp_path_factory.mktemp("no-env") / ".env"
    empty.touch()

    def run(*arguments: str, without: str = "") -> subprocess.CompletedProcess[str]:
        given = {name: value for name, value in stack_secrets.items() if name != without}
        return subprocess.run(
            [
                *map(str, command),
                "--project-directory",
                str(ROOT),
                "--env-file",
                str(empty),
                *arguments,
            ],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": str(empty.parent)} | given,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def schema() -> jsonschema.Draft202012Validator:
    """Return the schema of compose-go v2.9.1, the parser of docker compose."""
    text = (ROOT / "tests" / "stack" / "compose-spec.json").read_text()
    return jsonschema.Draft202012Validator(json.loads(text))


@pytest.mark.parametrize("name", FILES)
def test_it_follows_the_official_schema(name: str, schema: jsonschema.Draft202012Validator) -> None:
    schema.validate(yaml.safe_load((ROOT / name).read_text()))


def test_the_schema_rejects_an_unknown_key(
    stack: dict[str, Any], schema: jsonschema.Draft202012Validator
) -> None:
    broken = json.loads(json.dumps(stack))
    broken["services"]["kafka"]["restarts"] = "always"
    with pytest.raises(jsonschema.ValidationError, match="restarts"):
        schema.validate(broken)


@pytest.mark.service
@pytest.mark.parametrize("files", [FILES[:1], FILES], ids=["alone", "with published ports"])
def test_compose_accepts_the_files(docker_compose: Docker, files: tuple[str, ...]) -> None:
    chosen = [part for name in files for part in ("--file", str(ROOT / name))]
    answer = docker_compose(*chosen, "--profile", "scale", "config", "--format", "json")
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""  # Compose warns about variables without a value
    assert set(json.loads(answer.stdout)["services"]) >= DOCUMENTED


@pytest.mark.service
def test_compose_stops_if_any_secret_is_missing(
    docker_compose: Docker, stack_secrets: dict[str, str]
) -> None:
    started = []
    for name in stack_secrets.keys() - {"AIRFLOW_UID"}:
        answer = docker_compose("--profile", "scale", "config", "--quiet", without=name)
        if (
            answer.returncode == 0
            or f"{name} is missing a value: run make secrets" not in answer.stderr
        ):
            started.append(name)
    assert started == []


def test_every_secret_is_required_and_written_by_make_secrets(
    compose_texts: dict[str, str], stack_secrets: dict[str, str]
) -> None:
    used = variables(compose_texts["docker-compose.yml"])
    required = {name for name, how in used.items() if how == {":?run make secrets"}}
    assert required == stack_secrets.keys() - {"AIRFLOW_UID"}
    assert [n for n in used if re.search("PASSWORD|SECRET|_KEY$", n) and n not in required] == [
        "VIGIE_API_KEY"  # optional everywhere
    ]


def test_every_variable_is_in_the_example_or_written_by_make_secrets(
    compose_texts: dict[str, str], stack_secrets: dict[str, str]
) -> None:
    example = (ROOT / ".env.example").read_text()
    documented = set(re.findall(r"^# ([A-Z][A-Z_]+)=", example, re.MULTILINE))
    used = {name for text in compose_texts.values() for name in variables(text)}
    assert used - documented - stack_secrets.keys() == set()


def test_make_secrets_sets_no_variable_of_the_local_platform(
    stack_secrets: dict[str, str],
) -> None:
    assert stack_secrets.keys() & set(known_variables()) == set()


def test_no_two_services_publish_the_same_port_and_all_are_on_loopback(
    compose_texts: dict[str, str],
) -> None:
    ports = [
        port
        for text in compose_texts.values()
        for service in yaml.safe_load(text)["services"].values()
        for port in service.get("ports", [])
    ]
    assert all(port.startswith("127.0.0.1:${") for port in ports), ports
    defaults = Counter(re.findall(r":-(\d+)\}", " ".join(ports)))
    assert defaults == {
        **dict.fromkeys(("8083", "5000", "5601", "9090", "9093", "3000", "8080"), 1),
        **dict.fromkeys(("5432", "9200", "9092", "9091"), 1),
    }


def test_every_mounted_file_exists(stack: dict[str, Any]) -> None:
    created = {"./data/stack"}  # by make secrets
    sources = {
        volume.split(":")[0]
        for service in stack["services"].values()
        for volume in service.get("volumes", [])
    }
    files = {source for source in sources if source.startswith(".")}
    assert [source for source in files - created if not (ROOT / source).exists()] == []
    assert sources - files == stack["volumes"].keys()


def test_every_file_in_a_command_is_mounted(stack: dict[str, Any]) -> None:
    missing = []
    for name, service in stack["services"].items():
        mounts = dict(v.split(":")[1::-1] for v in service.get("volumes", []) if v.startswith("."))
        words = " ".join(
            map(
                str, [service.get("command"), service.get("entrypoint"), service.get("healthcheck")]
            )
        )
        for path in re.findall(
            r"(/opt/vigie/[\w./-]+|/etc/(?:prometheus|alertmanager)/[\w./-]+)", words
        ):
            found = [
                ROOT / source / Path(path).relative_to(target)
                for target, source in mounts.items()
                if Path(path).is_relative_to(target)
            ]
            if not any(file.exists() for file in found):
                missing.append(f"{name}: {path}")
    assert missing == []


def test_dependencies_wait_for_the_right_condition(stack: dict[str, Any]) -> None:
    services, wrong = stack["services"], []
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            once = services[other].get("restart") == "no"
            wanted = "service_completed_successfully" if once else "service_healthy"
            if how["condition"] != wanted:
                wrong.append(f"{name} waits for {other}: {how['condition']}")
    assert wrong == []


def test_documented_service_names_are_kept_and_no_container_name_is_fixed(
    stack: dict[str, Any],
) -> None:
    assert stack["services"].keys() - {"elasticsearch-init", "mlflow-init"} == DOCUMENTED
    assert [n for n, s in stack["services"].items() if "container_name" in s] == []
    scale = {n for n, s in stack["services"].items() if s.get("profiles") == ["scale"]}
    assert scale == {"redis", "airflow-worker"}
    assert stack["services"]["airflow-worker"]["deploy"]["replicas"] == 2


def test_our_containers_get_only_variables_that_are_read(stack: dict[str, Any]) -> None:
    known = {*known_variables(), "AIRFLOW_ADMIN_USER", "AIRFLOW_ADMIN_PASSWORD"}
    known |= {"NO_PROXY", "no_proxy"}
    unread = {
        variable
        for name, service in stack["services"].items()
        if service["image"].startswith("vigie-platform:")
        for variable in service["environment"]
        if variable not in known and not variable.startswith("AIRFLOW__")
    }
    assert unread == set()


def test_all_other_settings_of_env_reach_a_container(compose_texts: dict[str, str]) -> None:
    text = compose_texts["docker-compose.yml"]
    forwarded = set(re.findall(r"^ *(\w+): \$\{\1:-", text, re.MULTILINE))
    settings = {n for n in known_variables() if not re.match("KAFKA_(SECURITY|SASL|SSL)", n)}
    assert settings - OWN - NOT_IN_STACK - forwarded == set()


def test_a_configured_name_reaches_the_init_service_and_the_tasks(
    compose_texts: dict[str, str],
) -> None:
    services = yaml.safe_load(compose_texts["docker-compose.yml"])["services"]
    for variable, creator in (
        ("VIGIE_STREAM_TOPIC", "kafka-init"),
        ("ELASTICSEARCH_INDEX", "elasticsearch-init"),
        ("VIGIE_ANOMALY_INDEX", "elasticsearch-init"),
    ):
        for name in (creator, "airflow-scheduler"):
            assert services[name]["environment"][variable].startswith(f"${{{variable}:-")


def test_calls_between_services_bypass_the_proxy(stack: dict[str, Any]) -> None:
    for name, service in stack["services"].items():
        for variable in ("NO_PROXY", "no_proxy"):
            direct = set(service["environment"][variable].split(","))
            missing = {*stack["services"], "localhost", "127.0.0.1"} - direct
            assert missing == set(), f"{variable} of {name}"


def test_images_built_here_are_never_pulled(stack: dict[str, Any]) -> None:
    ours = {n: s for n, s in stack["services"].items() if s["image"].startswith("vigie-")}
    pulled = [name for name, service in ours.items() if service.get("pull_policy") != "never"]
    assert pulled == []
    built = {service["image"] for service in ours.values() if "build" in service}
    assert built == {service["image"] for service in ours.values()}


def test_addresses_name_services_and_their_ports(stack: dict[str, Any]) -> None:
    listening = {
        *("postgres:5432", "kafka:9092", "elasticsearch:9200", "mlflow:5000", "redis:6379"),
        *("pushgateway:9091", "serving-api:8080", "airflow-api-server:8080"),
    }
    named = {
        found
        for service in stack["services"].values()
        for key, value in service.get("environment", {}).items()
        for found in re.findall(r"(?:@|//|^)([a-z-]+:\d{4,5})\b", str(value))
        if not key.startswith(("KAFKA_CONTROLLER", "KAFKA_LISTENERS"))
    }
    assert {host.split(":")[0] for host in named} <= stack["services"].keys()
    assert named == listening
