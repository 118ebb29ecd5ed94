"""``make pin-images``: write ``docker-compose.images.yml`` with the digest of every image.

This needs the Docker client and the network, but no engine and no pull. The main file keeps
readable tags; the written file overrides them with digests:

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

HEADER = "# Written by `make pin-images`: digests of the images in docker-compose.yml.\n"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

Resolve = Callable[[str], str]


def resolve(image: str) -> str:
    """Return the digest of a tag, for all platforms, from its registry."""
    command = ["docker", "buildx", "imagetools", "inspect", image, "--format", "{{json .Manifest}}"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise SystemExit(f"cannot resolve {image}: {answer.stderr.strip()}")
    return str(json.loads(answer.stdout)["digest"])


def pinned(services: dict[str, Any], base_image: str, resolve: Resolve) -> str:
    """Return the text of the override file; for an image built here, it pins the base image."""
    ours = {service["image"] for service in services.values() if "build" in service}
    foreign = {service["image"] for service in services.values()} - ours
    digests = {image: resolve(image) for image in sorted(foreign | {base_image})}
    for image, digest in digests.items():
        if not DIGEST.fullmatch(digest):
            raise SystemExit(f"{image} resolved to {digest!r}, which is not a digest")
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
    """Return the base image of both Dockerfiles."""
    found = {
        match[1]
        for path in (root / "airflow/Dockerfile", root / "mlflow/Dockerfile")
        for match in re.finditer(r"^ARG BASE_IMAGE=(\S+)$", path.read_text(), re.MULTILINE)
    }
    if len(found) != 1:
        raise SystemExit(f"the Dockerfiles name different base images: {', '.join(sorted(found))}")
    return found.pop()


def main(root: Path) -> int:
    """Read the images from the Compose file, resolve their digests, and write the file."""
    # Name the main file, because COMPOSE_FILE in .env may include the file written here.
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
