# `make run` shows it at work, `make test` is what CI checks first; both need only Python >= 3.11 and make.
PORT ?= 8085
export PYTHON

bin := .venv/bin

.PHONY: docs pictures run serve test pytest test-slow fuzz retrain test-all lint bench clean wheel kit-wheel sbom audit image-check runtime-environment dev-environment

# Server, a sample patient and a drafted order, their cards; serves until interrupted.
run: docs
	@exec $(bin)/cds-hooks serve --show --port $(PORT)

# Only the server.
serve: docs
	@exec $(bin)/cds-hooks serve --port $(PORT)

# The pages of docs/ that are made from the code, where it changed since; the server shows them at /docs/.
docs: runtime-environment
	@[ -f docs/.made ] && [ -z "$$(find cds_hooks cards models_onnx fhir maintenance tests/conformance -type f -newer docs/.made ! -name '*.pyc' | head -1)" ] || { $(bin)/python -m maintenance.reference && touch docs/.made; }

# The pictures of the documentation, light and dark, taken anew in a real browser (tests/browser/test_pictures.py).
pictures: dev-environment
	CDS_WRITE_PICTURES=1 $(bin)/pytest -q -m slow tests/browser/test_pictures.py

# Python may keep what it compiled: pytest then reads the test modules in a third of the time the next time.
test test-slow fuzz: export PYTHONDONTWRITEBYTECODE =

# The checks of every change. After a clone mypy keeps one processor busy for most of a minute, in which the tests begin.
test: dev-environment
	@$(MAKE) --no-print-directory --jobs 2 lint pytest
	@echo "make test: everything passed (ruff, mypy, import contracts, tests)"

# Three processes on two cores: tests wait for servers, databases and browsers for a fifth of their time.
# After a clone one process compiles their modules for all three, while mypy has the other processor.
pytest: dev-environment docs
	@[ -d tests/__pycache__ ] || $(bin)/pytest --collect-only -qq -m "not slow" > /dev/null || true
	$(bin)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder --durations 25 -m "not slow"

# The tests that take a browser, several processes, the wheel or a training, and all examples of the properties of which
# `make test` draws a fifth: .ci/run runs them after `make test`.
test-slow: dev-environment docs
	$(bin)/pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder --durations 60 -m "slow or hypothesis or sampled"

# Texts for the pass in C under the address sanitizer: ten minutes.
FUZZ ?= 600
fuzz: dev-environment
	CDS_FUZZ_SECONDS=$(FUZZ) $(bin)/pytest -q -p no:cacheprovider -m slow tests/cds_hooks/call/protocol/test_members.py

# Every model, trained again and compared with its artifact (gate parity); needs other people's data (CDS_DATA_DIR).
retrain: dev-environment
	@for model in models_onnx/artifacts/*/; do $(bin)/cds-hooks model gates $$(basename $$model) --only parity || exit 1; done

# All of it: an hour, before a release.
test-all: test test-slow fuzz retrain

lint: dev-environment
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	$(bin)/mypy .ci/*.py
	$(bin)/lint-imports --no-cache
	$(bin)/hadolint Dockerfile

# The service against a bare handler, in one run.
bench: dev-environment
	@exec $(bin)/python -m benchmarks

# The wheel of the last commit, the same bytes each time (dist/).
wheel: dev-environment
	@sh requirements/wheel.sh dist

# The wheel of the contract kit alone, which needs no server (dist/kit/).
kit-wheel: dev-environment
	@sh requirements/wheel.sh dist/kit HEAD kit

# The lists of parts of the wheel and of the image (CycloneDX, dist/).
sbom: dev-environment
	@exec $(bin)/python .ci/sbom.py

# Known vulnerabilities in the packages of the locks; says so where the data cannot be had.
audit: dev-environment
	@exec $(bin)/python .ci/audit.py

# Build the container image, compare it with its list of parts, and answer one call from inside it; needs root, buildah
# and debootstrap (Debian packages).
image-check: sbom
	@exec python3 .ci/image_check.py

# The environment and the caches; never var/, where the decisions are.
clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

runtime-environment:
	@sh requirements/environment.sh runtime

dev-environment:
	@sh requirements/environment.sh dev
