"""Check the security rules for every service; an exception has a reason in the file."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
Service = dict[str, Any]
PAGES = {
    *("airflow-api-server", "mlflow", "kibana", "prometheus", "alertmanager", "grafana"),
    "serving-api",
}


def runs_once(service: Service) -> bool:
    return bool(service["restart"] == "no")


def has_no_capability(service: Service) -> bool:
    return bool(service["cap_drop"] == ["ALL"] and "cap_add" not in service)


def gains_no_privilege(service: Service) -> bool:
    privileged = service.get("privileged", False)
    return bool("no-new-privileges:true" in service["security_opt"] and not privileged)


def is_not_root(service: Service) -> bool:
    return str(service.get("user", "root")).split(":")[0] not in ("root", "0", "")


def has_a_read_only_root_or_a_reason(service: Service) -> bool:
    return bool(service["read_only"]) or len(service.get("x-writable", "")) > 20


def is_limited(service: Service) -> bool:
    return all(service.get(limit) for limit in ("mem_limit", "cpus", "pids_limit"))


def has_a_health_check(service: Service) -> bool:
    check = service.get("healthcheck", {})
    complete = all(check.get(key) for key in ("test", "interval", "timeout", "retries"))
    return runs_once(service) or complete


def restarts(service: Service) -> bool:
    return runs_once(service) or service["restart"] == "unless-stopped"


def rotates_its_logs(service: Service) -> bool:
    return bool(service["logging"]["options"]["max-size"])


def names_an_exact_image(service: Service) -> bool:
    name, _, tag = service["image"].partition(":")
    return bool(re.search(r"\d+\.\d+\.\d+|\d+\.\d+-", tag)) and "latest" not in tag and bool(name)


def is_in_the_internal_network(service: Service) -> bool:
    return "backend" in service["networks"]


def shares_no_namespace_with_the_host(service: Service) -> bool:
    host = [service.get(key) for key in ("network_mode", "pid", "ipc", "devices", "userns_mode")]
    sockets = [v for v in service.get("volumes", []) if "docker.sock" in v]
    return not any(host) and not sockets


def mounts_code_read_only(service: Service) -> bool:
    writable = {"./data", "./data/stack", "./artifacts", "./reports"}
    mounts = [v.split(":") for v in service.get("volumes", []) if v.startswith(".")]
    return all(mount[0] in writable or mount[-1] == "ro" for mount in mounts)


RULES: list[Callable[[Service], bool]] = [
    *(has_no_capability, gains_no_privilege, is_not_root, has_a_read_only_root_or_a_reason),
    *(is_limited, has_a_health_check, restarts, rotates_its_logs, names_an_exact_image),
    *(is_in_the_internal_network, shares_no_namespace_with_the_host, mounts_code_read_only),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_service_follows_the_rule(
    rule: Callable[[Service], bool], stack: dict[str, Any]
) -> None:
    assert [name for name, service in stack["services"].items() if not rule(service)] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_bare_service_breaks_the_rule(rule: Callable[[Service], bool]) -> None:
    careless = {
        "image": "redis",
        "restart": "always",
        "cap_drop": [],
        "security_opt": [],
        "read_only": False,
        "logging": {"options": {"max-size": ""}},
        "networks": ["edge"],
        "volumes": ["/var/run/docker.sock:/var/run/docker.sock", "./plugins:/opt/vigie/plugins"],
    }
    assert not rule(careless)


def test_only_pages_and_serving_are_published(stack: dict[str, Any]) -> None:
    published = {name for name, service in stack["services"].items() if "ports" in service}
    reachable = {n for n, service in stack["services"].items() if "edge" in service["networks"]}
    assert published == reachable == PAGES


def test_the_backend_network_is_internal(stack: dict[str, Any]) -> None:
    assert stack["networks"] == {"edge": {}, "backend": {"internal": True}}


def test_only_the_images_that_need_it_have_a_writable_root(stack: dict[str, Any]) -> None:
    writable = {name for name, service in stack["services"].items() if not service["read_only"]}
    assert writable == {"kafka", "elasticsearch", "kibana"}


def test_serving_gets_only_the_secret_of_its_database(
    stack: dict[str, Any], stack_secrets: dict[str, str]
) -> None:
    environment = " ".join(map(str, stack["services"]["serving-api"]["environment"].values()))
    secrets = [name for name in stack_secrets if name != "AIRFLOW_UID"]
    assert [name for name in secrets if stack_secrets[name] in environment] == ["VIGIE_DB_PASSWORD"]


@pytest.mark.parametrize(
    "service",
    ["airflow-api-server", "airflow-scheduler", "airflow-triggerer", "airflow-worker"],
)
def test_tasks_get_no_superuser_password(
    service: str, stack: dict[str, Any], stack_secrets: dict[str, str]
) -> None:
    environment = " ".join(map(str, stack["services"][service]["environment"].values()))
    superusers = ["POSTGRES_PASSWORD", "ELASTIC_PASSWORD"]
    superusers += ["AIRFLOW_ADMIN_PASSWORD", "MLFLOW_ADMIN_PASSWORD"]
    assert [name for name in superusers if stack_secrets[name] in environment] == []


def test_no_command_line_contains_a_secret(
    stack: dict[str, Any], stack_secrets: dict[str, str]
) -> None:
    secrets = [value for name, value in stack_secrets.items() if name != "AIRFLOW_UID"]
    lines = [
        str([service.get(key) for key in ("command", "entrypoint", "healthcheck")])
        for service in stack["services"].values()
    ]
    assert [line for line in lines if any(secret in line for secret in secrets)] == []


def scripts_of(service: Service) -> list[str]:
    """Return the shell scripts of a service's health check and command."""
    test, command = service.get("healthcheck", {}).get("test", []), service.get("command", [])
    found = [test[1]] if test[:1] == ["CMD-SHELL"] else []
    return [*found, *([command[2]] if command[:2] == ["sh", "-c"] else [])]


