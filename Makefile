# Two commands set everything up on a fresh machine: `make segment` and `make test`.
# Environments live outside the checkout, one per Python and the first part of pyproject.toml, so that a fresh clone starts in seconds.
PYTHON ?= python3
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/lite-medsam
KEY := $(shell $(PYTHON) -c "import hashlib, pathlib, sys; print(hashlib.sha256(pathlib.Path('pyproject.toml').read_bytes().split(b'[tool.')[0] + sys.version.encode()).hexdigest()[:12])")
BASE := $(CACHE)/base-$(KEY)
BASE_TEST := $(CACHE)/base-test-$(KEY)
FULL := $(CACHE)/full-$(KEY)
DEMO := $(CACHE)/demo-$(KEY)
OLDEST := $(CACHE)/oldest-$(KEY)
OUT ?= out
# as many test processes as there are cores, a file of tests in one of them; TESTS=tests/images runs a part
PYTEST := -m pytest -n auto --maxprocesses 8 --dist loadfile
TESTS ?= tests

# $(call install,ENVIRONMENT,REQUIREMENTS): a new environment with our dependencies but without our code, which comes
# from the checkout; the file "ready" says that the installation went through.
define install
	rm -rf $(1)
	$(PYTHON) -m venv $(1)
	$(1)/bin/python -m pip install --quiet --upgrade pip
	$(1)/bin/python -m pip install --quiet $(2)
	$(1)/bin/python -m pip uninstall --quiet --yes lite-medsam
	touch $(1)/ready
endef

.PHONY: segment demo test test-base test-slow test-oldest fuzz check lint docs

segment: $(BASE)/ready  ## install the base package and segment the bundled cases
	PYTHONPATH=. $(BASE)/bin/python -m lite_medsam phantoms -o $(OUT)/cases
	PYTHONPATH=. $(BASE)/bin/python -m lite_medsam segment -i $(OUT)/cases -o $(OUT)/masks
	@echo "look at $(OUT)/masks/*_overlay.png"

demo: $(DEMO)/ready  ## open the demo in the browser
	PYTHONPATH=. $(DEMO)/bin/python -m lite_medsam demo

test: $(FULL)/ready test-base  ## the tests of the base package without extras, then in the full environment what differs there
	$(FULL)/bin/python $(PYTEST) -m "not slow" --after-base $(TESTS)

test-base: $(BASE_TEST)/ready
	$(BASE_TEST)/bin/python $(PYTEST) -m "not slow" --ignore tests/learning $(TESTS)

test-slow: $(FULL)/ready  ## minutes: full-size models and runs
	$(FULL)/bin/python -m pytest -m slow $(TESTS)

test-oldest: $(OLDEST)/ready  ## the tests without torch, with the oldest versions that pyproject.toml allows
	$(OLDEST)/bin/python $(PYTEST) -m "not slow" --ignore tests/learning $(TESTS)

fuzz: $(FULL)/ready  ## a million damaged files for every reader; continues where the last run stopped
	$(FULL)/bin/python tests/fuzz/run.py --state $(CACHE)/fuzz $(FUZZ)

lint: $(FULL)/ready  ## style and types
	$(FULL)/bin/python -m ruff check .
	$(FULL)/bin/python -m ruff format --check .
	$(FULL)/bin/python -m mypy

check: lint  ## lint, and the tests of what changed since main
	$(FULL)/bin/python tests/support/changed.py | xargs -r $(FULL)/bin/python $(PYTEST) -m "not slow"

docs: $(FULL)/ready  ## the documentation as a site, in site/index.html; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(FULL)/bin/python -m mkdocs build --quiet

$(BASE)/ready:
	$(call install,$(BASE),.)

$(BASE_TEST)/ready:
	$(call install,$(BASE_TEST),. pytest pytest-xdist hypothesis)

$(FULL)/ready:
	$(call install,$(FULL),".[train$(COMMA)demo$(COMMA)medical$(COMMA)openvino$(COMMA)oct$(COMMA)metrics$(COMMA)serve$(COMMA)ray$(COMMA)docs$(COMMA)dev]")

$(OLDEST)/ready:  # uv, because pip has no way to ask for the lowest versions
	rm -rf $(OLDEST)
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet uv
	$(OLDEST)/bin/uv pip install --quiet --python $(OLDEST)/bin/python --resolution lowest-direct ".[medical$(COMMA)demo]"
	$(OLDEST)/bin/uv pip uninstall --quiet --python $(OLDEST)/bin/python lite-medsam
	$(OLDEST)/bin/python -m pip install --quiet pytest pytest-xdist hypothesis jsonschema
	$(OLDEST)/bin/python -m pip freeze > $(OLDEST)/versions.txt
	touch $(OLDEST)/ready

$(DEMO)/ready:
	$(call install,$(DEMO),".[demo$(COMMA)medical]")

COMMA := ,
