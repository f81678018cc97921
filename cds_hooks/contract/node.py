"""A JSON value that knows its place in the document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from cds_hooks.contract.finding import Fault

ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Node:
    """One JSON value; `place` is its path, `parent` what holds it, `name` the member or position it has there."""

    value: Any
    place: str = ""
    parent: Node | None = None
    name: str | int = ""

    @property
    def absent(self) -> bool:
        """Whether the member is not there at all (null is there)."""
        return self.value is ABSENT

    def at(self, name: str) -> Node:
        """The member of this name; its value is ABSENT where there is none."""
        value = self.value.get(name, ABSENT) if isinstance(self.value, dict) else ABSENT
        return Node(value, f"{self.place}.{name}" if self.place else name, self, name)

    def has(self, name: str) -> bool:
        """Whether there is a member of this name."""
        return isinstance(self.value, dict) and name in self.value

    def members(self) -> Iterator[Node]:
        """The members of an object, or the items of an array."""
        if isinstance(self.value, dict):
            for name in self.value:
                yield self.at(name)
        elif isinstance(self.value, list):
            for position, item in enumerate(self.value):
                yield Node(item, f"{self.place}[{position}]", self, position)

    def objects(self, name: str) -> Iterator[Node]:
        """The items of the array of this name that are objects."""
        for item in self.at(name).items():
            if isinstance(item.value, dict):
                yield item

    def items(self) -> Iterator[Node]:
        """The items where this is an array."""
        if isinstance(self.value, list):
            yield from self.members()

    def text(self, name: str) -> str:
        """The member of this name where it is a string, else an empty one."""
        value = self.at(name).value
        return value if isinstance(value, str) else ""

    def fault(self, found: str) -> Fault:
        """A fault at this place."""
        return Fault(found, self.place)


def shown(value: Any) -> str:
    """A JSON value as a finding quotes it: short."""
    if value is ABSENT:
        return "missing"
    text = repr(value) if isinstance(value, str | int | float | None) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}…"
