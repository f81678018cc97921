"""The JSON Schema of the model card, written from the table of attributes, and the check of a card against it.

`card.schema.json` beside this module is the output of `schema`. The check names every blank attribute by its number.
"""

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from models_onnx.errors import CardIncomplete
from models_onnx.model_card.attributes import ATTRIBUTES, Attribute, Kind

Card = dict[str, Any]

CARD_FORMAT = "cds-hooks-onnx/model-card/1"
# An answer that says nothing is blank: the rule wants content, not a filled field.
_NOTHING = re.compile(
    r"\W*(?:(?:to ?do|tbd|fixme)\b.*|tba|n/?a|none|null|unknown|not (?:applicable|available|specified|known)|xxx+|"
    r"lorem ipsum.*|placeholder.*|fill (?:me )?in.*|<[^>]*>)?\W*",
    re.IGNORECASE | re.DOTALL,
)
# A funding of "None." or a population of "none" is such an answer; these may say it in a sentence.
_SHORTEST = 3


def card_problems(card: Card) -> list[str]:
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


def refuse_incomplete_card(card: Card) -> None:
    """CardIncomplete with every problem, each attribute by number and name."""
    if found := card_problems(card):
        name = card.get("model", {}).get("id", "the card") if isinstance(card.get("model"), dict) else "the card"
        raise CardIncomplete(f"the model card of {name} is incomplete: {'; '.join(found)}")


def attribute_of(card: Card, attribute: Attribute) -> dict[str, Any]:
    """The attribute as the card holds it; empty where it does not."""
    value: Any = card
    for step in attribute.place.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def set_attribute(card: Card, place: str, value: dict[str, Any]) -> None:
    """Writes an attribute into the card at its place, for example `purpose.users`."""
    *steps, last = place.split(".")
    part = card
    for step in steps:
        part = part.setdefault(step, {})
    part[last] = value


def project_words() -> dict[str, Any]:
    """Return the words that are the same on every card of this project: `attributes` by place, and `product`."""
    text = (files("models_onnx.model_card") / "defaults.card.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


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


def _validator(kind: str) -> Any:
    schema = json.loads((files("models_onnx.model_card") / "card.schema.json").read_bytes())
    one = next(each for each in schema["oneOf"] if each["properties"]["kind"]["const"] == kind)
    # imported here: the pages of a server only show cards that were checked before
    import jsonschema

    return jsonschema.Draft202012Validator(one, format_checker=jsonschema.FormatChecker())


Schema = dict[str, Any]

_TEXT: Schema = {"type": "string", "minLength": 1}
_SHA256: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_DATE: Schema = {"type": "string", "format": "date"}
_SAID: Schema = {
    "type": "object",
    "properties": {
        "words": {"type": "string", "minLength": 3, "description": "The answer in sentences; Markdown is not used."},
        "figures": {"description": "The same as data, where there are figures."},
        "from": {"enum": ["computed", "declared", "computed and declared"]},
    },
    "required": ["words"],
    "additionalProperties": False,
}
_NOT_AVAILABLE: Schema = {
    "type": "object",
    "properties": {"not_available": {"type": "string", "minLength": 3}, "as_of": _DATE},
    "required": ["not_available", "as_of"],
    "additionalProperties": False,
}
_WAIVER: Schema = {
    "type": "object",
    "properties": {
        "gate": {"type": "string", "pattern": "^G([1-9]|1[0-8])$"},
        "covers": {"type": "array", "items": _TEXT, "description": "The axes of fairness whose gaps it covers."},
        "at_most": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "key": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        "signature": {"type": "string", "contentEncoding": "base64"},
        "reason": {"type": "string", "minLength": 20},
        "by": _TEXT,
        "granted": _DATE,
        "expires": _DATE,
    },
    "required": ["gate", "covers", "reason", "by", "granted", "expires"],
    "additionalProperties": False,
}
_LABEL: Schema = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["outcome", "utilisation", "cost", "judgement"]},
        "words": _TEXT,
        "stands_for": _TEXT,
        "audit": {
            "type": "object",
            "properties": {"need": _TEXT, "words": _TEXT, "axis": _TEXT},
            "required": ["need", "words", "axis"],
            "additionalProperties": False,
        },
    },
    "required": ["kind", "words", "stands_for"],
    "additionalProperties": False,
}
_RISKS = ("validity", "reliability", "robustness", "fairness", "intelligibility", "safety", "security", "privacy")
_IRM: Schema = {
    "type": "object",
    "description": "Intervention risk management: the eight characteristics and when they were last reviewed.",
    "properties": {"reviewed": _DATE, "by": _TEXT, **dict.fromkeys(_RISKS, _TEXT)},
    "required": ["reviewed", "by", *_RISKS],
    "additionalProperties": False,
}
_COMMON = (
    "consent",
    "discontinue_if",
    "foundation_models",
    "regulatory",
    "reimbursement",
    "stakeholders",
    "third_party",
)
_PRODUCT: Schema = {
    "type": "object",
    "description": "What the rule does not ask for but the gates and the page need (responsible-ai.md 1.4).",
    "properties": {
        "horizon_hours": {"type": "number", "exclusiveMinimum": 0},
        "acting_window_hours": {"type": "number", "exclusiveMinimum": 0},
        "time_critical": {"type": "boolean"},
        "output_type": {"enum": ["score", "alarm", "classification", "list"]},
        "indications": {"type": "array", "items": _TEXT, "minItems": 1},
        "device_status": {"enum": ["non-device-cds", "enforcement-discretion", "cleared", "administrative"]},
        "clearance": {"type": ["string", "null"]},
        "signals": {"type": "array", "items": _TEXT, "description": "Signals, images or sequences used as inputs."},
        "setting": {"enum": ["outpatient", "discharge", "inpatient", "population"]},
        "data_last_year": {"type": "integer", "minimum": 1900},
        "label": _LABEL,
        "fairness_axes": {"type": "object", "additionalProperties": {"enum": ["all", "calibration", "none"]}},
        "auroc_floor": {"type": "number", "minimum": 0.5, "maximum": 1},
        "one_option_rationale": {"type": "string"},
        "input_evidence": {"type": "object", "additionalProperties": {"type": "string", "minLength": 10}},
        "stress_move_at_most": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "waivers": {"type": "array", "items": _WAIVER},
        "explanation": {"type": "object"},
        "irm": _IRM,
        **{key: {"type": "string", "minLength": 10} for key in ("section_1557", "statement", "security")},
        # Written by the project for every model, or computed from the manifest (models_onnx/workbench/release/card.py).
        **{key: {"type": "string"} for key in ("reference_cohort", "bibliography", *_COMMON)},
        "keywords": {"type": "array", "items": _TEXT},
        "training_data": {"type": "object"},
        "thresholds": {"type": "array", "items": {"type": "object"}},
    },
}
PRODUCT_NAMES = frozenset(_PRODUCT["properties"])
"""Every name that the product of a card may have."""
_PREDICTIVE_PRODUCT = [
    "horizon_hours",
    "acting_window_hours",
    "time_critical",
    "output_type",
    "indications",
    "device_status",
    "setting",
    "data_last_year",
    "label",
    "explanation",
    "irm",
    "section_1557",
    "statement",
    "security",
]


