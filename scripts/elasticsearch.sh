#!/bin/sh
# make pipeline-elasticsearch-up | -down: Elasticsearch and Kibana of the Compose stack on 127.0.0.1.
# Without Docker, use the local Elasticsearch node of `make services`.
set -eu
cd "$(dirname "$0")/.."

compose() { docker compose -f docker-compose.yml -f docker-compose.ports.yml "$@"; }

if docker info >/dev/null 2>&1; then
  case "$1" in
    up) compose up --detach --wait elasticsearch kibana ;;
    down) compose stop kibana elasticsearch ;;
  esac
else
  sh scripts/install.sh
  echo "Docker is not available: using the local Elasticsearch node of 'make services', without Kibana."
  exec .venv/bin/python -I -m servers "$1" --only elasticsearch
fi
