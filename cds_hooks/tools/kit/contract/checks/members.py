"""Checks of single members: which part has to have which one, of which type or with which values (`members.csv`).

A row is one assertion (`assertions.py`) on a member such as `summary` or `source.topic`; the rows of one check stand
together, and its advice is in the first. `when` says of which part alone a row speaks: of one whose member has this
value (`type=create`), or is an array with items (`suggestions`).

A name in `extension` is com.example.name in the specification; two labels are enough (`davinci-crd.version` is met in
the field), and a name of the Da Vinci guides has a published meaning (CRD 2.0, "Linking cards to requests").
"""

from collections.abc import Sequence
from itertools import groupby

from cds_hooks.tools.kit.contract import assertions
from cds_hooks.tools.kit.contract.definitions import ANY_TYPES, FIELDS, HOOKS, NON_ADHERENCE_CODES, R4_TYPES, read_table
from cds_hooks.tools.kit.contract.document import Node, Subject, in_resource, observe
from cds_hooks.tools.kit.contract.registry import Faults, add_check, check_part

_NAMES = {
    "R4": R4_TYPES,
    "TYPE": ANY_TYPES,
    "HOOK": HOOKS,
    "FIELD": {field.name for field in FIELDS},
    "NON_ADHERENCE": NON_ADHERENCE_CODES,
}
"""What a value names in braces."""


def _value(text: str) -> str:
    for name, words in _NAMES.items():
        text = text.replace(f"{{{name}}}", "|".join(sorted(words)))
    return text


def _is_meant(node: Node, when: str) -> bool:
    member, _, value = when.partition("=")
    return not when or (node.text(member) == value if value else any(node.at(member).items()))


def _register(rows: Sequence[dict[str, str]]) -> None:
    """Register the check of these rows, under its name and with its advice."""
    asserted = [
        (row["when"], getattr(assertions, row["assertion"]), row["member"].split("."), _value(row["value"]))
        for row in rows
    ]
    whens = " or ".join(dict.fromkeys(row["when"].replace("=", " ") for row in rows)) or rows[0]["part"]

    def check(node: Node) -> Faults:
        seen = False
        for when, assertion, (*holders, member), value in asserted:
            holder = node
            for name in holders:
                holder = holder.at(name)
            is_there = isinstance(holder.value, dict) or not member or subject is Subject.TEMPLATE
            if is_there and _is_meant(node, when):
                seen = True
                yield from assertion(holder, member, *([value] if value else []))
        observe(seen, f"no {whens} was seen")

    subject = Subject[rows[0]["part"].upper()]
    add_check(rows[0], subject, check)


for _, _rows in groupby(read_table("members.csv"), key=lambda row: row["check"]):
    _register(list(_rows))


@check_part(Subject.MEMBER, "GEN-03", "GEN-05")
def no_member_is_null(member: Node) -> Faults:
    """Leave a member without a value out instead of sending null: clients break on it."""
    if member.value is None and not (in_resource(member) and isinstance(member.name, int)):
        yield member.fault("null")


@check_part(Subject.MEMBER, "GEN-04", "GEN-05")
def no_member_is_empty(member: Node) -> Faults:
    """Leave an empty string, array or object out; only cards and services may be empty."""
    top = member.parent is not None and member.parent.parent is None
    if member.value in ("", [], {}) and not (top and member.name in ("cards", "services") and member.value == []):
        yield member.fault(f"empty value {member.value!r}")
