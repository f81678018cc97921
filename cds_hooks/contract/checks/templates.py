"""Rules for prefetch templates: their form, their tokens (2.0.1, and the subset of FHIRPath that 3.0 allows)."""

import re
from collections.abc import Iterator
from typing import Final

from cds_hooks.contract.fhir_names import ANY_TYPES, R4_TYPES
from cds_hooks.contract.finding import SHOULD
from cds_hooks.contract.hooks import fields_of
from cds_hooks.contract.node import Node
from cds_hooks.contract.registry import Faults, judges
from cds_hooks.contract.subjects import Subject
from cds_hooks.contract.tokens import functions_in, keys_in, tokens_in, without_tokens

USER_TOKENS: Final = ("userPractitionerId", "userPractitionerRoleId", "userPatientId", "userRelatedPersonId")
_FIELD: Final = re.compile(r"context\.[A-Za-z]+")
_THREE: Final = re.compile(r"[(%|]|today|context\.\w+\.")
_SUBSET: Final = frozenset({"ofType", "resolve", "today"})
_LONGEST_CHAIN: Final = 2


@judges(Subject.TEMPLATE, "PRE-01")
def a_template_is_a_relative_fhir_query(template: Node) -> Faults:
    """Write Type/id or Type?query, relative to the FHIR server: no leading slash, no host."""
    query = without_tokens(template.value)
    kind = re.split(r"[/?]", query)[0]
    if query == "TOKEN":
        return
    if "://" in query.split("?")[0] or query.startswith("/"):
        yield template.fault(f"{template.value!r} is not relative")
    elif kind not in ANY_TYPES:
        yield template.fault(f"{template.value!r} does not start with a resource type")
    elif "/" not in query.split("?")[0] and "?" not in query:
        yield template.fault(f"{template.value!r} is neither Type/id nor Type?query")


@judges(Subject.TEMPLATE, "TOK-07", "TOK-02", level=SHOULD)
def a_template_of_one_token_is_the_user(template: Node) -> Faults:
    """Let a template be a single token only where its value is Type/id: {{context.userId}}."""
    tokens = list(tokens_in(template.value))
    if without_tokens(template.value) == "TOKEN" and tokens != ["context.userId"] and not _needs_three(tokens[0]):
        yield template.fault(f"{template.value} alone is no query")


@judges(Subject.TEMPLATE, "TOK-01")
def tokens_are_in_double_braces(template: Node) -> Faults:
    """Open each token with {{ and close it with }}."""
    rest = without_tokens(template.value)
    if "{" in rest or "}" in rest or re.search(r"\bcontext\.\w", rest):
        yield template.fault(f"{template.value!r} has a token without both pairs of braces")


@judges(Subject.TEMPLATE, "TOK-03")
def a_context_field_is_named_with_context(template: Node) -> Faults:
    """Write {{context.patientId}}, not {{patientId}}."""
    names = {field.name for field in fields_of(_hook(template))}
    for token in tokens_in(template.value):
        if token in names:
            yield template.fault(f"{{{{{token}}}}} lacks context.")


@judges(Subject.TEMPLATE, "TOK-02", "TOK-06")
def a_token_names_something_that_exists(template: Node) -> Faults:
    """Put context.FIELD or one of the four user identifiers into a token, nothing else."""
    fields = {field.name for field in fields_of(_hook(template))}
    for token in tokens_in(template.value):
        if not token:
            yield template.fault("a token is empty")
        elif token in USER_TOKENS or token in fields or _needs_three(token):
            continue
        elif not _FIELD.fullmatch(token):
            yield template.fault(f"{{{{{token}}}}} is neither context.FIELD nor a user token")


@judges(Subject.TEMPLATE, "TOK-02", level=SHOULD)
def a_token_names_a_field_of_the_hook(template: Node) -> Faults:
    """Use fields that the hook's published context has: no client can fill another (a later version may add fields)."""
    fields = {field.name for field in fields_of(_hook(template))}
    for token in tokens_in(template.value):
        if fields and _FIELD.fullmatch(token) and token.partition(".")[2] not in fields:
            yield template.fault(f"{_key(template)}: {_hook(template)} has no field {token.partition('.')[2]}")


@judges(Subject.TEMPLATE, "TOK-04", "TOK-19")
def tokens_are_those_of_2_0_1(template: Node) -> Faults:
    """Use first-level context fields with a simple value; offer FHIRPath only to clients of 3.0, under another id."""
    if _is_three(template):
        return
    fields = {f"context.{field.name}": field for field in fields_of(_hook(template))}
    for token in tokens_in(template.value):
        field = fields.get(token)
        if _needs_three(token):
            yield template.fault(f"{_key(template)}: {{{{{token}}}}} needs 3.0")
        elif field and not (field.token and field.type == "string"):
            yield template.fault(f"{_key(template)}: {{{{{token}}}}} is no simple value marked as prefetch token")


