"""Writes the cards and the sweeps of rules anew, for review: python -m tests.cards.rules.confirm [RULE…] [--write].

Without --write it says what would change. Who writes them confirms them: read the difference before you commit it.
"""

import csv
import io
import sys
from pathlib import Path

from tests.cards.rules import pinned, sweeping
from tests.cards.rules.sweeping import Sweep, sweeps_of, traced_rules
from tests.conftest import ROOT


def _texts(rules: list[str]) -> dict[str, str]:
    """The text of each file as it should be, by its path."""
    texts = {str(pinned.file_of(rule)): pinned.text_of_rule(rule) for rule in rules}
    kept = [sweep for sweep in sweeping.confirmed_sweeps() if sweep.rule not in rules and sweep.rule in traced_rules()]
    by_family: dict[str, list[Sweep]] = {}
    for sweep in [*kept, *(sweep for rule in rules for sweep in sweeps_of(rule))]:
        by_family.setdefault(traced_rules()[sweep.rule].family.name, []).append(sweep)
    for family, sweeps in by_family.items():
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(Sweep._fields)
        writer.writerows(sorted(sweeps))
        texts[str(sweeping.file_of(family))] = out.getvalue()
    return texts


def main(arguments: list[str]) -> int:
    """Return 1 where a file is not as the rules make it and --write was not given."""
    rules = [argument for argument in arguments if argument != "--write"] or pinned.rules_with_cases()
    changed = 0
    for path, text in _texts(rules).items():
        file = Path(path)
        written = file.read_text(encoding="utf-8") if file.exists() else ""
        if written != text:
            changed += 1
            print(f"{file.relative_to(ROOT)}")
            if "--write" in arguments:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
    return 1 if changed and "--write" not in arguments else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
