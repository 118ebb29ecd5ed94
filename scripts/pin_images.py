"""``make pin-images``: write ``docker-compose.images.yml``, which names every image by its digest.

It needs Docker and the network; neither an engine nor a pull. The tags stay in the main file, so
that a person can read what runs; compose then takes the digests:

    docker compose -f docker-compose.yml -f docker-compose.images.yml up -d

(or ``COMPOSE_FILE=docker-compose.yml:docker-compose.images.yml`` in ``.env``).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HEADER = "# Written by `make pin-images`: the images of docker-compose.yml by digest.\n"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

Resolve = Callable[[str], str]


def resolve(image: str) -> str:
    """Return the digest that a registry has for a tag, all platforms in one."""
    command = ["docker", "buildx", "imagetools", "inspect", image, "--format", "{{json .Manifest}}"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise SystemExit(f"{image} was not resolved: {answer.stderr.strip()}")
    return str(json.loads(answer.stdout)["digest"])


def pinned(services: dict[str, Any], base_image: str, resolve: Resolve) -> str:
    """Return the override file; images that we build get their base image by digest."""
    ours = {service["image"] for service in services.values() if "build" in service}
    foreign = {service["image"] for service in services.values()} - ours
    digests = {image: resolve(image) for image in sorted(foreign | {base_image})}
    for image, digest in digests.items():
        if not DIGEST.fullmatch(digest):
            raise SystemExit(f"{image} resolved to {digest!r}, which is no digest")
    lines = [HEADER, "services:\n"]
    for name, service in services.items():
        if service["image"] in foreign:
            image = service["image"]
            lines.append(f"  {name}:\n    image: {image}@{digests[image]}\n")
        elif "build" in service:
            base = f"{base_image}@{digests[base_image]}"
            lines.append(f"  {name}:\n    build:\n      args:\n        BASE_IMAGE: {base}\n")
    return "".join(lines)


def base_image(root: Path) -> str:
    """Return the base image that both Dockerfiles name."""
    found = {
        match[1]
        for path in (root / "airflow/Dockerfile", root / "mlflow/Dockerfile")
        for match in re.finditer(r"^ARG BASE_IMAGE=(\S+)$", path.read_text(), re.MULTILINE)
    }
    if len(found) != 1:
        raise SystemExit(f"the Dockerfiles name different base images: {', '.join(sorted(found))}")
    return found.pop()


def main(root: Path) -> int:
    """Ask compose what it runs, the registries for the digests, and write the file."""
    # The main file by its name: COMPOSE_FILE in .env may choose the file that is written here.
    command = ["docker", "compose", "-f", "docker-compose.yml", "--profile", "*"]
    command += ["config", "--format", "json"]
    config = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if config.returncode:
        raise SystemExit(f"docker compose config: {config.stderr.strip()}")
    text = pinned(json.loads(config.stdout)["services"], base_image(root), resolve)
    (root / "docker-compose.images.yml").write_text(text, encoding="utf-8")
    sys.stdout.write("Wrote docker-compose.images.yml\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[1]))