def test_no_shell_script_passes_a_secret_as_an_argument(
    stack: dict[str, Any], stack_secrets: dict[str, str], tmp_path: Path
) -> None:
    programs = ("curl", "wget", "psql", "redis-cli", "redis-server", "celery", "hostname", "grep")
    for name in programs:
        (tmp_path / name).write_text('#!/bin/sh\nprintf "%s " "$0" "$@" >> "$SEEN"\n')
        (tmp_path / name).chmod(0o755)
    seen, ran = tmp_path / "seen", 0
    for service in stack["services"].values():
        environment = {name: str(value) for name, value in service["environment"].items()}
        for script in scripts_of(service):
            given = environment | {"PATH": str(tmp_path), "SEEN": str(seen)}
            subprocess.run(["/bin/sh", "-c", script], env=given, check=False, capture_output=True)
            ran += 1
    assert ran > 5
    arguments = seen.read_text()
    assert all(f"/{name} " in arguments for name in programs)
    secrets = {name: value for name, value in stack_secrets.items() if name != "AIRFLOW_UID"}
    assert [name for name, value in secrets.items() if value in arguments] == []


def test_elasticsearch_requires_a_login(stack: dict[str, Any]) -> None:
    environment = stack["services"]["elasticsearch"]["environment"]
    assert environment["xpack.security.enabled"] == "true"
    assert stack["services"]["airflow-scheduler"]["environment"]["ELASTICSEARCH_USER"] == "vigie"
    kibana = yaml.safe_load((ROOT / "compose" / "kibana.yml").read_text())
    assert kibana["elasticsearch.username"] == "kibana_system"


def test_kibanas_secrets_have_names_that_its_image_does_not_turn_into_arguments(
    stack: dict[str, Any], stack_secrets: dict[str, str]
) -> None:
    service, text = stack["services"]["kibana"], (ROOT / "compose" / "kibana.yml").read_text()
    assert "./compose/kibana.yml:/usr/share/kibana/config/kibana.yml:ro" in service["volumes"]
    filled = set(re.findall(r"\$\{(\w+)\}", text))
    secret = {n for n, value in service["environment"].items() if value in stack_secrets.values()}
    assert secret == filled == {"KIBANA_PASSWORD", "KIBANA_ENCRYPTION_KEY"}
    settings = {name.upper().replace(".", "_") for name in yaml.safe_load(text)}
    assert {"ELASTICSEARCH_PASSWORD", "XPACK_REPORTING_ENCRYPTIONKEY"} <= settings
    assert settings & service["environment"].keys() == set()


def test_mlflow_requires_a_login_and_tasks_are_not_administrators(
    stack: dict[str, Any], stack_secrets: dict[str, str]
) -> None:
    server = stack["services"]["mlflow"]
    assert "--app-name=basic-auth" in server["command"]
    task = stack["services"]["airflow-scheduler"]["environment"]
    assert task["MLFLOW_TRACKING_USERNAME"] == "vigie"
    assert task["MLFLOW_TRACKING_PASSWORD"] == stack_secrets["VIGIE_MLFLOW_PASSWORD"]
    admin = stack_secrets["MLFLOW_ADMIN_PASSWORD"]
    holders = [
        name
        for name, service in stack["services"].items()
        if admin in map(str, service["environment"].values())
    ]
    assert holders == ["mlflow-init"]
    assert server["depends_on"]["mlflow-init"]["condition"] == "service_completed_successfully"


def test_airflow_requires_a_password_and_hides_its_configuration(stack: dict[str, Any]) -> None:
    environment = stack["services"]["airflow-api-server"]["environment"]
    assert environment["AIRFLOW__CORE__AUTH_MANAGER"].endswith(".FabAuthManager")
    assert environment["AIRFLOW__API__EXPOSE_CONFIG"] == "false"


def test_airflow_processes_share_their_keys(stack: dict[str, Any]) -> None:
    airflow = [s for name, s in stack["services"].items() if name.startswith("airflow-")]
    for key in ("CORE__FERNET_KEY", "API_AUTH__JWT_SECRET", "API__SECRET_KEY"):
        assert len({service["environment"][f"AIRFLOW__{key}"] for service in airflow}) == 1


def test_no_file_of_the_stack_contains_a_well_known_password() -> None:
    files = [
        *(ROOT / "docker-compose.yml", ROOT / "docker-compose.ports.yml", ROOT / ".env.example"),
        *(
            p
            for folder in ("compose", "airflow", "mlflow", "grafana", "prometheus")
            for p in (ROOT / folder).rglob("*")
            if p.is_file() and "__pycache__" not in p.parts
        ),
    ]
    wrong = re.compile(
        r"admin[/:@]admin|changeme|password1234|simple_auth_manager_all_admins|PASSWORD: *['\"]?\w"
        r"|disable-security-middleware|HOST_AUTH_METHOD: *trust",
        re.IGNORECASE,
    )
    found = [f"{path.name}: {m[0]}" for path in files if (m := wrong.search(path.read_text()))]
    assert found == []


def test_no_service_needs_more_processors_than_documented(stack: dict[str, Any]) -> None:
    """Docker rejects a limit above the number of processors, and the start fails."""
    page = (ROOT / "docs" / "compose.md").read_text(encoding="utf-8")
    found = re.search(r"^\* (\d+) processors,", page, re.MULTILINE)
    assert found
    assert max(float(service["cpus"]) for service in stack["services"].values()) == int(found[1])
