# make run   compare two pictures with four texts (needs no network once installed)
# make check  say whether this machine can run the course, and what mends it where it can't
# make test  every unit test, every lesson
# make portable  every lesson as another processor would compute it
# make test-browser  every lesson in JupyterLab in a real browser (CHROMIUM=… names another than chromium)
# make test-scale  the same job on Ray and in LanceDB, with kills (installs both, 1 GB)
# make lab   open the lessons in JupyterLab
# make lessons  stamp the first cells and run all lessons anew, keeping their outputs
# make api    write the page of the API anew out of the docstrings
# make address URL=https://…  say where the project is published
# make bench  measure the speed beside other libraries (half an hour on a quiet machine; 4 GB of files)
# make tiny  train the embedded models anew, or go on where that stopped (hours; see training/README.md)
# Each of them first makes .venv when it is missing or pyproject.toml has changed; check does only when it is missing.

PYTHON ?= python3
CHROMIUM ?= chromium
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.PHONY: run check test portable test-browser test-scale lab lessons address api bench tiny

run: $(READY)
	$(BIN)/python example.py

check:
	@test -x $(BIN)/python || $(MAKE) --no-print-directory $(READY)
	@$(BIN)/python -m helpers check

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/python -m pytest -n 2 --dist loadscope

test-scale: $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[ray,lance]'
	$(BIN)/python -m pytest tests/scale notebooks/17-many-machines.ipynb notebooks/18-search-millions.ipynb

portable: $(READY)
	$(BIN)/python tests/portable.py $(SEEDS)

test-browser: $(VENV)/browser
	@command -v $(CHROMIUM) >/dev/null || test "$$(id -u)" != 0 || \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium; } >/dev/null || true
	@command -v $(CHROMIUM) >/dev/null || \
		{ echo "Chromium is missing: sudo apt-get install chromium, or CHROMIUM=/path/to/one make test-browser"; exit 1; }
	CHROMIUM=$$(command -v $(CHROMIUM)) $(BIN)/python -m pytest -n 2 --dist worksteal tests/browser.py

lab: $(READY)
	$(BIN)/python -m jupyter lab --allow-root --notebook-dir=. --LabApp.news_url=None \
		--LabApp.default_url=/lab/tree/notebooks/00-first-five-minutes.ipynb

lessons: $(READY)
	$(BIN)/python notebooks/refresh.py
	cd images && ../$(BIN)/python ../example.py cat.png bird.png car.png pizza.png rocket.png maze1.jpeg --output ../.github/similarity.png \
		--texts "a cat" "a blue bird" "something to drive" "something to eat" "a rocket" "a maze"

address: $(READY)
	$(BIN)/python notebooks/refresh.py --address $(URL)

api: $(READY)
	$(BIN)/python tests/api_page.py

bench: $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	$(BIN)/python -m benchmarks.run

tiny: $(READY)
	$(BIN)/python -m pip install --quiet --requirement training/requirements.txt
	$(BIN)/python -m training.get_data
	$(BIN)/python -m training.render
	$(BIN)/python -m training.teach
	$(BIN)/python -m training.train
	$(BIN)/python -m training.train_text
	$(BIN)/python -m training.train_vit
	for name in tiny tiny-vit; do \
		$(BIN)/python -m training.evaluate $${TINY_DIR:-$$HOME/.cache/clip-course/training}/$$name.pt || exit 1; \
	done

$(VENV)/browser: $(READY)
	@$(BIN)/python -m pip install --quiet --editable '.[browser]'
	@touch $@

$(READY): pyproject.toml
	@echo "Installing into $(VENV): a few minutes, about 6 GB, nearly all of it PyTorch"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --editable '.[clip,lab,test]'
	@touch $(READY)
