"""Checks of prefetch templates beside their service: fields of its hook, and keys that need each other.

Those of one template are in `members.csv`. CDS Hooks recommends the subset of queries as a whole (QRY-01), so a breach
of it is advice, not an error.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from cds_hooks.tools.kit.contract.definitions import fields_of
from cds_hooks.tools.kit.contract.document import SHOULD, Node, Subject
from cds_hooks.tools.kit.contract.registry import Faults, check_part
from cds_hooks.tools.kit.simulator.templates import keys_in, needs_three, tokens_in

_FIELD: Final = re.compile(r"context\.([A-Za-z]+)")
_LONGEST_CHAIN: Final = 2


@check_part(Subject.TEMPLATE, "TOK-02", level=SHOULD)
def a_token_names_a_field_of_the_hook(template: Node) -> Faults:
    """Use fields that the hook's published context has: no client can fill another (a later version may add fields)."""
    hook = _of_service(template, "hook")
    fields = {field.name for field in fields_of(hook)}
    for token in tokens_in(template.value):
        match = _FIELD.fullmatch(token)
        if fields and match and match[1] not in fields:
            yield template.fault(f"{template.name}: {hook} has no field {match[1]}")


@check_part(Subject.TEMPLATE, "TOK-04", "TOK-19")
def tokens_are_those_of_2_0_1(template: Node) -> Faults:
    """Use first-level context fields with a simple value; offer FHIRPath only to clients of 3.0, under another id."""
    if _of_service(template, "version").startswith(("3", "STU3")):
        return
    fields = {f"context.{field.name}": field for field in fields_of(_of_service(template, "hook"))}
    for token in tokens_in(template.value):
        field = fields.get(token)
        if needs_three(token):
            yield template.fault(f"{template.name}: {{{{{token}}}}} needs 3.0")
        elif field and not (field.token and field.type == "string"):
            yield template.fault(f"{template.name}: {{{{{token}}}}} is no simple value marked as prefetch token")


def _of_service(template: Node, member: str) -> str:
    """Return a text of the service whose template this is; empty where it stands alone."""
    entry = template.parent.parent if template.parent else None
    return entry.text(member) if entry else ""


@check_part(Subject.PREFETCH, "TOK-14")
def a_prefetch_that_is_named_exists(prefetch: Node) -> Faults:
    """Name after % a prefetch key of the same service."""
    for name, needed in _needs(prefetch).items():
        for key in needed - set(prefetch.value) - {"context"}:
            yield prefetch.at(name).fault(f"%{key} is no key of this service")


@check_part(Subject.PREFETCH, "TOK-15")
def a_prefetch_follows_those_it_needs(prefetch: Node) -> Faults:
    """List a prefetch after those it needs, and keep the order of keys when writing JSON."""
    needs, seen = _needs(prefetch), set()
    for name, needed in needs.items():
        seen.add(name)
        for key in needed & set(prefetch.value) - seen:
            if not any(name in chain for chain in _chains(needs, key)):
                yield prefetch.at(name).fault(f"{name} stands before {key}, which it needs")


@check_part(Subject.PREFETCH, "TOK-16")
def prefetches_do_not_need_each_other(prefetch: Node) -> Faults:
    """Break the circle: no client can fill either of them."""
    needs = _needs(prefetch)
    for name in needs:
        if any(name in needs.get(chain[-1], ()) for chain in _chains(needs, name)):
            yield prefetch.at(name).fault(f"{name} needs itself")


@check_part(Subject.PREFETCH, "TOK-08", level=SHOULD)
def chains_of_prefetches_are_short(prefetch: Node) -> Faults:
    """Keep chains to two: each link makes the client wait for the one before."""
    needs = _needs(prefetch)
    for name in needs:
        if any(len(chain) > _LONGEST_CHAIN + 1 for chain in _chains(needs, name)):
            yield prefetch.at(name).fault(f"{name} waits for more than {_LONGEST_CHAIN} others in a row")


def _needs(prefetch: Node) -> dict[str, frozenset[str]]:
    """Return by key which others its template names."""
    templates = prefetch.value if isinstance(prefetch.value, dict) else {}
    return {name: keys_in(template) for name, template in templates.items() if isinstance(template, str)}


def _chains(needs: Mapping[str, frozenset[str]], *chain: str) -> Iterator[tuple[str, ...]]:
    """Yield each chain of keys that begins so, in which each needs the next and none stands twice."""
    yield chain
    for key in needs.get(chain[-1], frozenset()) - set(chain):
        yield from _chains(needs, *chain, key)
