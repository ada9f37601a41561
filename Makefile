# Needs Python 3.11, pip and make; everything else is installed into .venv from the locked lists.
# PORT, SANDBOX_PORT and DATA_DIR choose the demo's places: make demo PORT=9000 DATA_DIR=.data2

PY := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: audit chaos help demo test test-browser lint format lock reset install-demo install-dev

help: ## What can be made
	@awk -F ': .*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: install-demo ## Run everything on this machine, with a local TikTok
	@exec $(PY) -m stack demo

test: install-dev ## Run the tests (without the browser's), on up to 8 cores
	$(PY) -m pytest -q -n auto --maxprocesses 8 --dist worksteal -m "not browser and not exhaustive" $(ARGS)

chaos: install-dev ## Break everything, count what stands: make chaos N=500 SEED=1 SHORT=1
	@$(PY) -m chaos $(if $(N),--n $(N)) $(if $(SEED),--seed $(SEED)) $(if $(SHORT),--short) $(ARGS)

test-browser: install-dev ## Run the tests that drive the pages with Chromium
	$(PY) -m pytest -q -m browser $(ARGS)

lint: export DJANGO_SETTINGS_MODULE = tests.settings
lint: install-dev ## Check style, types, migrations and settings
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	$(PY) manage.py check --fail-level WARNING

audit: install-dev ## Check the packages: as locked, unaltered, known licences (ADVISORIES=all.zip: known holes)
	@$(PY) -m config.supply_chain $(if $(ADVISORIES),--advisories $(ADVISORIES))

format: install-dev ## Format the code and sort its imports
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .

lock: install-dev ## Lock the packages of requirements/*.in anew, in their newest allowed versions
	cd requirements && for list in app demo dev; do \
		CUSTOM_COMPILE_COMMAND="make lock" ../$(PY) -m piptools compile --quiet --upgrade --generate-hashes \
			--allow-unsafe --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
			--output-file $$list.txt $$list.in || exit 1; \
	done

reset: install-demo ## Delete the demo's data
	@$(PY) -m stack reset

install-demo:
	@sh requirements/install demo

install-dev:
	@sh requirements/install dev
