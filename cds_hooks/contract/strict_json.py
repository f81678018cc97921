"""Reads JSON as RFC 8259 defines it: UTF-8, no NaN, no comments, no name twice."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Document:
    """What a body holds: its value, or in words why it is no JSON; `repeated` names members that stand twice."""

    value: Any = None
    problem: str = ""
    repeated: tuple[str, ...] = ()


def read_json(body: bytes) -> Document:
    """The document in these bytes; never raises."""
    repeated: list[str] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        repeated.extend(name for name in set(names) if names.count(name) > 1)
        return dict(pairs)

    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refused, object_pairs_hook=members)
    except (ValueError, RecursionError) as error:
        return Document(problem=str(error) or "nested too deeply")
    return Document(value, repeated=tuple(sorted(repeated)))


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")
