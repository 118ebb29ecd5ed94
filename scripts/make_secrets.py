"""``make secrets``: add the secrets that docker-compose.yml requires to ``.env`` (mode 600).

Existing values in ``.env`` are kept, and generated values are never printed. The script also
creates the folders that containers write to, sets the containers' user as the owner, and makes the
files that containers read readable for all users, because the images have different users. The
script uses only Python's standard library, because it runs before anything is installed.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import stat
import string
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

IMAGE_USER = 50000  # the user of the image, used if root runs this script
MOUNTED = ("data", "data/stack", "artifacts", "reports")  # writable in the containers
PRIVATE = "data/local"  # state of the local platform, whose PostgreSQL may run as another user
KEPT = (PRIVATE, "data/services")  # their owner is not changed
READ_BY_CONTAINERS = (
    *("airflow/dags", "compose", "grafana", "init-db.sql", "models", "plugins", "prometheus"),
    *("prometheus.yml", "pyproject.toml", "README.md", "LICENSE"),
)
HEADER = """\
# Secrets of the Compose stack, written by `make secrets`. Keep this file private. Services store
# these passwords in their volumes; docs/compose.md says how to change one.
"""


def _token(n_bytes: int) -> str:
    """Return a secret that starts with a letter, so that no program parses it as an option."""
    return secrets.choice(string.ascii_letters) + secrets.token_urlsafe(n_bytes)


def _key() -> str:
    return _token(32)


def _password() -> str:
    return _token(12)


def _fernet() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _user() -> str:
    """Return the user that runs the containers, never root."""
    return str(os.getuid() or IMAGE_USER)


SECRETS: dict[str, Callable[[], str]] = {
    "AIRFLOW_UID": _user,
    "POSTGRES_PASSWORD": _key,
    "AIRFLOW_DB_PASSWORD": _key,
    "MLFLOW_DB_PASSWORD": _key,
    "VIGIE_DB_PASSWORD": _key,
    "MLFLOW_ADMIN_PASSWORD": _password,
    "VIGIE_MLFLOW_PASSWORD": _key,
    "MLFLOW_SECRET_KEY": _key,
    "AIRFLOW_FERNET_KEY": _fernet,
    "AIRFLOW_SECRET_KEY": _key,
    "AIRFLOW_JWT_SECRET": lambda: _token(64),  # HS512 requires 64 bytes
    "AIRFLOW_ADMIN_PASSWORD": _password,
    "ELASTIC_PASSWORD": _password,
    "KIBANA_PASSWORD": _key,
    "KIBANA_ENCRYPTION_KEY": _key,
    "VIGIE_ES_PASSWORD": _key,
    "AIRFLOW_ES_PASSWORD": _key,
    "GRAFANA_ADMIN_PASSWORD": _password,
    "GRAFANA_SECRET_KEY": _key,
    "REDIS_PASSWORD": _key,
}


def write_secrets(root: Path) -> list[str]:
    """Add missing secrets to ``.env`` atomically; return the added names."""
    path = root / ".env"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    missing = [name for name in SECRETS if not _is_set(name, text)]
    if missing:
        gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
        lines = "".join(f"{name}={SECRETS[name]()}\n" for name in missing)
        _replace(path, f"{text}{gap}{HEADER}{lines}")
    else:
        path.chmod(0o600)
    return missing


def _is_set(name: str, text: str) -> bool:
    return _value(name, text) != ""


def _value(name: str, text: str) -> str:
    """Return a variable's value without quotes and comments, or an empty string."""
    line = rf"^[ \t]*(?:export[ \t]+)?{name}[ \t]*=[ \t]*(.*)$"
    found = re.findall(line, text, re.MULTILINE)
    return re.sub(r"^#.*|[ \t]+#.*", "", found[-1]).strip(" \t\r'\"") if found else ""


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".env.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


def user_of_containers(root: Path) -> int:
    """Return ``AIRFLOW_UID`` of ``.env``, which must not be root."""
    text = _value("AIRFLOW_UID", (root / ".env").read_text(encoding="utf-8"))
    if not re.fullmatch("[0-9]+", text) or not int(text):
        raise SystemExit(f"AIRFLOW_UID in .env must be a user id greater than 0, found {text!r}")
    return int(text)


def make_folders(root: Path, user: int) -> list[str]:
    """Create the mounted folders and set their owner; return the folders with another owner.

    Docker would create missing folders with root as the owner.
    """
    for name in (*MOUNTED, PRIVATE):
        mode = 0o750 if name == "data/stack" else 0o700
        (root / name).mkdir(mode=mode, parents=True, exist_ok=True)
    others = {
        name: [path for path in _mounted(root, name) if path.lstat().st_uid != user]
        for name in MOUNTED
    }
    if os.getuid() == 0:
        for path in (path for paths in others.values() for path in paths):
            os.chown(path, user, -1, follow_symlinks=False)
        return []
    return [name for name, paths in others.items() if paths]


def _mounted(root: Path, name: str) -> Iterator[Path]:
    """Yield a folder and its contents, except the folders in ``KEPT``."""
    for folder, names, files in os.walk(root / name):
        if Path(folder) == root / "data":
            names[:] = [found for found in names if f"data/{found}" not in KEPT]
        yield Path(folder)
        yield from (Path(folder, found) for found in files)


def chown_command(foreign: list[str], user: int) -> str:
    """Return the command that sets the owner, for a user who may use sudo."""
    whole = " ".join(name for name in foreign if name != "data")
    kept = " ".join(f"-path {name} -prune -o" for name in KEPT)
    some = f"sudo find data {kept} -exec chown -h {user} {{}} +"
    commands = [some] if "data" in foreign else []
    return " && ".join([*commands, *([f"sudo chown -hR {user} {whole}"] if whole else [])])


def make_readable(root: Path) -> list[str]:
    """Let all users read the files for the containers; return the paths where this failed."""
    return [
        name for name in READ_BY_CONTAINERS if not all(map(_make_readable, _below(root / name)))
    ]


def _make_readable(path: Path) -> bool:
    mode = stat.S_IMODE(path.stat().st_mode)
    wanted = mode | (0o005 if path.is_dir() else 0o004)
    try:
        if wanted != mode:
            path.chmod(wanted)
    except PermissionError:
        return False
    return True


def _below(path: Path) -> Iterator[Path]:
    """Yield a path and its contents, without symbolic links."""
    if not path.exists() or path.is_symlink():
        return
    yield path
    for found in path.rglob("*") if path.is_dir() else ():
        if not found.is_symlink():
            yield found


def main(root: Path) -> int:
    """Write secrets, folders and permissions, print the changes, and return the exit code."""
    added = write_secrets(root)
    sys.stdout.write(f"Added to .env (mode 600): {', '.join(added)}\n" if added else "")
    sys.stdout.write("" if added else ".env already contains every secret.\n")
    user = user_of_containers(root)
    foreign, unread = make_folders(root, user), make_readable(root)
    if foreign:
        sys.stdout.write(
            f"The containers run as user {user} (AIRFLOW_UID in .env), which cannot write to "
            f"{', '.join(foreign)}. Run:\n  {chown_command(foreign, user)}\n"
        )
    if unread:
        sys.stdout.write(
            "The users of the containers cannot read all mounted files. Run:\n"
            f"  sudo chmod -R o+rX {' '.join(unread)}\n"
        )
    return 1 if foreign or unread else 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[1]))
