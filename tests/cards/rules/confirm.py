"""Writes the cards of rules anew: python -m tests.cards.rules.confirm [RULE…] [--write].

Without --write it says what would change. Read the difference beside the source of the rule before you commit it.
"""

import sys

from tests.cards.rules import pinned
from tests.conftest import ROOT


def main(arguments: list[str]) -> int:
    """Return 1 where a file is not as the rules make it and --write was not given."""
    changed = 0
    for rule in [argument for argument in arguments if argument != "--write"] or pinned.rules_with_cases():
        file, text = pinned.file_of(rule), pinned.text_of_rule(rule)
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            changed += 1
            print(f"{file.relative_to(ROOT)}")
            if "--write" in arguments:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
    return 1 if changed and "--write" not in arguments else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
