"""Assertions that several checks share: about members of a document, and about the answer to a request."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qsl

from cds_hooks.tools.kit.contract.connection import Exchange
from cds_hooks.tools.kit.contract.document import Node, observe, quoted
from cds_hooks.tools.kit.contract.registry import Faults
from cds_hooks.tools.kit.contract.target import Service
from cds_hooks.tools.kit.simulator.templates import tokens_in, without_tokens

_TYPES: Final[dict[str, type]] = {"string": str, "boolean": bool, "array": list, "object": dict}
UNAUTHORIZED: Final = (401, 403)


def required(node: Node, name: str, kind: str = "string") -> Faults:
    """Yield a fault where the member is missing or of another JSON type; null counts as missing."""
    member = node.at(name)
    if member.absent or member.value is None:
        yield member.fault(f"{name} is missing")
    else:
        yield from optional(node, name, kind)


def optional(node: Node, name: str, kind: str = "string") -> Faults:
    """Yield a fault where the member is there and of another JSON type. What null means is for GEN-03 to say."""
    member = node.at(name)
    if not member.absent and member.value is not None and not isinstance(member.value, _TYPES[kind]):
        yield member.fault(f"{name} is {_kind_of(member)}, not {_a(kind)}")


def one_of(node: Node, name: str, allowed: str) -> Faults:
    """Yield a fault where the member is there and none of these words."""
    member = node.at(name)
    if not member.absent and member.value is not None and member.value not in re.split(r"[ |]", allowed):
        yield member.fault(f"{name} is {quoted(member.value)}")


def an_object(node: Node, _: str) -> Faults:
    """Yield a fault where the node is of another JSON type. What a null member means is for GEN-03 to say."""
    if (node.value is not None or node.parent is None) and not isinstance(node.value, dict):
        yield node.fault(f"{node.name or 'the document'} is {_kind_of(node)}, not an object")


def array_of_objects(node: Node, name: str) -> Faults:
    """Yield a fault where the member is there and no array, or an item of it is not an object."""
    yield from optional(node, name, "array")
    if isinstance(node.at(name).value, list):
        yield from each_is(node.at(name), "", "object")


def each_is(node: Node, _: str, kind: str) -> Faults:
    """Yield a fault for each item or member of the node that is of another JSON type."""
    for item in node.members():
        is_left_to_gen_03 = item.value is None and isinstance(item.name, str)
        if not is_left_to_gen_03 and not isinstance(item.value, _TYPES[kind]):
            yield item.fault(
                f"{'item' if isinstance(item.name, int) else item.name} is {_kind_of(item)}, not {_a(kind)}"
            )


def names_match(node: Node, _: str, pattern: str) -> Faults:
    """Yield a fault for each member of the node whose name has not this form."""
    for member in node.members() if isinstance(node.value, dict) else ():
        if not re.fullmatch(pattern, str(member.name)):
            yield member.fault(f"a member is named {quoted(member.name)}")


def left_out(node: Node, name: str) -> Faults:
    """Yield a fault where there is such a member."""
    if node.has(name):
        yield node.at(name).fault(f"{name} is there")


def no_such(node: Node, name: str, kind: str) -> Faults:
    """Yield a fault where the member is of this JSON type."""
    if isinstance(node.at(name).value, _TYPES[kind]):
        yield node.at(name).fault(f"{name} is {_kind_of(node.at(name))}")


def matches(node: Node, name: str, pattern: str) -> Faults:
    """Yield a fault where the member is text and has not this form."""
    text = node.text(name)
    if text and not re.fullmatch(pattern, text):
        yield node.at(name).fault(f"{name} is {quoted(text)}")


def free_of(node: Node, name: str, pattern: str) -> Faults:
    """Yield a fault where the member, or without a name the text that the node is, holds this."""
    if match := re.search(pattern, node.text(name) if name else node.value):
        yield (node.at(name) if name else node).fault(f"{name or node.name} holds {quoted(match[0])}")


def form_matches(template: Node, _: str, pattern: str) -> Faults:
    """Yield a fault where the template, with TOKEN for each token, has not this form."""
    if not re.fullmatch(pattern, without_tokens(template.value)):
        yield template.fault(f"{template.name} is {quoted(template.value)}")


def form_free_of(template: Node, _: str, pattern: str) -> Faults:
    """Yield a fault where the template, with TOKEN for each token, holds this."""
    if re.search(pattern, without_tokens(template.value)):
        yield template.fault(f"{template.name} is {quoted(template.value)}")


def tokens_match(template: Node, _: str, pattern: str) -> Faults:
    """Yield a fault for each token that has not this form."""
    for token in tokens_in(template.value):
        if not re.fullmatch(pattern, token):
            yield template.fault(f"{template.name} has the token {{{{{token}}}}}")


def tokens_free_of(template: Node, _: str, pattern: str) -> Faults:
    """Yield a fault for each token that holds this."""
    for token in tokens_in(template.value):
        if re.search(pattern, token):
            yield template.fault(f"{template.name} has the token {{{{{token}}}}}")


def parameters(template: Node, kinds: str, pattern: str) -> Faults:
    """Yield a fault for search parameters of these kinds whose modifier and value (`in=x`, `=x`) have not this form."""
    search = without_tokens(template.value).partition("?")[2]
    for parameter, value in parse_qsl(search, keep_blank_values=True):
        name, colon, modifier = parameter.partition(":")
        if _kind_of_parameter(name) in kinds.split() and not re.fullmatch(pattern, f"{modifier}={value}"):
            yield template.fault(f"{template.name}: {name}{colon}{modifier}={value}")


def _kind_of_parameter(name: str) -> str:
    """Return what a search parameter is compared with; those of results are kinds of their own."""
    kind = next((kind for kind, names in _PARAMETERS.items() if name in names.split()), "")
    if "." in name:  # chaining
        return "outside"
    if name in ("_count", "_sort", "sort", "_maxresults"):
        return name
    return kind or ("date" if _DATE.fullmatch(name) else "token")


_PARAMETERS: Final = {
    "reference": "patient subject encounter performer requester practitioner author asserter recorder organization "
    "location beneficiary actor focus based-on context",
    "outside": "_include _revinclude _has _summary _elements _text _content _filter _list _contained _query _type "
    "name family given phonetic address address-city address-state value-quantity component-value-quantity "
    "dose-quantity quantity probability description text",
    "known": "_id _lastUpdated",
}
_DATE: Final = re.compile(r"date|.*-date|authored|authoredon|birthdate|issued|period|onset|recorded|when[a-z]*")


def at_most(node: Node, name: str, length: str) -> Faults:
    """Yield a fault where the member is a longer text or array."""
    value = node.at(name).value
    if isinstance(value, str | list) and len(value) > int(length):
        yield node.at(name).fault(f"{name} has {len(value)} {'characters' if isinstance(value, str) else 'items'}")


def filled(node: Node, name: str) -> Faults:
    """Yield a fault where the member is a text of white space or an empty array."""
    if (node.text(name) and not node.text(name).strip()) or node.at(name).value == []:
        yield node.at(name).fault(f"{name} is blank")


def each_once(node: Node, name: str, members: str) -> Faults:
    """Yield a fault for objects of an array with the same texts in these members; without the first it is none's."""
    names = members.split()
    times = Counter(tuple(item.text(member) for member in names) for item in node.objects(name))
    observe(times, f"no {name} were seen")
    for texts, count in times.items():
        if texts[0] and count > 1:
            yield node.at(name).fault(f"{count} have the same {' and '.join(names)}: {quoted(texts[0])}")


