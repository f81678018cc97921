"""Checks of prefetch templates: their tokens and their queries.

CDS Hooks recommends the subset of queries as a whole (QRY-01), so a breach of it is advice, not an error.
"""

import re
from collections.abc import Iterator
from typing import Final

from cds_hooks.tools.kit.contract.definitions import ANY_TYPES, R4_TYPES, fields_of
from cds_hooks.tools.kit.contract.document import SHOULD, Node, Subject
from cds_hooks.tools.kit.contract.registry import Faults, check_part
from cds_hooks.tools.kit.simulator.templates import functions_in, keys_in, needs_three, tokens_in, without_tokens

USER_TOKENS: Final = ("userPractitionerId", "userPractitionerRoleId", "userPatientId", "userRelatedPersonId")
_FIELD: Final = re.compile(r"context\.[A-Za-z]+")
_OF_A_PATIENT = """
    AllergyIntolerance CarePlan Condition Coverage DeviceRequest DiagnosticReport DocumentReference Encounter Goal
    Immunization MedicationAdministration MedicationDispense MedicationRequest MedicationStatement Observation Patient
    Procedure ServiceRequest
"""
_OF_PATIENTS: Final = frozenset(_OF_A_PATIENT.split())
_SUBSET: Final = frozenset({"ofType", "resolve", "today"})
_LONGEST_CHAIN: Final = 2


@check_part(Subject.TEMPLATE, "PRE-01")
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


@check_part(Subject.TEMPLATE, "TOK-07", "TOK-02", level=SHOULD)
def a_template_of_one_token_is_the_user(template: Node) -> Faults:
    """Let a template be a single token only where its value is Type/id: {{context.userId}}."""
    tokens = list(tokens_in(template.value))
    if without_tokens(template.value) == "TOKEN" and tokens != ["context.userId"] and not needs_three(tokens[0]):
        yield template.fault(f"{template.value} alone is no query")


@check_part(Subject.TEMPLATE, "PRE-01", level=SHOULD)
def a_search_names_whose_data_it_is_about(template: Node) -> Faults:
    """Put a token into the search, such as patient={{context.patientId}}: without one it finds data of everybody."""
    query = without_tokens(template.value)
    kind, _, search = query.partition("?")
    if kind in _OF_PATIENTS and search and "TOKEN" not in search:
        yield template.fault(f"{template.value!r} is about no patient")


@check_part(Subject.PREFETCH, "DISC-08", level=SHOULD)
def a_prefetch_key_is_not_blank(prefetch: Node) -> Faults:
    """Give each template a key of letters: a client takes it for the name of a member."""
    for template in prefetch.members() if isinstance(prefetch.value, dict) else ():
        if not str(template.name).strip():
            yield template.fault("the key of a template is blank")


@check_part(Subject.TEMPLATE, "TOK-01")
def tokens_are_in_double_braces(template: Node) -> Faults:
    """Open each token with {{ and close it with }}."""
    remainder = without_tokens(template.value)
    if "{" in remainder or "}" in remainder or re.search(r"\bcontext\.\w", remainder):
        yield template.fault(f"{template.value!r} has a token without both pairs of braces")


@check_part(Subject.TEMPLATE, "TOK-03")
def a_context_field_is_named_with_context(template: Node) -> Faults:
    """Write {{context.patientId}}, not {{patientId}}."""
    names = {field.name for field in fields_of(_hook(template))}
    for token in tokens_in(template.value):
        if token in names:
            yield template.fault(f"{{{{{token}}}}} lacks context.")


@check_part(Subject.TEMPLATE, "TOK-02", "TOK-06")
def a_token_names_something_that_exists(template: Node) -> Faults:
    """Put context.FIELD or one of the four user identifiers into a token, nothing else."""
    fields = {field.name for field in fields_of(_hook(template))}
    for token in tokens_in(template.value):
        if not token:
            yield template.fault("a token is empty")
        elif token in USER_TOKENS or token in fields or needs_three(token):
            continue
        elif not _FIELD.fullmatch(token):
            yield template.fault(f"{{{{{token}}}}} is neither context.FIELD nor a user token")


@check_part(Subject.TEMPLATE, "TOK-02", level=SHOULD)
def a_token_names_a_field_of_the_hook(template: Node) -> Faults:
    """Use fields that the hook's published context has: no client can fill another (a later version may add fields)."""
    fields = {field.name for field in fields_of(_hook(template))}
    for token in tokens_in(template.value):
        if fields and _FIELD.fullmatch(token) and token.partition(".")[2] not in fields:
            yield template.fault(f"{_key(template)}: {_hook(template)} has no field {token.partition('.')[2]}")


