"""What a prefetch template asks for, as far as choosing matching resources of a chart needs it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

Resource = dict[str, Any]


@dataclass(frozen=True)
class Template:
    """A read of one resource (`is_search` false), or a search by type, codes and categories."""

    key: str
    kind: str
    is_search: bool
    codes: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    count: int | None = None

    def matches(self, resource: Resource) -> bool:
        """Whether the search would find the resource, as far as code, category and status say."""
        if resource["resourceType"] != self.kind:
            return False
        if self.codes and self.codes.isdisjoint(_codes([resource.get("code")])):
            return False
        if self.statuses and resource.get("status") not in self.statuses:
            return False
        return not self.categories or not self.categories.isdisjoint(_codes(resource.get("category", ())))


def read_template(key: str, text: str) -> Template:
    """The template of one prefetch key, such as `Observation?patient={{context.patientId}}&code=http://loinc.org|2160-0`."""
    path, _, query = text.partition("?")
    if not query:
        return Template(key, path.partition("/")[0], is_search=False)
    values = {name.partition(":")[0]: value for name, value in parse_qsl(query)}
    return Template(
        key,
        path,
        is_search=True,
        codes=_tokens(values.get("code")),
        categories=_tokens(values.get("category")),
        statuses=_tokens(values.get("status")),
        count=int(values["_count"]) if "_count" in values else None,
    )


def _tokens(value: str | None) -> frozenset[str]:
    """The codes of `system|code,system|code`; the system is not compared, the charts at hand have no clash of codes."""
    return frozenset(unquote(token).rpartition("|")[2] for token in value.split(",")) if value else frozenset()


def _codes(concepts: Iterable[Any]) -> set[str]:
    return {coding.get("code", "") for concept in concepts if concept for coding in concept.get("coding", ())}
