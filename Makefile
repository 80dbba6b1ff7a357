# make run      compare two images with four texts (installs into .venv first; no network after that)
#               TORCH=cpu takes the CPU build of PyTorch, 2 GB instead of 7; PYTHON=python3.12 another Python
# make lab      open the lessons in JupyterLab, as a working copy in learning/
# make site     build the course as a site, in build/site
# make play     build it, and show it at http://127.0.0.1:8000 (PORT=… names another port)
# make check    say whether this machine can run the course, and how to fix it where it can't
#
# make test     style, types, spelling, unit tests, and every lesson once
# make test-all     that, and all of these:
# make random-models    every lesson with models that know nothing
# make portable     every lesson as another processor would compute it (SEEDS="1 2" tries other shaken weights)
# make test-browser     every lesson in JupyterLab in a real browser (CHROMIUM=… names another than chromium)
# make test-site    every page of the site in a real browser, every link, and the playground (CHROMIUM=… as above)
# make test-scale   shards, Ray, LanceDB and the encoders of open_clip, with kills (installs them, 1 GB)
# make fuzz     damaged indexes, shards, manifests and checkpoints (BYTES=1000000 SEED=7 goes on longer)
#
# make lessons  stamp the first cells and run all lessons again, keeping their outputs
# make api      write the page of the API from the docstrings
# make address URL=https://…    say where the project is published
# make bench    measure the speed beside other libraries (half an hour on a quiet machine; 4 GB of files)
# make tiny     train the bundled models, or resume that (hours; see training/README.md)

PYTHON ?= python3
PORT ?= 8000
CHROMIUM ?= chromium
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
UV = $(BIN)/uv pip install --python $(BIN)/python
FITS = $(BIN)/python helpers/course/doctor.py --versions
GB := $(if $(filter cpu,$(TORCH)),2,7)

# Two kernels at once spin for the same cores, which made a lesson seven times as slow; torch reads this when it starts.
export OMP_WAIT_POLICY := PASSIVE

.PHONY: run lab site play check test test-all random-models portable test-browser test-site chromium test-scale fuzz lessons api address bench tiny FORCE
.NOTPARALLEL:

run: $(READY)
	$(BIN)/python example.py

lab: $(READY)
	$(BIN)/python notebooks/lab.py

site: $(READY)
	@$(FITS) site onnx >/dev/null || $(UV) --quiet --editable '.[site,onnx]'
	$(BIN)/python -m docs.site.build

play: site
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory build/site $(PORT)

check:
	@if test -x $(BIN)/python; then $(BIN)/python helpers/course/doctor.py; else $(PYTHON) helpers/course/doctor.py; fi

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/python -m pytest -n 2 --dist loadscope

test-all: test random-models portable test-browser test-site test-scale fuzz

random-models: $(READY)
	$(BIN)/python -m pytest -n 2 tests/any_model.py

portable: $(READY)
	$(BIN)/python tests/portable.py $(SEEDS)

test-browser: $(READY) chromium
	CHROMIUM=$$(command -v $(CHROMIUM)) $(BIN)/python -m pytest -n 2 --dist worksteal tests/browser.py

test-site: site chromium
	CHROMIUM=$$(command -v $(CHROMIUM)) $(BIN)/python -m pytest -p tests.in_browser -n 2 --dist loadfile tests/site.py tests/panels.py tests/playground.py

chromium: $(READY)
	@command -v $(CHROMIUM) >/dev/null || { echo "Expected Chromium; got none. Install it, or name one: make test-browser CHROMIUM=/path/to/it."; exit 1; }
	@$(FITS) browser >/dev/null || $(UV) --quiet --editable '.[browser]'

test-scale: $(READY)
	@$(FITS) ray lance open_clip >/dev/null || $(UV) --quiet --editable '.[ray,lance,open_clip]'
	$(BIN)/python -m pytest tests/scale notebooks/21-encode-millions.ipynb notebooks/22-search-millions.ipynb

fuzz: $(READY)
	$(BIN)/python -m tests.fuzz $(or $(BYTES),200000) $(SEED)

lessons: $(READY)
	$(BIN)/python notebooks/refresh.py
	cd images && ../$(BIN)/python ../example.py cat.png bird.png car.png pizza.png rocket.png maze1.jpeg --output ../.github/similarity.png \
		--texts "a cat" "a blue bird" "something to drive" "something to eat" "a rocket" "a maze"

api: $(READY)
	$(BIN)/python tests/api_page.py

address: $(READY)
	$(BIN)/python notebooks/refresh.py --address $(URL)

bench: $(READY)
	@$(FITS) bench >/dev/null || $(UV) --quiet --editable '.[bench]'
	$(BIN)/python -m benchmarks.run

tiny: $(READY)
	@$(UV) --quiet --requirement training/requirements.txt
	$(BIN)/python -m training.get_data
	$(BIN)/python -m training.render
	$(BIN)/python -m training.teach
	$(BIN)/python -m training.train
	$(BIN)/python -m training.train_text
	$(BIN)/python -m training.train_vit
	for name in tiny tiny-vit; do \
		$(BIN)/python -m training.evaluate $${TINY_DIR:-$$HOME/.cache/clip-course/training}/$$name.pt || exit 1; \
	done

# .venv keeps its Python unless that is too old or broken, or PYTHON names another version.
VERSION := -c 'import sys; print(*sys.version_info[:2])'
ifneq ($(origin PYTHON),file)
ifneq ($(shell $(PYTHON) $(VERSION)),$(shell test -x $(BIN)/python && $(BIN)/python $(VERSION)))
OTHER := yes
$(READY): FORCE
endif
endif

$(READY): pyproject.toml
	@test -e $(READY) || $(PYTHON) helpers/course/doctor.py --room $(GB)
	@test -z "$(OTHER)" && $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		$(PYTHON) -m venv --clear $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --retries 1 uv >/dev/null 2>&1 || \
		{ echo "Expected pip to install uv; it could not ($(BIN)/python -m pip install uv says why). Connect to the network, and run make again."; exit 1; }
	@echo "Installing into $(VENV), up to $(GB) GB, nearly all of it PyTorch"
	@$(UV) $(addprefix --torch-backend=,$(TORCH)) --editable '.[clip,lab,test]' || \
		{ $(FITS) clip lab test >/dev/null 2>&1 && \
		echo "Warning: nothing was installed (see above). What is here still fits pyproject.toml, so make continues with it."; } || \
		{ echo "Expected the install to succeed; it failed (see above). Connect to the network, and run make again."; exit 1; }
	@mkdir -p $(VENV)/etc/jupyter/labconfig
	@echo '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}' >$(VENV)/etc/jupyter/labconfig/page_config.json
	@touch $(READY)
