"""What checks of documents ask of members: there, of the right type, one of these values."""

import re
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from cds_hooks.contract.node import Node, shown
from cds_hooks.contract.registry import Faults

_TYPES: Final[dict[str, type]] = {"string": str, "boolean": bool, "array": list, "object": dict}
UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def required(node: Node, name: str, kind: str = "string") -> Faults:
    """A fault where the member is missing or of another JSON type; null counts as missing."""
    member = node.at(name)
    if member.absent or member.value is None:
        yield member.fault(f"{name} is missing")
    else:
        yield from optional(node, name, kind)


def optional(node: Node, name: str, kind: str = "string") -> Faults:
    """A fault where the member is there and of another JSON type. What null means is for GEN-03 to say."""
    member = node.at(name)
    if not member.absent and member.value is not None and not isinstance(member.value, _TYPES[kind]):
        yield member.fault(f"{name} is {_kind_of(member)}, not {'an' if kind[0] in 'ao' else 'a'} {kind}")


def one_of(node: Node, name: str, allowed: Collection[str]) -> Faults:
    """A fault where the member is there and none of these."""
    member = node.at(name)
    if not member.absent and member.value is not None and member.value not in allowed:
        yield member.fault(f"{name} is {shown(member.value)}")


def array_of_objects(node: Node, name: str) -> Faults:
    """A fault where the member is there and no array, or an item of it is no object."""
    yield from optional(node, name, "array")
    for item in node.at(name).items():
        if not isinstance(item.value, dict):
            yield item.fault(f"item is {_kind_of(item)}, not an object")


def absolute_url(node: Node, name: str) -> Faults:
    """A fault where the member is there and no absolute http or https URL."""
    yield from optional(node, name)
    text = node.text(name)
    if text and not is_absolute_url(text):
        yield node.at(name).fault(f"{name} is {shown(text)}")


def is_absolute_url(text: str) -> bool:
    """Whether this is an http or https URL with a host."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and not re.search(r"\s", text)


def _kind_of(node: Node) -> str:
    value = node.value
    if isinstance(value, bool):
        return "a boolean"
    for kind, python in _TYPES.items():
        if isinstance(value, python):
            return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
    return "null" if value is None else "a number"
