# make demo | serve | test | test-viewers | lint; each first makes .venv when it is missing or older than the requirements.
# PYTHON=python3.12 picks the interpreter, TORCH_INDEX=<URL> another index for torch (a CPU build, another CUDA).
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# torch's threads sleep at their barriers: on shared cores, spinning there made a decode several times slower
export OMP_WAIT_POLICY ?= passive

# of the command line alone: some shells export HOST, the machine's name
STUDIES := demo/studies
STUDY :=
CLICKS :=
PORT := 8000
HOST := 127.0.0.1

# the app is a program of its own: its package is called lib, as MONAI Label has it
APP_TYPES := cd apps/seganypet_label && MYPYPATH=../../bundle mypy --config-file ../../pyproject.toml lib main.py

.PHONY: demo serve test test-viewers lint clean

demo: $(VENV)/installed
	python scripts/demo.py $(if $(STUDY),--study "$(STUDY)") $(if $(CLICKS),--clicks "$(CLICKS)")

serve: $(VENV)/installed
	@[ "$(STUDIES)" != demo/studies ] || mkdir -p demo/studies
	python -m monailabel.main start_server --app apps/seganypet_label --studies "$(STUDIES)" --host $(HOST) --port $(PORT)

test: $(VENV)/installed-dev
	ruff check . && ruff format --check . && mypy && $(APP_TYPES)
	pytest -n 2 --dist loadfile --no-loadscope-reorder

# Orthanc, OHIF in Chromium: apt-get install orthanc orthanc-dicomweb chromium iproute2 util-linux
test-viewers: $(VENV)/installed-dev
	pytest tests/viewers

lint: $(VENV)/installed-dev
	ruff check --fix . && ruff format . && mypy && $(APP_TYPES)

$(VENV)/installed: requirements.txt requirements-nodeps.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; v in ((3, 11), (3, 12)) or sys.exit(f"Python 3.11 or 3.12 is needed, {sys.executable} is {v}; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	python -m pip install --quiet $(if $(TORCH_INDEX),--index-url "$(TORCH_INDEX)") $$(grep -m1 '^torch==' requirements.txt)
	python -m pip install --quiet -r requirements.txt
	python -m pip install --quiet --no-deps -r requirements-nodeps.txt
	mkdir -p $(addprefix apps/seganypet_label/,bin logs model)  # a server that may not write makes none
	touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.txt
	python -m pip install --quiet -r requirements-dev.txt
	touch $@

clean:
	rm -rf $(VENV) runs demo
