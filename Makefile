# Two commands set everything up on a fresh machine: `make segment` and `make test`.
# Environments live outside the checkout, one per content of pyproject.toml and Python, so that a fresh clone starts in seconds.
PYTHON ?= python3
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/lite-medsam
KEY := $(shell $(PYTHON) -c "import hashlib, pathlib, sys; print(hashlib.sha256(pathlib.Path('pyproject.toml').read_bytes() + sys.version.encode()).hexdigest()[:12])")
BASE := $(CACHE)/base-$(KEY)
BASE_TEST := $(CACHE)/base-test-$(KEY)
FULL := $(CACHE)/full-$(KEY)
DEMO := $(CACHE)/demo-$(KEY)
OUT ?= out

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

.PHONY: segment demo test test-base test-slow lint docs

segment: $(BASE)/ready  ## install the base package and segment the bundled cases
	PYTHONPATH=. $(BASE)/bin/python -m lite_medsam phantoms -o $(OUT)/cases
	PYTHONPATH=. $(BASE)/bin/python -m lite_medsam segment -i $(OUT)/cases -o $(OUT)/masks
	@echo "look at $(OUT)/masks/*_overlay.png"

demo: $(DEMO)/ready  ## open the demo in the browser
	PYTHONPATH=. $(DEMO)/bin/python -m lite_medsam demo

test: $(FULL)/ready test-base  ## the tests of the base package without torch, then all, in the full environment
	$(FULL)/bin/python -m pytest -m "not slow"

test-base: $(BASE_TEST)/ready
	$(BASE_TEST)/bin/python -m pytest -m "not slow" --ignore tests/learning

test-slow: $(FULL)/ready  ## minutes: full-size published models
	$(FULL)/bin/python -m pytest -m slow

lint: $(FULL)/ready
	$(FULL)/bin/python -m ruff check .

docs: $(FULL)/ready  ## the documentation as a site, in site/index.html; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(FULL)/bin/python -m mkdocs build --quiet

$(BASE)/ready:
	$(call install,$(BASE),.)

$(BASE_TEST)/ready:
	$(call install,$(BASE_TEST),. pytest hypothesis)

$(FULL)/ready:
	$(call install,$(FULL),".[train$(COMMA)demo$(COMMA)medical$(COMMA)openvino$(COMMA)oct$(COMMA)metrics$(COMMA)serve$(COMMA)ray$(COMMA)docs$(COMMA)dev]")

$(DEMO)/ready:
	$(call install,$(DEMO),".[demo$(COMMA)medical]")

COMMA := ,
