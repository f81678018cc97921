"""Is a card whole: the schema, and by number and name every attribute that is blank."""

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema

from models_onnx.card.attributes import ATTRIBUTES, Attribute
from models_onnx.errors import CardIncomplete

Card = dict[str, Any]

FORMAT = "cds-hooks-onnx/model-card/1"
# An answer that says nothing is blank: the rule wants content, not a filled field.
_NOTHING = re.compile(
    r"\W*(?:(?:to ?do|tbd|fixme)\b.*|tba|n/?a|none|null|unknown|not (?:applicable|available|specified|known)|xxx+|"
    r"lorem ipsum.*|placeholder.*|fill (?:me )?in.*|<[^>]*>)?\W*",
    re.IGNORECASE | re.DOTALL,
)
# A funding of "None." or a population of "none" is such an answer; these may say it in a sentence.
_SHORTEST = 3


def problems(card: Card) -> list[str]:
    """What is wrong with the card, one sentence each, by number and name; empty where it is whole."""
    kind = card.get("kind")
    if kind not in ATTRIBUTES:
        return [f"the card says kind {kind!r}; it is 'predictive' or 'evidence-based'"]
    blanks = [problem for attribute in ATTRIBUTES[kind] if (problem := _blank(attribute, card)) is not None]
    blanks += [f"product.{place} is still to do" for place in _to_do(card.get("product"), "")]
    if blanks:
        return blanks
    errors = sorted(_validator(kind).iter_errors(card), key=lambda error: str(error.json_path))
    return [f"{error.json_path} {error.message[:160]}" for error in errors]


def refuse_incomplete(card: Card) -> None:
    """CardIncomplete with every problem, each attribute by number and name."""
    if found := problems(card):
        name = card.get("model", {}).get("id", "the card") if isinstance(card.get("model"), dict) else "the card"
        raise CardIncomplete(f"the model card of {name} is incomplete: {'; '.join(found)}")


def attribute_of(card: Card, attribute: Attribute) -> dict[str, Any]:
    """The attribute as the card holds it; empty where it does not."""
    value: Any = card
    for step in attribute.place.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _to_do(part: Any, place: str) -> Iterator[str]:
    if isinstance(part, dict):
        for name, value in part.items():
            yield from _to_do(value, f"{place}.{name}" if place else str(name))
    elif isinstance(part, list):
        for value in part:
            yield from _to_do(value, place)
    elif isinstance(part, str) and part.startswith("TODO"):
        yield place


def _blank(attribute: Attribute, card: Card) -> str | None:
    value = attribute_of(card, attribute)
    named = f"attribute {attribute.number} {attribute.cite} {attribute.place} ({attribute.title})"
    if "not_available" in value:
        if not attribute.may_be_unavailable:
            return f"{named} may not be 'not available'"
        return None if _says(value["not_available"]) and value.get("as_of") else f"{named}: reason and date are missing"
    return None if _says(value.get("words")) else f"{named} is blank"


def _says(words: object) -> bool:
    return isinstance(words, str) and len(words.strip()) >= _SHORTEST and not _NOTHING.fullmatch(words.strip())


@cache
def _validator(kind: str) -> Any:
    schema = json.loads((files("models_onnx") / "schemas" / "card.schema.json").read_bytes())
    one = next(each for each in schema["oneOf"] if each["properties"]["kind"]["const"] == kind)
    return jsonschema.Draft202012Validator(one, format_checker=jsonschema.FormatChecker())
