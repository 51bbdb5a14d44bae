# Everything from nothing but python3 and make: each target builds what it needs in .venv, once.
#
#   make demo     a closed-loop session on the virtual subject, in separate processes, then its report
#   make test     all tests but the long proofs
#   make lint     style, types, import rules
#   make docs     the documentation, into docs/_build/html
#   make bench    how quick the loop is, beside a plain pipe and plain ZeroMQ
#   make figures  measure estimates, control and virtual subject anew, with the figures and tables of the documentation
#   make pictures the console's pages in the documentation: plays a session through them, in some five minutes
#   make prove    the long proofs, whole
#   make clean    removes what these made
#
# Another interpreter: make PYTHON=python3.12 ...   More for the command behind a target: make demo ARGS="--seed 3"

PYTHON ?= python3
ARGS ?=
.DEFAULT_GOAL := help
# One installer at a time, and tests side by side with nothing else: a parallel make would run them together.
.NOTPARALLEL:

VENV := .venv
BIN := $(VENV)/bin
# What is installed is stamped in .venv; when one of these is newer than the stamp, it is installed again.
NEEDS := pyproject.toml constraints.txt
TEST_EXTRAS := .[test,lsl,train,cluster]

# Where an environment forbids Python to keep what it has compiled, each of a session's processes and each test worker
# compiles NumPy, SciPy and all of ours anew: seconds at every start.
unexport PYTHONDONTWRITEBYTECODE

# uv takes seconds where pip takes a minute or more. Where uv cannot be had, or cannot install here, pip does it.
export UV_PYTHON_DOWNLOADS := never
define install
	@echo "myoloop: installing $(1) into $(VENV)"
	@{ test -x $(BIN)/uv && $(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e "$(1)"; } \
	  || $(BIN)/python -m pip install --quiet -c constraints.txt -e "$(1)"
	@touch $@
endef

.PHONY: help demo test test-quick test-processes gate-coverage patient-tests run-elsewhere lint style types imports docs docs-commands bench figures pictures prove clean

help:
	@sed -n 's/^#   //p' Makefile

demo: $(VENV)/.has-core
	$(BIN)/myoloop demo $(ARGS)

test: test-quick test-processes

# Two workers for what shares nothing; one after another for what starts and kills processes, which minds its neighbours.
test-quick: $(VENV)/.has-test
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not processes and not prove" $(ARGS)

test-processes: $(VENV)/.has-test
	$(BIN)/python -m pytest -m "processes and not prove" $(ARGS)

# What is between the gate's order and the bytes, and back: each codec by the tests of its own.
CODEC_TESTS := $(addprefix tests/stimulators/,$(foreach name,frames commands answers decoder profiles settings low_level \
  mid_level,sciencemode/test_$(name).py) sciencemode2/test_frames.py sciencemode2/test_setting_bytes.py \
  test_simulated_driver.py test_openemsstim.py test_ttl_trigger.py test_analog.py)

# Tests that read no clock: .ci/run has them beside the sessions at real time, with what these leave of the processor.
PATIENT_TESTS := $(addprefix tests/controllers/,estimators policies signals) \
  $(addprefix tests/experiments/,analysis outcomes protocols reports screening sites training)

patient-tests: $(VENV)/.has-test
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not processes and not prove" $(PATIENT_TESTS) $(ARGS)

# For .ci/run, which runs every test once.
run-elsewhere:
	@echo $(addprefix --ignore=,tests/stimulators/gate $(CODEC_TESTS) $(PATIENT_TESTS))

# The package is named, not a folder: a module that no test imports counts as not covered.
gate-coverage: $(VENV)/.has-test
	$(BIN)/python -m pytest -n 2 tests/stimulators/gate -m "not prove" --cov=myoloop.stimulators.gate --cov-branch \
	  --cov-report=term-missing:skip-covered --cov-fail-under=100 $(GATE_ARGS)
	$(BIN)/python -m pytest -n 2 $(CODEC_TESTS) -m "not prove and not processes" --cov=myoloop.stimulators --cov-branch \
	  --cov-report=json:.coverage.codecs.json -q $(CODEC_ARGS)
	$(BIN)/python tests/stimulators/codecs_covered.py .coverage.codecs.json; found=$$?; rm -f .coverage.codecs.json; exit $$found

lint: style types imports

style: $(VENV)/.has-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.has-check
	$(BIN)/mypy

imports: $(VENV)/.has-check
	$(BIN)/lint-imports

docs: $(VENV)/.has-docs
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

docs-commands: $(VENV)/.has-core
	$(BIN)/python docs/check_commands.py --warm --side-by-side 2 --timeout 600 $(ARGS)

bench: $(VENV)/.has-core
	$(BIN)/myoloop bench loop $(ARGS)

figures: export MYOLOOP_LIBEMG_PYTHON := $(CURDIR)/$(VENV)/libemg/bin/python
figures: $(VENV)/.has-test $(VENV)/.has-libemg
	for suite in subject estimators policies; do $(BIN)/myoloop bench $$suite --out docs/measured $(ARGS) || test $$? = 1; done
	$(BIN)/python docs/tables.py --write

pictures: $(VENV)/.has-test
	MYOLOOP_PICTURES=$(CURDIR)/docs/console $(BIN)/python -m pytest --prove -k crps \
	  tests/experiments/console/journey/test_whole_sessions.py $(ARGS)

prove: export MYOLOOP_LIBEMG_PYTHON := $(CURDIR)/$(VENV)/libemg/bin/python
prove: $(VENV)/.has-test $(VENV)/.has-libemg
	$(BIN)/python -m pytest -m prove --prove $(ARGS)

clean:
	rm -rf $(VENV) build dist docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis \
	  .import_linter_cache .coverage htmlcov
	find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.has-pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "myoloop needs Python 3.11 or newer, $(PYTHON) is not; say make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet -c constraints.txt uv \
	  || echo "myoloop: no uv here, pip will install (slower)"
	@touch $@

$(VENV)/.has-core: $(VENV)/.has-pip $(NEEDS)
	$(call install,.)

$(VENV)/.has-test: $(VENV)/.has-pip $(NEEDS)
	$(call install,$(TEST_EXTRAS))

# What features are compared with wants an older NumPy than we do, and so a place of its own.
$(VENV)/.has-libemg: $(VENV)/.has-pip pyproject.toml
	@echo "myoloop: installing LibEMG, for comparison, into $(VENV)/libemg"
	@$(PYTHON) -m venv $(VENV)/libemg
	@{ test -x $(BIN)/uv && $(BIN)/uv pip install --quiet --python $(VENV)/libemg/bin/python "libemg>=2"; } \
	  || $(VENV)/libemg/bin/python -m pip install --quiet "libemg>=2"
	@touch $@

$(VENV)/.has-check: $(VENV)/.has-pip $(NEEDS)
	$(call install,.[check])

$(VENV)/.has-docs: $(VENV)/.has-pip $(NEEDS)
	$(call install,.[docs])
