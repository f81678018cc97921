"""Writes anew everything that is made from the code or sealed by a reviewer, and shows what changed.

    python -m tests.renew                 # all of it, some minutes
    python -m tests.renew pages numbers   # these alone

What it writes is what a test compares. Read each change (`git diff`) as a reviewer would, beside its source: a seal
that is committed is a seal that somebody has read.
"""

import subprocess
import sys
from difflib import ndiff
from pathlib import Path
from typing import Final

from tests.conftest import ROOT

SEALS: Final = {
    "pages": ("maintenance.reference",), "rules": ("cards.rules.engine.page",), "numbers": ("tests.numbers", "--write"),
    "tables": ("tests.tables", "--write"), "cards": ("tests.cards.rules.confirm", "--write"),
    "outcomes": ("tests.cards.rules.outcomes", "--write"), "charts": ("tests.cards.drawn", "--write"),
    "dialects": ("tests.cds_hooks.dialects.sent",), "templates": ("tests.cds_hooks.web.symbols", "--write"),
    "answers": ("tests.pinned_answers", "--write"),
    "words": ("tests.fhir.readings", "--write"), "equations": ("tests.models_onnx.equations.declared", "--write"),
    "types": ("tests.type_flags", "--write"), "models": ("maintenance.model_pages",),
    "messages": ("tests.cds_hooks.events.pinned", "--write"), "feeds": ("tests.cds_hooks.events.watched", "--write"),
    "documents": ("tests.cds_hooks.kit.contract.findings", "--write"),
    "servers": ("tests.cds_hooks.kit.contract.verdicts", "--write"),
}  # fmt: skip
"""Each kind of seal with the module that writes it; what it is says the docstring of the module."""
_FOLDERS: Final = ("docs", "tests", "cards", "kit")
_SHOWN_LINES: Final = 6


def _texts() -> dict[Path, bytes]:
    files = (file for folder in _FOLDERS if (ROOT / folder).is_dir() for file in (ROOT / folder).rglob("*"))
    return {file: file.read_bytes() for file in files if file.is_file() and file.suffix not in (".pyc", ".onnx")}


def _show(file: Path, before: bytes, after: bytes) -> None:
    """Print the file with the number of lines that came and went, and the first of them."""
    lines = ndiff(before.decode(errors="replace").splitlines(), after.decode(errors="replace").splitlines())
    changed = [line for line in lines if line[:2] in ("+ ", "- ")]
    added = sum(line.startswith("+") for line in changed)
    print(f"{file.relative_to(ROOT)}: +{added} -{len(changed) - added}")
    for line in changed[:_SHOWN_LINES]:
        print(f"    {line[:160]}")


def main(kinds: list[str]) -> int:
    """Renew these kinds, or all; return 1 where one could not be written, 2 for a kind that there is not."""
    if unknown := [kind for kind in kinds if kind not in SEALS]:
        print(f"no seal is called {', '.join(unknown)}; there are {', '.join(SEALS)}", file=sys.stderr)
        return 2
    before = _texts()
    failures = 0
    for kind in kinds or SEALS:
        done = subprocess.run([sys.executable, "-m", *SEALS[kind]], cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            failures += 1
            print(f"{kind} could not be renewed:\n{done.stdout}{done.stderr}", file=sys.stderr)
    after = _texts()
    changed = [file for file in sorted(after) if before.get(file, b"") != after[file]]
    for file in changed:
        _show(file, before.get(file, b""), after[file])
    print(f"{len(changed)} files changed. Read each change beside its source before you commit it.")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
