#!/bin/sh
# Makes .venv from a hash-pinned lock and installs the project into it: sh requirements/environment.sh runtime|dev
# Does nothing where that is already so. PYTHON=/path/to/python is what a new one is made with.
set -eu
cd "$(dirname "$0")/.."
kind=$1

# What an environment was made from; a copy of it inside says that the work was finished.
# An editable install maps each package of fhir/ by name (docs/decisions/0001), so a new one asks for a new install.
made_from() {
    echo fhir/*/__init__.py
    cat "requirements/$1.txt" pyproject.toml setup.py cds_hooks/call/protocol/*.c
}

is_made() {
    [ -f ".venv/made-from-$1" ] && made_from "$1" | cmp -s - ".venv/made-from-$1"
}

# Scripts name their interpreter by its full path, so an environment does not survive being moved or copied.
is_of_this_folder() {
    grep -qsF " $(pwd -P)/.venv" .venv/pyvenv.cfg && .venv/bin/python -m pip --version > /dev/null 2>&1
}

# The lock of development holds that of the server at the same versions: its environment serves for both.
is_ready() {
    { is_made "$kind" || is_made dev; } &&
        .venv/bin/python -c '' 2> /dev/null && grep -qsF "$(pwd -P)/.venv/" .venv/bin/cds-hooks
}

# The first Python that is new enough and can make an environment. A name may be a shim that does not run, so each is tried;
# Debian has ensurepip and venv in a package of their own.
find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
        "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || continue
        echo "$candidate"
        return
    done
    echo "This needs Python 3.11 or newer with its venv module, and found none as: ${PYTHON:-python3, python3.11 to python3.14}." >&2
    echo "Install one (on Debian: python3 and python3-venv) or name it: make PYTHON=/path/to/python3.12 run" >&2
    return 1
}

if is_ready; then
    exit 0
fi

[ -w . ] || { echo "$PWD cannot be written to, and the environment goes into its .venv." >&2; exit 1; }
# Of two at once the second waits, and then finds it done.
until ln -s "$$" .venv.lock 2> /dev/null; do
    kill -0 "$(readlink .venv.lock)" 2> /dev/null || rm -f .venv.lock
    sleep 1
done
trap 'rm -f .venv.lock' EXIT
trap 'exit 130' INT TERM
if is_ready; then
    exit 0
fi

if ! is_of_this_folder; then
    python=$(find_python)
    echo "Making .venv with $("$python" --version) ($python) ..."
    "$python" -m venv --clear .venv
fi
rm -f .venv/made-from-*
echo "Installing requirements/$kind.txt (by hash; the first time this takes a minute or two) ..."
# Wheels only: a source package would run its own build, with tools that no lock has pinned.
.venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check --only-binary :all: \
    --require-hashes --requirement "requirements/$kind.txt"
.venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check --no-index --no-build-isolation --no-deps --editable .
made_from "$kind" > ".venv/made-from-$kind"
