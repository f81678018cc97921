"""Reads a small JSON object in which everything stands once: tokens and key sets."""

import json
from typing import Any


class NotAnObject(ValueError):
    """The bytes are no JSON object, or one that two readers could read differently."""


def read_object(data: bytes) -> dict[str, Any]:
    """The object; NotAnObject for other JSON, members that stand twice, NaN, invalid UTF-8, endless nesting."""
    try:
        # decoded here: json itself would also take UTF-16 and UTF-32
        value = _DECODER.decode(data.decode("utf-8", "strict"))
    except (ValueError, RecursionError) as error:
        raise NotAnObject("it is not a JSON object in which each member stands once") from error
    if not isinstance(value, dict):
        raise NotAnObject("it is JSON, but not an object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)
