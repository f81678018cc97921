#!/usr/bin/env bash
# Makes the lock files anew: bash requirements/lock.sh [--upgrade] (needs uv on the PATH; it keeps the versions that still fit)
# Hash-pinned, universal over platforms, one version of each package for every Python (the same types to check, the same
# trained model), and no registry address in them.
set -euo pipefail
cd "$(dirname "$0")/.."
lock() { uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-emit-index-url \
    --custom-compile-command "bash requirements/lock.sh" "$@"; }
# everything: the server, the extras of the project, tests and checks
lock requirements/dev.in --output-file requirements/dev.txt "$@"
# the server, and the contract kit alone (kit/pyproject.toml), at the same versions as in the tests
lock requirements/runtime.in --constraints requirements/dev.txt --output-file requirements/runtime.txt "$@"
lock requirements/kit.in --constraints requirements/dev.txt --output-file requirements/kit.txt "$@"
