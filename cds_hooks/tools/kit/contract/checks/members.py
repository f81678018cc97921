"""Checks of documents: which part has which members, of which type and with which values (`members.csv`), and more.

A row is one assertion (`assertions.py`) on a member such as `summary` or `source.topic`; the rows of one check stand
together, and its advice is in the first. `when` says of which part alone a row speaks: of one whose member has this
value (`type=create`), or is an array with items (`suggestions`).

A name in `extension` is com.example.name in the specification; two labels are enough (`davinci-crd.version` is met in
the field), and a name of the Da Vinci guides has a published meaning (CRD 2.0, "Linking cards to requests").
"""

import re
from collections.abc import Sequence
from itertools import groupby
from typing import Final

from cds_hooks.tools.kit.contract import assertions
from cds_hooks.tools.kit.contract.assertions import optional
from cds_hooks.tools.kit.contract.definitions import (
    ANY_TYPES,
    FIELDS,
    HOOK_VERSIONS,
    HOOKS,
    NON_ADHERENCE_CODES,
    R4_TYPES,
    read_table,
)
from cds_hooks.tools.kit.contract.document import SHOULD, Node, Subject, in_resource, observe, quoted
from cds_hooks.tools.kit.contract.fhir_form import form_faults
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


_HTML: Final = re.compile(r"</?[a-zA-Z][^<>\n]*>")
# GFM escapes with a backslash, shows code as it is, and takes <https://…> for a link.
_NOT_HTML: Final = re.compile(r"```.*?```|`[^`\n]*`|\\<|<(?:https?://|mailto:)[^<>\s]*>", re.DOTALL)


@check_part(Subject.CARD, "CARD-06", level=SHOULD)
def detail_has_no_html(card: Node) -> Faults:
    """Write Markdown without HTML, and escape < in text that is not yours: not every client renders or cleans it."""
    match = _HTML.search(_NOT_HTML.sub("", card.text("detail")))
    if match:
        yield card.at("detail").fault(f"detail holds {quoted(match[0])}")


@check_part(Subject.CARD, "SUG-04", level=SHOULD)
def one_suggestion_at_most_is_recommended(card: Node) -> Faults:
    """Recommend one suggestion where only one can be chosen."""
    recommended = [
        suggestion for suggestion in card.objects("suggestions") if suggestion.at("isRecommended").value is True
    ]
    if len(recommended) > 1 and card.text("selectionBehavior") == "at-most-one":
        yield card.at("suggestions").fault(f"{len(recommended)} suggestions are recommended with at-most-one")


@check_part(Subject.ACTION, "GEN-08", "ACT-03")
def a_created_resource_keeps_the_json_types_of_fhir(action: Node) -> Faults:
    """Write quantities as numbers, references as strings, codings and extensions as arrays, as FHIR's JSON has them."""
    yield from form_faults(_created(action), are_types=True)


@check_part(Subject.ACTION, "GEN-08", "ACT-03", level=SHOULD)
def a_created_resource_has_the_form_of_fhir(action: Node) -> Faults:
    """Send resources as FHIR R4 has them: required elements there, one of a choice, known codes and formats."""
    yield from form_faults(_created(action), are_types=False)


def _created(action: Node) -> Node:
    resource = action.at("resource")
    observe(action.text("type") == "create" and isinstance(resource.value, dict), "no create was seen")
    return resource


@check_part(Subject.ACTION, "GEN-08", "ACT-03", level=SHOULD)
def references_in_a_resource_lead_somewhere(action: Node) -> Faults:
    """Write references as Type/id, an absolute URL, urn: or the #id of a contained resource."""
    if isinstance(action.at("resource").value, dict):
        contained = {f"#{resource.text('id')}" for resource in action.at("resource").objects("contained")}
        yield from _references(action.at("resource"), contained | {"#"})


def _references(node: Node, contained: set[str]) -> Faults:
    for member in node.members():
        if member.name == "reference" and isinstance(member.value, str):
            match = _REFERENCE.fullmatch(member.value)
            is_named = match is not None and match[1] in R4_TYPES
            if not is_named and member.value not in contained and not _ABSOLUTE.match(member.value):
                yield member.fault(f"reference is {quoted(member.value)}")
        else:
            yield from _references(member, contained)


# Ids that clients have made are longer than FHIR allows, or hold other characters (trap 35).
_REFERENCE: Final = re.compile(r"([A-Z][A-Za-z]{1,63})/([^\s/]{1,500})(/_history/[^\s/]{1,64})?")
_ABSOLUTE: Final = re.compile("urn:|https?://")


@check_part(Subject.ENTRY, "DISC-11", level=SHOULD)
def hook_version_is_a_published_one(entry: Node) -> Faults:
    """Send as hookVersion what the published definition of the hook says, or leave it out."""
    yield from optional(entry, "hookVersion")
    published_versions, text = HOOK_VERSIONS.get(entry.text("hook")), entry.text("hookVersion")
    if published_versions and text and text not in published_versions:
        yield entry.at("hookVersion").fault(f"hookVersion is {text!r}; published: {' or '.join(published_versions)}")


@check_part(Subject.DISCOVERY, "DISC-12")
def versions_of_one_hook_have_an_id_each(document: Node) -> Faults:
    """List each version of a hook under an id of its own."""
    observe(any(document.objects("services")), "no service is listed")
    versions: dict[tuple[str, str], set[str]] = {}
    for entry in document.objects("services"):
        pair = (entry.text("hook"), entry.text("id"))
        versions.setdefault(pair, set()).add(entry.text("hookVersion"))
        if len(versions[pair]) > 1:
            yield entry.fault(f"{pair[1]} serves several versions of {pair[0]}")
