"""What differs between two versions of a rule or of a model, laid out as rows: where, before, after."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson
from msgspec import Struct

_LONGEST: Final = 2_000
_NAMES: Final = ("id", "name", "code", "gate", "capacity", "label", "age_low", "reason")
"""The members by which the entries of a list are told apart, the first that is there."""

Json = Mapping[str, Any]


class ChangedRow(Struct, frozen=True):
    """One place that differs; "" where there was or is nothing."""

    where: str
    before: str
    after: str


class ChangedPart(Struct, frozen=True):
    """The differences of one kind."""

    title: str
    rows: tuple[ChangedRow, ...]


class VersionChoice(Struct, frozen=True):
    """A version that can be compared: its key in the address, and in words."""

    key: str
    words: str


RULE_PARTS: Final = {
    "title": "Title",
    "bands": "Cards: when, how severe, what they say and offer",
    "trigger": "Which orders it looks at",
    "missing_data": "What it says where a value is missing",
    "silent_when": "When it keeps quiet",
    "evidence": "Sources",
    "audit": "How it was checked",
    "override reasons": "Reasons for an override",
}
MODEL_PARTS: Final = {
    "intended_use": "Intended use",
    "population": "Who may be scored",
    "outcome": "What is predicted",
    "features": "Inputs",
    "required": "Inputs that must be there",
    "missing_inputs": "What a missing input counts as",
    "evaluation": "Figures of its evaluation",
    "thresholds": "Thresholds",
    "reference": "Reference cohort",
    "cohort": "Who was trained on",
    "data": "Training data",
    "period": "Years of the data",
    "gates": "Gates",
    "release": "Release",
    "file": "The file",
    "software": "Software",
    "lineage": "What it was made with",
}


def rule_parts(declared: Sequence[Any]) -> dict[str, Any]:
    """The text of a version of a rule by what it is about."""
    rule, reasons, unsure, unstable = declared
    return {**rule, "override reasons": reasons, "advice where a value is unsure": unsure, "its words": unstable}


def changed_parts(before: Json, after: Json, titles: Mapping[str, str]) -> list[ChangedPart]:
    """Everything that differs, in the order of `titles` and then what has none; none where both are the same."""
    names = [*titles, *sorted({*before, *after} - {*titles})]
    differing = ((name, tuple(_rows("", before.get(name), after.get(name)))) for name in names)
    return [
        ChangedPart(titles.get(name, name.replace("_", " ").capitalize()), rows) for name, rows in differing if rows
    ]


def _rows(where: str, before: Any, after: Any) -> Iterator[ChangedRow]:
    if before == after:
        return
    parts = _parts(before), _parts(after)
    if parts[0] is None or parts[1] is None:
        yield ChangedRow(where, _text(before), _text(after))
        return
    for name in dict.fromkeys((*parts[0], *parts[1])):
        below = f"{where}, {name}" if where else name
        yield from _rows(below, parts[0].get(name), parts[1].get(name))


def _parts(value: Any) -> dict[str, Any] | None:
    """The members of an object or of a list of objects with names; None for what is shown as a whole."""
    if isinstance(value, dict):
        return {_words(name): member_value for name, member_value in value.items()}
    if isinstance(value, list | tuple) and value and all(isinstance(entry, dict) for entry in value):
        member = next((name for name in _NAMES if all(name in entry for entry in value)), None)
        names = [str(entry[member]) for entry in value] if member else []
        return dict(zip(names, value, strict=True)) if len(set(names)) == len(value) else None
    return None


_OPERATORS: Final = {"lt": "under", "le": "at most", "gt": "over", "ge": "at least"}


def _words(name: str) -> str:
    return _OPERATORS.get(name) or str(name).replace("_", " ")


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
