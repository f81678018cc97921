"""How the types of values are declared, as `tests/cases/type_flags.csv` has it: `python -m tests.type_flags --write`.

A value is frozen, so that nobody changes what a record or a cache holds; a type that is not, and one that refuses
unknown members, takes its members by name only or is compared by identity, stands in the file.
"""

import ast
import csv
import sys
from collections.abc import Iterator

from tests.numbers import PARTS, ROOT

FILE = ROOT / "tests/cases/type_flags.csv"
_OF_MEMORY = frozenset({"gc", "slots", "weakref"})


def flags_of(text: str) -> Iterator[tuple[str, str]]:
    """Yields each Struct and dataclass that is not only frozen, with its flags as they are written."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ClassDef):
            continue
        decorated = [call for call in node.decorator_list if "dataclass" in ast.unparse(call)]
        if not decorated and not any("Struct" in ast.unparse(base) for base in node.bases) and not node.keywords:
            continue
        written = [
            *node.keywords,
            *(word for call in decorated if isinstance(call, ast.Call) for word in call.keywords),
        ]
        flags = {f"{word.arg}={ast.unparse(word.value)}" for word in written if word.arg not in _OF_MEMORY}
        if flags != {"frozen=True"}:
            yield node.name, " ".join(sorted(flags)) or "mutable"


def flags_of_modules() -> list[tuple[str, str, str]]:
    """Return module, class and flags of every such type, in order."""
    paths = sorted(path for part in PARTS for path in (ROOT / part).rglob("*.py"))
    return [
        (path.relative_to(ROOT).as_posix(), name, flags)
        for path in paths
        for name, flags in flags_of(path.read_text(encoding="utf-8"))
    ]


def listed_flags() -> list[tuple[str, str, str]]:
    """Return the rows of the file."""
    with FILE.open(encoding="utf-8", newline="") as file:
        return [(row["module"], row["class"], row["flags"]) for row in csv.DictReader(file)]


if __name__ == "__main__" and "--write" in sys.argv:
    with FILE.open("w", encoding="utf-8", newline="") as output:
        csv.writer(output, lineterminator="\n").writerows([("module", "class", "flags"), *flags_of_modules()])