def _kind_of(node: Node) -> str:
    value = node.value
    if isinstance(value, bool):
        return "a boolean"
    for kind, python in _TYPES.items():
        if isinstance(value, python):
            return _a(kind)
    return "null" if value is None else "a number"


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'ao' else 'a'} {kind}"


EXPECTED: Final[Mapping[str, Callable[[Exchange], bool]]] = {
    "success": lambda exchange: exchange.ok,
    "answered": lambda exchange: exchange.cards is not None,
    "answered or 412": lambda exchange: exchange.cards is not None or exchange.status == 412,
    "answered or refused": lambda exchange: exchange.status == 200 or exchange.status >= 400,
    "no failure": lambda exchange: 0 < exchange.status < 500,
    "refused": lambda exchange: exchange.status >= 400,
    "unauthorized": lambda exchange: exchange.status in UNAUTHORIZED,
}
"""How a request has to be answered: with 200 and cards, refused with any status (the choice is the server's), or so."""


def expect(expected: str, exchange: Exchange) -> Faults:
    """Yield a fault where the answer is none of those that are expected."""
    if not EXPECTED[expected](exchange):
        passed_over = ", as if nothing was wrong" if expected == "refused" else ""
        yield exchange.fault(f"{exchange.answer}{passed_over}")


def expect_same_cards(exchange: Exchange, other: Exchange, as_in: str) -> Faults:
    """Yield a fault where the answer is not 200 with the cards of the other one, which was given `as_in`."""
    yield from expect("answered", exchange)
    if exchange.cards is not None and exchange.advice != other.advice:
        yield exchange.fault(f"the cards differ from those with {as_in}")


def in_row_of_field(service: Service, name: str, faults: Faults) -> Faults:
    """Yield the faults, under the row of this field of the service's hook."""
    for fault in faults:
        yield replace(fault, row=f"HK-{service.hook}-{name}")
