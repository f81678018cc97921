"""Checks a trust file against its JSON Schema and says each mistake in a sentence with its place."""

import json
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema import ValidationError

_MOST_SHOWN = 60


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the trust file."""
    document: dict[str, Any] = json.loads(files(__package__).joinpath("trust.schema.json").read_text())
    return document


def schema_problems(document: dict[str, Any]) -> list[str]:
    """Return a sentence for each mistake that the schema finds, in the order of the file."""
    # imported here: a server without a trust file does not need it
    from jsonschema import Draft202012Validator

    errors = Draft202012Validator(schema()).iter_errors(document)
    ordered = sorted(errors, key=lambda error: [str(part) for part in error.path])
    # the library has an error for each missing member, of which one sentence is made
    return list(dict.fromkeys(_sentence(error, document) for error in ordered))


def place_in_trust_file(document: dict[str, Any], path: Sequence[str | int]) -> str:
    """Return the place of an entry as its author looks for it: `client 2 "Epic test", algorithms[0]`."""
    parts = list(path)
    words: list[str] = []
    if len(parts) >= 2 and parts[0] == "client" and isinstance(parts[1], int):
        words.append(_client(document, parts[1]))
        parts = parts[2:]
    name = ""
    for part in parts:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return ", ".join([*words, *([name] if name else [])]) or "the file"


def _client(document: dict[str, Any], at: int) -> str:
    entry = document["client"][at]
    name = entry.get("name") if isinstance(entry, dict) else None
    return f"client {at + 1} {json.dumps(name)}" if isinstance(name, str) else f"client {at + 1}"


def _sentence(error: "ValidationError", document: dict[str, Any]) -> str:
    where = place_in_trust_file(document, list(error.absolute_path))
    limits, instance = _any(error.schema), _any(error.instance)
    if error.validator == "required":
        missing = [name for name in limits["required"] if name not in instance]
        return f"{where}: missing: {_listed(missing)}"
    if error.validator == "additionalProperties":
        limit = limits["properties"]
        return "; ".join(_unknown(where, name, limit) for name in instance if name not in limit)
    if error.validator == "uniqueItems":
        return f"{where}: something is listed twice"
    return f"{where}: {_shown(error)}must be {_wanted(error.absolute_schema_path)}"


def _any(value: object) -> Any:
    """Return the field of a schema error; the library's types allow it to be unset, which never happens."""
    return value


def _unknown(where: str, name: str, texts: Iterable[str]) -> str:
    meant = get_close_matches(name, texts, 1)
    hint = f"did you mean {meant[0]}?" if meant else f"known are {_listed(sorted(texts))}"
    return f"{where}: there is no setting {json.dumps(name)}; {hint}"


def _shown(error: "ValidationError") -> str:
    """Return the value itself, where it is short and no part of a key."""
    if "keys" in error.absolute_path:
        return ""
    text = json.dumps(error.instance, ensure_ascii=False, default=str)
    return f"{text} is not right, it " if len(text) <= _MOST_SHOWN else ""


def _wanted(path: Iterable[str | int]) -> str:
    """Return the nearest description on the way through the schema to the keyword that failed."""
    node: Any = schema()
    wanted = ""
    for part in path:
        if "$ref" in node and part not in node:  # the library leaves references out of its paths
            node = schema()["$defs"][node["$ref"].rpartition("/")[2]]
        node = node[part]
        if isinstance(node, dict) and isinstance(node.get("description"), str):
            wanted = node["description"]
    return wanted


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
