"""Checks of single members: which part has to have which one, of which type or with which values (`members.csv`).

A row is one assertion; the rows of one check stand together, and its advice is in the first.
"""

from collections.abc import Sequence
from itertools import groupby

from cds_hooks.tools.kit.contract import assertions
from cds_hooks.tools.kit.contract.definitions import read_table
from cds_hooks.tools.kit.contract.document import DEFINED, MUST, SHOULD, Level, Node, Subject
from cds_hooks.tools.kit.contract.registry import Faults, check_part


def _register(name: str, rows: Sequence[dict[str, str]]) -> None:
    """Register the check of these rows, under its name and with its advice."""

    def check(node: Node) -> Faults:
        for row in rows:
            value = (row["value"],) if row["value"] else ()
            yield from getattr(assertions, row["assertion"])(node, row["member"], *value)

    first = rows[0]
    check.__name__, check.__doc__ = name, first["advice"]
    level: Level = SHOULD if first["level"] == "should" else MUST
    check_part(Subject[first["part"].upper()], *first["rows"].split(), level=level, dialect=first["dialect"])(check)


for _name, _rows in groupby(read_table("members.csv"), key=lambda row: row["check"]):
    _register(_name, list(_rows))


def _register_defined(subject: Subject) -> None:
    """Register the check that this part has only members that the specification defines."""

    def check(node: Node) -> Faults:
        """Put content of your own into extension: a later version may give that name another meaning."""
        for name in sorted(set(node.value if isinstance(node.value, dict) else ()) - DEFINED[subject]):
            yield node.at(name).fault(f"{name} is not defined for a {subject}")

    check.__name__ = f"{subject.name.lower()}_has_only_defined_members"
    rows = {Subject.ENTRY: ("GEN-10", "DISC-17"), Subject.CODING: ("COD-04",)}.get(subject, ("GEN-10",))
    check_part(subject, *rows, level=SHOULD)(check)


for _subject in DEFINED:
    _register_defined(_subject)