@check_part(Subject.TEMPLATE, "TOK-04", "TOK-19")
def tokens_are_those_of_2_0_1(template: Node) -> Faults:
    """Use first-level context fields with a simple value; offer FHIRPath only to clients of 3.0, under another id."""
    if _is_three(template):
        return
    fields = {f"context.{field.name}": field for field in fields_of(_hook(template))}
    for token in tokens_in(template.value):
        field = fields.get(token)
        if needs_three(token):
            yield template.fault(f"{_key(template)}: {{{{{token}}}}} needs 3.0")
        elif field and not (field.token and field.type == "string"):
            yield template.fault(f"{_key(template)}: {{{{{token}}}}} is no simple value marked as prefetch token")


@check_part(Subject.TEMPLATE, "TOK-18")
def fhirpath_keeps_to_the_subset(template: Node) -> Faults:
    """Keep to paths, ofType(), resolve(), today() and days: other functions are outside the closed subset."""
    strange = {name for token in tokens_in(template.value) for name in functions_in(token)} - _SUBSET
    if strange:
        yield template.fault(f"{_key(template)}: {', '.join(sorted(strange))}() is outside the subset")


@check_part(Subject.TEMPLATE, "TOK-11")
def of_type_names_a_resource_type(template: Node) -> Faults:
    """Give ofType() a FHIR resource type."""
    for token in tokens_in(template.value):
        for name in re.findall(r"ofType\(\s*([^()]*?)\s*\)", token):
            if name not in R4_TYPES:
                yield template.fault(f"ofType({name})")


@check_part(Subject.TEMPLATE, "TOK-17", level=SHOULD)
def joined_paths_are_whole(template: Node) -> Faults:
    """Join paths in one token with a single | and leave none empty."""
    for token in tokens_in(template.value):
        if "|" in token and not all(part.strip() for part in token.split("|")):
            yield template.fault(f"{{{{{token}}}}} has an empty path")


@check_part(Subject.PREFETCH, "TOK-14")
def a_prefetch_that_is_named_exists(prefetch: Node) -> Faults:
    """Name after % a prefetch key of the same service."""
    for template, needed in _dependencies(prefetch):
        for key in needed:
            if key not in prefetch.value and key != "context":
                yield template.fault(f"%{key} is no key of this service")


@check_part(Subject.PREFETCH, "TOK-15")
def a_prefetch_follows_those_it_needs(prefetch: Node) -> Faults:
    """List a prefetch after those it needs, and keep the order of keys when writing JSON."""
    seen: set[str] = set()
    for template, needed in _dependencies(prefetch):
        late = [key for key in needed if key in prefetch.value and key not in seen and key != template.name]
        for key in late:
            if not _reaches(prefetch, key, str(template.name)):
                yield template.fault(f"{template.name} stands before {key}, which it needs")
        seen.add(str(template.name))


@check_part(Subject.PREFETCH, "TOK-16")
def prefetches_do_not_need_each_other(prefetch: Node) -> Faults:
    """Break the circle: no client can fill either of them."""
    for template, _ in _dependencies(prefetch):
        if _reaches(prefetch, str(template.name), str(template.name)):
            yield template.fault(f"{template.name} needs itself")


@check_part(Subject.PREFETCH, "TOK-08", level=SHOULD)
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
    reached_keys: set[str] = set()
    waiting = list(needs.get(start, ()))
    while waiting:
        key = waiting.pop()
        if key not in reached_keys:
            reached_keys.add(key)
            waiting.extend(needs.get(key, ()))
    return goal in reached_keys


def _depth(needs: dict[str, frozenset[str]], key: str, above: tuple[str, ...]) -> int:
    below = [
        _depth(needs, needed_key, (*above, key)) for needed_key in needs.get(key, ()) if needed_key not in (*above, key)
    ]
    return 1 + max(below) if below else 0


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


@check_part(Subject.TEMPLATE, "QRY-02", "QRY-01", level=SHOULD)
def a_read_is_of_one_instance(template: Node) -> Faults:
    """Read one instance: Type/{{token}}, without a version, a compartment or a query behind it."""
    query = without_tokens(template.value)
    path = query.partition("?")[0].split("/")
    if len(path) > 1 and not _is_compartment(path) and (len(path) > 2 or "?" in query or not path[1]):
        yield template.fault(f"{template.value} is not a plain read")


@check_part(Subject.TEMPLATE, "QRY-03", "QRY-01", level=SHOULD)
def a_search_is_on_the_type(template: Node) -> Faults:
    """Search on the type level: no system search, no compartment, no operation."""
    query = without_tokens(template.value)
    path = query.partition("?")[0].split("/")
    if "$" in query.partition("?")[0] or _is_compartment(path) or not path[0]:
        yield template.fault(f"{template.value} is no type-level search")


def _is_compartment(path: list[str]) -> bool:
    """Patient/TOKEN/Observation: a search in a compartment, not a read."""
    return len(path) > 2 and path[2][:1].isupper()
