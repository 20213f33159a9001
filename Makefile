.DEFAULT_GOAL := help
.PHONY: help demo test tests server package bench soak lint clean

PYTHON := .venv/bin/python
READY := .venv/.ready

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## Show the plugin at work on a real MemOS server (or on MEMOS_URL with MEMOS_API_KEY)
	@$(PYTHON) -m sandbox.demo

test: $(READY) ## Run the linters and all tests
	@$(MAKE) --no-print-directory --jobs lint tests

tests: $(READY)
	@$(PYTHON) -m tests.run

server: $(READY) ## Run a MemOS server on this machine until Ctrl-C
	@$(PYTHON) -m sandbox.memos_server

package: $(READY) ## Build the package that Dify installs
	@$(PYTHON) -m sandbox.package

bench: $(READY) ## Measure the plugin beside the wire, the SDK and a connection per call
	@$(PYTHON) -m bench

soak: $(READY) ## Put the plugin under load until its memory tells
	@SOAK=1 $(PYTHON) -m pytest --quiet --capture=no tests/load/test_load.py

lint: $(READY) ## Run the linters only
	$(PYTHON) -m ruff check --quiet
	$(PYTHON) -m ruff format --check --quiet
	$(PYTHON) -m mypy --no-error-summary

clean: ## Remove all that these targets made
	rm -rf .venv .sandbox dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

# The environment of the plugin and of everything that tests it.
$(READY): requirements.txt requirements-dev.txt sandbox/graphon_requirements.txt
	@echo "Setting up .venv (once, about half a minute) ..."
	@for python in python3.12 python3 python; do \
	  if "$$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info[:2] != (3, 12))' 2>/dev/null; then \
	    exec "$$python" -m venv --clear .venv; \
	  fi; \
	done; \
	if command -v uv >/dev/null; then \
	  exec uv venv --quiet --clear --seed --python 3.12 .venv; \
	fi; \
	echo "This needs Python 3.12 with its venv module, or uv. Neither was found: install python3.12" >&2; \
	echo "(on Debian and Ubuntu also python3.12-venv) or uv (https://docs.astral.sh/uv), and run this again." >&2; \
	exit 1
	@$(PYTHON) -m pip install -qq --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	@$(PYTHON) -m pip install -qq --disable-pip-version-check --no-deps -r sandbox/graphon_requirements.txt
	@touch $@
