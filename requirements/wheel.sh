#!/bin/sh
# Builds the wheel of a commit, the same bytes each time: sh requirements/wheel.sh FOLDER [COMMIT [PROJECT]]
# PROJECT is the folder of its pyproject.toml: the whole by default, kit for the contract kit alone.
# What would differ is taken from the commit: the times in the archive, the files' modes, and which files there are.
set -eu
cd "$(dirname "$0")/.."
mkdir -p "$1"
folder=$(cd "$1" && pwd -P)
commit=${2:-HEAD}
project=${3:-.}
sources=$(mktemp -d)
trap 'rm -rf "$sources"' EXIT
umask 022
git -c tar.umask=022 archive --prefix=sources/ "$commit" | tar -x -C "$sources"
# The pages of the documentation that are made from the code; the kit has none.
[ "$project" != . ] || PYTHONPATH="$sources/sources" .venv/bin/python -m maintenance.reference
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct "$commit")
export SOURCE_DATE_EPOCH
.venv/bin/python -m build --wheel --no-isolation --outdir "$folder" "$sources/sources/$project" > "$sources/log" 2>&1 || { cat "$sources/log"; exit 1; }
ls -l "$folder"/*.whl
