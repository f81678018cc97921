#!/usr/bin/env bash
# Makes the lock files anew: bash requirements/lock.sh [--upgrade] (needs uv on the PATH; it keeps the versions that still fit)
# Hash-pinned, universal over platforms, one version of each package for every Python (the same types to check, the same
# trained model), and no registry address in them.
set -euo pipefail
cd "$(dirname "$0")/.."
lock() { uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-emit-index-url \
    --custom-compile-command "bash requirements/lock.sh" "$@"; }
lock requirements/slow.in --output-file requirements/slow.txt "$@"
lock requirements/dev.in --constraints requirements/slow.txt --output-file requirements/dev.txt "$@"
# the same versions at run time as in the tests
lock requirements/runtime.in --constraints requirements/dev.txt --output-file requirements/runtime.txt "$@"
# the contract kit alone (kit/pyproject.toml)
lock requirements/kit.in --constraints requirements/dev.txt --output-file requirements/kit.txt "$@"
lock requirements/otlp.in --constraints requirements/dev.txt --output-file requirements/otlp.txt "$@"
# Spark and Ray, which nothing here needs: for a site that has a cluster, and for the slow tests of the steps
lock requirements/engines.in --constraints requirements/slow.txt --output-file requirements/engines.txt "$@"
# a broker edge (docs/operations/events.md): with what the project has, at its versions
lock requirements/brokers.in --constraints requirements/slow.txt --output-file requirements/brokers.txt "$@"
# the interface for a copilot (docs/text.md)
lock requirements/mcp.in --constraints requirements/slow.txt --output-file requirements/mcp.txt "$@"
# notes that are PDF files (docs/text.md)
lock requirements/text.in --constraints requirements/dev.txt --output-file requirements/text.txt "$@"
