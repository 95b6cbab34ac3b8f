# Everything a person types. Needs Python ≥ 3.11 and make; the rest is set up in .venv.
PYTHON ?= python3
# The folder of a project: its config/, labels and results.
PROJECT ?= .
# Settings that are laid over those of the project, for the targets that take PROJECT.
CONFIGFILE =
# What `make restore` takes from the command line: nothing here has a default, or comes from the environment.
VIDEO =
CONTENT =
RIGHTS =
CONSENT =
ADULTS_VERIFIED =
SOURCE =
# What `make starter` makes; by default everything.
TARGET =
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
BIN := .venv/bin
UV := $(BIN)/uv
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES)
DEMO := $(SNAKEMAKE) --directory examples/demo
STARTER := $(SNAKEMAKE) --directory examples/starter
SOURCES := src tests workflow/scripts docs/conf.py
RULES := workflow/rules tests/workflow/brightness/workflow/rules

CONFIG = $(if $(CONFIGFILE),--configfile=$(call quoted,CONFIGFILE))

# A variable of the command line as one word for the shell, whatever its characters are.
quoted = '$(subst ','\'',$(value $(1)))'

export YOLO_OFFLINE := true
export YOLO_AUTOINSTALL := false
# Each job is a Python of its own: it finds what others have compiled, whatever the machine says of that.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup slurm demo starter review restore test test-fast test-cluster test-browser survey histories lint format schema docs bench lock clean
.DEFAULT_GOAL := help

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

setup: .venv/workflow ## what the workflow needs, in .venv
	@echo "ready: activate it with '. .venv/bin/activate'"

slurm: .venv/slurm ## the same, with what a Slurm cluster needs

demo: .venv/workflow ## the whole pipeline on generated footage
	$(DEMO) -- demo_footage
	@# Its jobs are too small to share among threads: many at a time, of one thread each.
	$(DEMO) --max-threads 1 --resources gpu=$(CORES)
	@echo "open examples/demo/results/reports/report.html; the weights are in examples/demo/results/weights"

starter: .venv/workflow ## the starter models, in about three hours; a run that was stopped goes on
	$(STARTER) -- starter_restorer starter_flow
	$(STARTER) -- starter_footage
	$(STARTER) -- $(TARGET)
	@echo "the weights are in examples/starter/results/weights"

review: .venv/workflow ## the review page of PROJECT=FOLDER, by default this folder; the demo is examples/demo
	@# While another run has the folder, or people disagree, it shows what was gathered before.
	@$(SNAKEMAKE) --directory=$(call quoted,PROJECT) $(CONFIG) -- make_proxies || \
		(test -f $(call quoted,PROJECT)/results/review/items.parquet && echo "Nothing was gathered anew, see above. The page shows what was gathered before.")
	@# Not by Snakemake, which would lock the folder while the page is open.
	cd $(call quoted,PROJECT) && "$(CURDIR)/$(BIN)/python" -m tessera.pages.review.serve results/review/items.parquet

restore: .venv/workflow ## one of your videos: VIDEO=film.mp4 CONTENT=general RIGHTS="my own"
	@# Without quotes around it, only the first word of a value would be recorded.
	@$(if $(filter-out setup restore,$(MAKECMDGOALS)),$(error '$(filter-out setup restore,$(MAKECMDGOALS))' is no target: put a value with spaces in quotes, as in RIGHTS="my own"))
	@# Adult footage also needs CONSENT= and ADULTS_VERIFIED=yes. PROJECT= is the folder of another project.
	@$(BIN)/python -m tessera.workflow.add_video --project=$(call quoted,PROJECT) --video=$(call quoted,VIDEO) \
		--content=$(call quoted,CONTENT) --rights=$(call quoted,RIGHTS) --consent=$(call quoted,CONSENT) \
		--adults-verified=$(call quoted,ADULTS_VERIFIED) --source=$(call quoted,SOURCE)
	@$(SNAKEMAKE) --directory=$(call quoted,PROJECT) $(CONFIG) -- restore

test: .venv/development ## all tests
	@# A file at a time, so that what its tests share is made once. One process more than cores, because those that run Snakemake
	@# wait for its jobs.
	$(BIN)/python -m pytest --numprocesses $$(($(CORES) + 1)) --dist loadfile --no-loadscope-reorder

test-fast: .venv/development ## the unit tests but for the slow ones, to run while working
	$(BIN)/python -m pytest --numprocesses $(CORES) --dist loadfile -m "not slow" tests/unit

test-cluster: .venv/development .venv/slurm ## the tests on a Slurm cluster, which they start on this machine
	$(BIN)/python -m pytest tests/cluster

test-browser: .venv/development ## the tests of the pages in the Chromium of this machine
	$(BIN)/python -m pytest tests/browser

survey: .venv/development ## how many videos are read as FFmpeg reads them; for ARGS see tests/survey/survey.py --help
	$(BIN)/python tests/survey/survey.py $(ARGS)

histories: .venv/development ## what a small project is after random edits, kills and losses; ARGS="--seeds 0-149"
	$(BIN)/python tests/workflow/histories.py $(ARGS)

lint: .venv/development ## format, lint and types
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow/Snakefile $(RULES)
	@# One locked environment serves all rules.
	@! $(BIN)/snakemake --directory examples/demo --lint 2>&1 | grep '^    \* ' | grep -vF 'Specify a conda environment'

format: .venv/development ## put the code in form
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/snakefmt Snakefile workflow/Snakefile $(RULES)

schema: .venv/workflow ## config/config.schema.json and docs/settings.md, from the models of the settings
	$(BIN)/python -m tessera.configuration.schema > config/config.schema.json
	$(BIN)/python -m tessera.configuration.reference > docs/settings.md

docs: .venv/development schema ## the documents as a site, in build/site; a dead link stops it
	$(BIN)/sphinx-build --quiet --fresh-env --write-all --fail-on-warning --keep-going --conf-dir docs --doctree-dir build/doctrees . build/site
	@echo "open build/site/docs/index.html"

bench: .venv/development ## the figures that are promised, measured here
	$(BIN)/python -m pytest -s -o python_files=bench_*.py -o faulthandler_exit_on_timeout=false tests/benchmarks

lock: .venv/uv ## newest versions into the lock files
	for name in uv workflow slurm development labelme; do \
		$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --fork-strategy fewest \
			--generate-hashes --no-header --no-emit-index-url \
			--override envs/overrides.txt --no-emit-package opencv-python \
			envs/$$name.in --output-file envs/$$name.txt || exit 1; \
	done

clean: ## remove what was made, the environment included
	rm -rf .venv .snakemake results examples/*/.snakemake examples/*/results examples/*/resources

.venv/uv: envs/uv.txt
	@# Snakemake does not quote the path of Python in its commands.
	@case "$$PWD" in *[[:space:]\'\"\`\\\$$\&\;\(\)\<\>\|\*\?\[\]\#]*) \
		echo "Tessera cannot run in $$PWD: move it to a path without spaces, quotes and other special characters. Projects may have them." >&2; \
		exit 1;; esac
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tessera needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r envs/uv.txt
	@touch $@

.venv/%: envs/%.txt .venv/uv pyproject.toml
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r envs/$*.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
