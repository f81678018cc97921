"""The JSON Schema of rule files: its conditions are generated from the objects that the words of conditions are."""

import json
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

from cards.rules.conditions.vocabulary import Vocabulary, common_vocabulary
from cards.rules.engine.family import Family, rule_families

CONDITION = "A condition of a rule"
"""The title of the schema of a condition, by which a fault in one is known."""
_NAMED = {
    "type": "object",
    "required": ["named"],
    "properties": {"named": {"type": "string", "minLength": 1}},
    "additionalProperties": False,
}


def written_schema() -> dict[str, Any]:
    """The schema as it lies beside the language's modules: the words of every family may stand in a condition."""
    return schema_with([common_vocabulary().extended(word for one in rule_families() for word in one.conditions)])


def schema_of_family(family: Family) -> dict[str, Any]:
    """The schema of the files of one family: the common words and its own may stand in a condition."""
    return schema_with([family.vocabulary])


def schema_with(vocabularies: Iterable[Vocabulary]) -> dict[str, Any]:
    """The schema with these words. One word decides how the rest of a condition is read, so that a fault is exact."""
    text = files("cards.rules.language").joinpath("rule.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    known = {word.word: one.schema_of(word) for one in vocabularies for word in one} | {"named": _NAMED}
    schema["$defs"]["predicate"] = {
        "title": CONDITION,
        "type": "object",
        "anyOf": [{"required": [word]} for word in known],
        "allOf": [{"if": {"required": [word]}, "then": one} for word, one in known.items()],
    }
    return schema


def schema_text() -> str:
    """The text of rule.schema.json."""
    return json.dumps(written_schema(), indent=1, ensure_ascii=False) + "\n"
