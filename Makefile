# Every target installs what it needs. Only Python 3.11 or 3.12 and make must be installed before.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
# tensorflow-cpu is half the download, but exists only for Linux and Windows on x86.
TENSORFLOW ?= $(if $(filter Linux-x86_64,$(shell uname -sm | tr ' ' '-')),tensorflow-cpu,tensorflow)
BIN := $(VENV)/bin

# All tests except the suites with separate targets, in parallel; each file runs in one process. A process may need 2 GB
# of memory.
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

# Third-party clients, including old versions, and the web page in Chromium.
clients: $(VENV)/.clients
	$(BIN)/python -m pytest tests/clients

# Tests that need heavy or real other services, and the comparison of large checkpoints with transformers, whose process
# keeps 10 GB of memory.
LARGE := tests/acceptance/test_full_size.py
acceptance: $(VENV)/.acceptance
	$(BIN)/python -m pytest tests/acceptance tests/app/cluster --ignore=$(LARGE)
	$(BIN)/python -m pytest $(LARGE)

train: $(VENV)/.train
	$(BIN)/python -m training.prepare
	$(BIN)/python -m training.train
	$(BIN)/python -m training.evaluate --write-model-card
	$(BIN)/python -m training.answers

# Builds and checks the image. IMAGE_TOOL may be podman, or another command that deploy/image_check.py describes. BUILD
# has more arguments for the build, such as --build-arg TRACING=true.
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

# The tests also render pictograms, so they need the packages for preparing the training data, which are small.
$(VENV)/.dev: $(VENV)/.train requirements-dev.txt requirements-codecs.txt requirements-otel.txt requirements-parquet.txt requirements-openvino.txt
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements-dev.txt
	touch $@

$(VENV)/.parity: $(VENV)/.dev requirements-parity.txt
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements-parity.txt
	touch $@

# The S3 server of the tests needs other versions of packages than the service, so it has an environment of its own.
$(VENV)/.acceptance: $(VENV)/.parity requirements-acceptance.txt requirements-ray.txt requirements-sbom.txt requirements-s3.txt
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements-acceptance.txt
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps -r requirements-s3.txt
	$(BIN)/python -m venv $(VENV)/s3
	$(VENV)/s3/bin/python -m pip install --disable-pip-version-check 'moto[server]==5.2.5'
	touch $@

# The versions of huggingface_hub whose requests differ, each in a separate environment.
OLD_HUBS := 0.25.2 0.26.5 0.28.1
$(VENV)/.clients: $(VENV)/.dev requirements-clients.txt requirements-openai.txt tests/clients/package.json
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements-clients.txt
	npm install --prefix tests/clients --no-package-lock --no-audit --no-fund
	set -e; for version in $(OLD_HUBS); do \
		$(BIN)/python -m venv $(VENV)/hub-$$version; \
		$(VENV)/hub-$$version/bin/python -m pip install --disable-pip-version-check huggingface_hub==$$version; \
	done
	$(BIN)/python -m venv $(VENV)/openai
	$(VENV)/openai/bin/python -m pip install --disable-pip-version-check -r requirements-openai.txt
	touch $@

$(VENV)/.train: $(VENV)/.run requirements-train.txt
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements-train.txt
	touch $@