@judges(Subject.TEMPLATE, "TOK-18")
def fhirpath_keeps_to_the_subset(template: Node) -> Faults:
    """Keep to paths, ofType(), resolve(), today() and days: other functions are outside the closed subset."""
    strange = {name for token in tokens_in(template.value) for name in functions_in(token)} - _SUBSET
    if strange:
        yield template.fault(f"{_key(template)}: {', '.join(sorted(strange))}() is outside the subset")


@judges(Subject.TEMPLATE, "TOK-11")
def of_type_names_a_resource_type(template: Node) -> Faults:
    """Give ofType() a FHIR resource type."""
    for token in tokens_in(template.value):
        for name in re.findall(r"ofType\(\s*([^)]*?)\s*\)", token):
            if name not in R4_TYPES:
                yield template.fault(f"ofType({name})")


@judges(Subject.TEMPLATE, "TOK-17", level=SHOULD)
def joined_paths_are_whole(template: Node) -> Faults:
    """Join paths in one token with a single | and leave none empty."""
    for token in tokens_in(template.value):
        if "|" in token and not all(part.strip() for part in token.split("|")):
            yield template.fault(f"{{{{{token}}}}} has an empty path")


@judges(Subject.PREFETCH, "TOK-14")
def a_prefetch_that_is_named_exists(prefetch: Node) -> Faults:
    """Name after % a prefetch key of the same service."""
    for template, needed in _dependencies(prefetch):
        for key in needed:
            if key not in prefetch.value and key != "context":
                yield template.fault(f"%{key} is no key of this service")


@judges(Subject.PREFETCH, "TOK-15")
def a_prefetch_follows_those_it_needs(prefetch: Node) -> Faults:
    """List a prefetch after those it needs, and keep the order of keys when writing JSON."""
    seen: set[str] = set()
    for template, needed in _dependencies(prefetch):
        late = [key for key in needed if key in prefetch.value and key not in seen and key != template.name]
        for key in late:
            if not _reaches(prefetch, key, str(template.name)):
                yield template.fault(f"{template.name} stands before {key}, which it needs")
        seen.add(str(template.name))


@judges(Subject.PREFETCH, "TOK-16")
def prefetches_do_not_need_each_other(prefetch: Node) -> Faults:
    """Break the circle: no client can fill either of them."""
    for template, _ in _dependencies(prefetch):
        if _reaches(prefetch, str(template.name), str(template.name)):
            yield template.fault(f"{template.name} needs itself")


@judges(Subject.PREFETCH, "TOK-08", level=SHOULD)
def chains_of_prefetches_are_short(prefetch: Node) -> Faults:
    """Keep chains to two: each link makes the client wait for the one before."""
    needs = {str(template.name): needed for template, needed in _dependencies(prefetch)}
    for template, _ in _dependencies(prefetch):
        if _depth(needs, str(template.name), ()) > _LONGEST_CHAIN:
            yield template.fault(f"{template.name} waits for more than {_LONGEST_CHAIN} others in a row")


def _dependencies(prefetch: Node) -> Iterator[tuple[Node, frozenset[str]]]:
    for template in prefetch.members() if isinstance(prefetch.value, dict) else ():
        if isinstance(template.value, str):
            yield template, keys_in(template.value)


def _reaches(prefetch: Node, start: str, goal: str) -> bool:
    needs = {str(template.name): needed for template, needed in _dependencies(prefetch)}
    found: set[str] = set()
    waiting = list(needs.get(start, ()))
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting.extend(needs.get(key, ()))
    return goal in found


def _depth(needs: dict[str, frozenset[str]], key: str, above: tuple[str, ...]) -> int:
    below = [_depth(needs, each, (*above, key)) for each in needs.get(key, ()) if each not in (*above, key)]
    return 1 + max(below) if below else 0


def _needs_three(token: str) -> bool:
    return bool(_THREE.search(token))


def _key(template: Node) -> str:
    return str(template.name)


def _entry(template: Node) -> Node | None:
    return template.parent.parent if template.parent else None


def _hook(template: Node) -> str:
    entry = _entry(template)
    return entry.text("hook") if entry else ""


def _is_three(template: Node) -> bool:
    entry = _entry(template)
    return entry is not None and entry.text("version").startswith(("3", "STU3"))
