"""``make secrets``: write the secrets that docker-compose.yml asks for to ``.env`` (mode 600).

What ``.env`` already sets is kept, whoever wrote it; only what is missing is added. Nothing that is
generated is printed. Python's standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

IMAGE_USER = 50000  # of the image, where the folders need not belong to anybody in particular
FOLDERS = ("data", "data/local", "data/stack", "artifacts", "reports")
HEADER = """\
# Secrets of the Compose stack, written by `make secrets`. Keep this file private. The services'
# volumes know these passwords: a value changed here is to be changed there too, docs/compose.md.
"""


def _key() -> str:
    return secrets.token_urlsafe(32)


def _typed_by_people() -> str:
    return secrets.token_urlsafe(12)


def _fernet() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _user() -> str:
    """Return the owner of the mounted folders; root's containers would be root in them."""
    return str(os.getuid() or IMAGE_USER)


SECRETS: dict[str, Callable[[], str]] = {
    "AIRFLOW_UID": _user,
    "POSTGRES_PASSWORD": _key,
    "AIRFLOW_DB_PASSWORD": _key,
    "MLFLOW_DB_PASSWORD": _key,
    "VIGIE_DB_PASSWORD": _key,
    "AIRFLOW_FERNET_KEY": _fernet,
    "AIRFLOW_SECRET_KEY": _key,
    "AIRFLOW_JWT_SECRET": lambda: secrets.token_urlsafe(64),  # HS512 asks for 64 bytes
    "AIRFLOW_ADMIN_PASSWORD": _typed_by_people,
    "ELASTIC_PASSWORD": _typed_by_people,
    "KIBANA_PASSWORD": _key,
    "KIBANA_ENCRYPTION_KEY": _key,
    "VIGIE_ES_PASSWORD": _key,
    "AIRFLOW_ES_PASSWORD": _key,
    "GRAFANA_ADMIN_PASSWORD": _typed_by_people,
    "GRAFANA_SECRET_KEY": _key,
    "REDIS_PASSWORD": _key,
}


def write_secrets(root: Path) -> list[str]:
    """Add what ``.env`` lacks, whole or not at all; return the names that were added."""
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
    return re.search(rf"^\s*(export\s+)?{name}\s*=\s*\S", text, re.MULTILINE) is not None


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".env.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


def make_folders(root: Path) -> list[str]:
    """Make the mounted folders, which Docker would make as root; name those that are not ours."""
    foreign = []
    for name in FOLDERS:
        folder = root / name
        if not folder.exists():
            folder.mkdir(mode=0o750 if name == "data/stack" else 0o700, parents=True)
            if os.getuid() == 0 and name == "data/stack":
                os.chown(folder, IMAGE_USER, 0)
        if name != "data/local" and folder.stat().st_uid != int(_user()):
            foreign.append(name)
    return foreign


def main(root: Path) -> int:
    """Write, and tell the names; return the exit code."""
    added = write_secrets(root)
    foreign = make_folders(root)
    sys.stdout.write(f"Added to .env (mode 600): {', '.join(added)}\n" if added else "")
    sys.stdout.write("" if added else "Every secret is set in .env; nothing changed.\n")
    if foreign:
        sys.stdout.write(
            f"The containers run as user {_user()}, to whom {', '.join(foreign)} do not belong; "
            f"once: chown -R {_user()} {' '.join(foreign)}\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[1]))
