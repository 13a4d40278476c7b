# Every target sets up what it needs; nothing has to be installed first but Python 3.11 and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
# tensorflow-cpu is half the download, but exists for Linux and Windows on x86 only.
TENSORFLOW ?= $(if $(filter Linux-x86_64,$(shell uname -sm | tr ' ' '-')),tensorflow-cpu,tensorflow)
BIN := $(VENV)/bin

# The tests without the suites that have a target of their own, in parallel, each file in one process. A process may need
# 2 GB of memory.
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses=4 --dist=loadfile \
	--ignore=tests/parity --ignore=tests/clients --ignore=tests/acceptance

.PHONY: run test check parity clients acceptance train image-check clean

run: $(VENV)/.run
	$(BIN)/siglip serve

test: $(VENV)/.dev
	$(PYTEST) -m "not slow"

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST)

parity: $(VENV)/.parity
	$(BIN)/python -m pytest tests/parity

# Other people's clients as they are, old ones too, and the page in Chromium.
clients: $(VENV)/.clients
	$(BIN)/python -m pytest tests/clients

# What needs heavy or real neighbours. There are no such tests yet, which pytest reports as 5.
acceptance: $(VENV)/.dev
	$(BIN)/python -m pytest tests/acceptance || test $$? -eq 5

train: $(VENV)/.train
	$(BIN)/python -m training.prepare
	$(BIN)/python -m training.train
	$(BIN)/python -m training.evaluate --write-model-card
	$(BIN)/python -m training.answers

# Builds and tries the image. IMAGE_TOOL may be podman, or a stand-in (deploy/image_check.py says what it must know);
# BUILD is for more of its arguments, such as --build-arg TRACING=true.
IMAGE_TOOL ?= docker
FLAVOURS ?= cpu gpu
image-check:
	$(PYTHON) deploy/image_check.py --tool='$(IMAGE_TOOL)' --build='$(BUILD)' $(FLAVOURS)

clean:
	rm -rf $(VENV)

$(VENV)/.run: requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	sed 's/^tensorflow==/$(TENSORFLOW)==/' requirements.txt > $(VENV)/requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check -r $(VENV)/requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# The tests draw pictograms too, so they need what preparing the training data needs: three small packages.
$(VENV)/.dev: $(VENV)/.train requirements-dev.txt requirements-otel.txt requirements-openvino.txt
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements-dev.txt
	touch $@

$(VENV)/.parity: $(VENV)/.dev requirements-parity.txt
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements-parity.txt
	touch $@

# The generations of huggingface_hub whose requests differ, each in an environment of its own.
OLD_HUBS := 0.25.2 0.26.5 0.28.1
$(VENV)/.clients: $(VENV)/.dev requirements-clients.txt tests/clients/package.json
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements-clients.txt
	npm install --prefix tests/clients --no-package-lock --no-audit --no-fund
	set -e; for version in $(OLD_HUBS); do \
		$(BIN)/python -m venv $(VENV)/hub-$$version; \
		$(VENV)/hub-$$version/bin/python -m pip install --disable-pip-version-check huggingface_hub==$$version; \
	done
	touch $@

$(VENV)/.train: $(VENV)/.run requirements-train.txt
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements-train.txt
	touch $@
