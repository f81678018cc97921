"""The card as one HTML file for people: every attribute by its number, no script, nothing loaded from elsewhere."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from models_onnx.model_card.attributes import ATTRIBUTES, Attribute
from models_onnx.model_card.schema import Card, attribute_of

SECTIONS = {
    "details": "What it is and what comes out",
    "purpose": "What for, for whom, by whom",
    "cautions": "What it is not for, and its risks",
    "development": "What it was built from",
    "fairness": "Fairness",
    "external": "Tested by others",
    "performance": "How well it does",
    "maintenance": "How it is watched",
    "updates": "How it is kept up",
    "evidence": "Evidence and inputs",
}
_FACTS = {
    "statement": "Please note",
    "device_status": "Device status",
    "horizon_hours": "Predicts this many hours ahead",
    "reference_cohort": "Compared with",
    "section_1557": "Section 1557",
    "discontinue_if": "Stop using it if",
    "security": "Security",
    "stakeholders": "Consulted",
    "regulatory": "Regulation",
    "bibliography": "Literature",
}


PAGES = Environment(
    loader=PackageLoader("models_onnx", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
"""The templates of the pages that are made of a model's files; everything that is put into them is escaped."""


def card_html(card: Card) -> str:
    """The whole page; a card that is not whole is shown with its gaps."""
    attributes = ATTRIBUTES[card["kind"]]
    product = card.get("product", {})
    return PAGES.get_template("card.html").render(
        model=card["model"],
        count=len(attributes),
        sections=[
            {"title": SECTIONS[name], "rows": [_row(card, each) for each in attributes if each.section == name]}
            for name in dict.fromkeys(each.section for each in attributes)
        ],
        facts=[(label, str(product[name])) for name, label in _FACTS.items() if product.get(name)],
        waivers=product.get("waivers", []),
    )


def _row(card: Card, attribute: Attribute) -> tuple[Attribute, dict[str, Any]]:
    """The attribute and what the card says of it: `not_available` and `as_of`, or `words`, empty where it is blank."""
    value = attribute_of(card, attribute)
    return attribute, value if "not_available" in value else {"words": str(value.get("words", ""))}