def card_schema() -> Schema:
    """The schema of both kinds of card."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Model card",
        "description": "31 attributes of a predictive or 13 of an evidence-based intervention "
        "(45 CFR 170.315(b)(11)(iv), HTI-1), and what the gates need. Written by models_onnx/model_card/schema.py.",
        "type": "object",
        "oneOf": [_kind("predictive"), _kind("evidence-based")],
    }


def _kind(kind: Kind) -> Schema:
    sections: dict[str, list[Attribute]] = {}
    for attribute in ATTRIBUTES[kind]:
        sections.setdefault(attribute.section, []).append(attribute)
    model = {"id": _TEXT, "version": _TEXT, "title": _TEXT, "core_sha256": _SHA256}
    own = {"required": _PREDICTIVE_PRODUCT, "additionalProperties": False} if kind == "predictive" else {"required": []}
    product = {**_PRODUCT, **own}
    return {
        "type": "object",
        "properties": {
            "format": {"const": CARD_FORMAT},
            "kind": {"const": kind},
            "model": {
                "type": "object",
                "properties": model,
                "required": ["id", "version", "title"],
                "additionalProperties": False,
            },
            **{name: _section(attributes) for name, attributes in sections.items()},
            "product": product,
        },
        "required": ["format", "kind", "model", *sections, "product"],
        "additionalProperties": False,
    }


def _section(attributes: list[Attribute]) -> Schema:
    properties: dict[str, Schema] = {}
    for each in attributes:
        first, _, second = each.key.partition(".")
        if second:
            properties.setdefault(first, _object({}))["properties"][second] = _attribute(each)
            properties[first]["required"].append(second)
        else:
            properties[first] = _attribute(each)
    return _object(properties)


def _object(properties: dict[str, Schema]) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _attribute(attribute: Attribute) -> Schema:
    described = {"description": f"{attribute.number} {attribute.cite}: {attribute.title}"}
    return described | ({"oneOf": [_SAID, _NOT_AVAILABLE]} if attribute.may_be_unavailable else _SAID)
