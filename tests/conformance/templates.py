"""Prefetch templates taken apart by a grammar of the tests' own."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.conformance.outside import Json

TOKEN = re.compile(r"\{\{(.*?)\}\}")
CONTEXT = re.compile(r"context\.([A-Za-z][A-Za-z0-9]*)")
USER = frozenset({"userPractitionerId", "userPractitionerRoleId", "userPatientId", "userRelatedPersonId"})
TODAY = re.compile(r"today\(\)( [+-] \d+ days)?")
PATH = re.compile(r"(?:context|%[A-Za-z][A-Za-z0-9]*)(?:\.[a-z][A-Za-z0-9]*|\.ofType\([A-Z][A-Za-z]+\)|\.resolve\(\))+")
OF_TYPE = re.compile(r"ofType\(([^)]*)\)")
EARLIER = re.compile(r"%([A-Za-z][A-Za-z0-9]*)")


@dataclass(frozen=True)
class Template:
    """One key of one discovery entry."""

    hook: str
    key: str
    query: str
    before: tuple[str, ...]
    """The keys that stand before it."""

    @property
    def tokens(self) -> list[str]:
        """What stands between double braces."""
        return TOKEN.findall(self.query)

    @property
    def path(self) -> str:
        """What stands before the question mark."""
        return self.query.partition("?")[0]

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """Names with their modifiers, and values; none for a read."""
        rest = self.query.partition("?")[2]
        return [(name, value) for name, _, value in (each.partition("=") for each in rest.split("&"))] if rest else []

    @property
    def needs(self) -> list[str]:
        """The keys whose answers its tokens use."""
        return [key for token in self.tokens for key in EARLIER.findall(token)]


def templates(entries: list[Json]) -> Iterator[Template]:
    """Every template of discovery."""
    for entry in entries:
        keys = list(entry.get("prefetch", {}))
        for number, key in enumerate(keys):
            yield Template(entry["hook"], key, entry["prefetch"][key], tuple(keys[:number]))
