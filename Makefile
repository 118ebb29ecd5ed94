# Targets that need .venv create it first. `make help` lists all targets.
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
PY := $(VENV)/bin/python -I
VIGIE := $(VENV)/bin/vigie
MODEL ?=

.PHONY: help install install-dev demo up down status check test lint format lock bench clean \
	pipeline-check pipeline-once pipeline-continuous pipeline-test-indexes pipeline-clear-indexes \
	pipeline-deduplicate pipeline-export-parquet pipeline-analyze-drift pipeline-elasticsearch-up \
	pipeline-elasticsearch-down services services-down test-soak test-celery secrets pin-images dashboards demo-services docs figures

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-26s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## Create .venv and install the locked packages (other targets run this first)
	@sh scripts/install.sh

install-dev: install ## Run install, and set up the pre-commit hooks
	@if [ -d .git ]; then $(VENV)/bin/pre-commit install; fi

demo: install ## Run the closed loop in Airflow and assert the result of each step
	@$(VIGIE) demo

up: install ## Start the local platform
	@$(VIGIE) up

down: install ## Stop the local platform
	@$(VIGIE) down

status: install ## Print the state of each program of the local platform
	@$(VIGIE) status

check: install ## Check every service, dependency and setting
	@$(VIGIE) check

test: install ## Run the tests
	@$(PY) -m pytest -rs -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

lint: install ## Run Ruff, mypy --strict and the import rules
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

format: install ## Format the code
	@$(VENV)/bin/ruff check --fix-only . && $(VENV)/bin/ruff format .

lock: install ## Resolve requirements*.in into requirements.lock (without torch and its CUDA packages)
	@sh scripts/lock.sh

bench: install ## Run every benchmark; each prints its measured value and its target
	@for script in benchmarks/bench_*.py; do echo "== $$script"; $(PY) $$script || exit 1; done

docs: install ## Write docs/commands.md and the module list of docs/architecture.md
	@$(PY) scripts/commands_page.py > docs/commands.md.tmp && mv docs/commands.md.tmp docs/commands.md
	@$(PY) scripts/architecture_page.py > docs/architecture.md.tmp && mv docs/architecture.md.tmp docs/architecture.md

figures: install ## Print the size and structure of plugins/vigie, each with its limit
	@$(PY) scripts/figures.py

test-soak: install ## Run the tests that kill consumers and servers (after make services; KILLS=50)
	@VIGIE_TEST_KILLS=$(or $(KILLS),50) $(PY) -m pytest tests -m service -k kill --timeout=3600 -p no:randomly --log-cli-level=INFO

demo-services: install ## Test the demo, Airflow Connections and outages on the real servers (after make services)
	@VIGIE_PLATFORM_TEST=1 $(PY) -m pytest tests/demo/test_demo_services.py --timeout=3600 -p no:randomly

test-celery: install ## Run the demo on two Celery workers and kill one (ten minutes; after make services)
	@VIGIE_CELERY_TEST=1 $(PY) -m pytest tests/stack/test_celery.py --timeout=3600 -p no:randomly -s

services: install ## Start real servers for tests: PostgreSQL, Kafka, Elasticsearch and others
	@$(PY) -m servers up

services-down: install ## Stop the real servers; their data stays in data/services
	@$(PY) -m servers down

clean: down ## Stop the local platform and delete data/local
	@rm -rf data/local

secrets: ## Add missing secrets of the Compose stack to .env (mode 600)
	@python3 -I scripts/make_secrets.py

pin-images: ## Write docker-compose.images.yml with the digest of every image (needs Docker and network access)
	@python3 -I scripts/pin_images.py

dashboards: install ## Generate grafana/dashboards from the catalogue of metrics
	@$(PY) scripts/dashboards.py

pipeline-check: install ## Check the services that log collection needs
	@$(VIGIE) check

pipeline-once: install ## Collect, filter and index the API's logs once
	@$(VIGIE) logs once

pipeline-continuous: install ## Collect the API's logs repeatedly until Ctrl-C
	@$(VIGIE) logs run

pipeline-test-indexes: install ## Create missing indices and check the mapping of each index
	@$(VIGIE) logs check-indices

pipeline-clear-indexes: install ## Delete the three log indices (make pipeline-clear-indexes YES=--yes)
	@$(VIGIE) logs clear $(YES)

pipeline-deduplicate: install ## Delete older documents with the same transaction_id (normally there are none)
	@$(VIGIE) logs deduplicate

pipeline-export-parquet: install ## Export ml-api-message to Parquet (MODEL=name)
	@$(VIGIE) logs export $(if $(MODEL),--model $(MODEL))

pipeline-analyze-drift: install ## Compare the training table with production data (MODEL=name)
	@$(VIGIE) drift analyze $(if $(MODEL),--model $(MODEL))

pipeline-elasticsearch-up: ## Start Elasticsearch and Kibana with Compose; without Docker, start a local Elasticsearch node
	@sh scripts/elasticsearch.sh up

pipeline-elasticsearch-down: ## Stop Elasticsearch and Kibana
	@sh scripts/elasticsearch.sh down
