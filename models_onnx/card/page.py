"""The card as one HTML file for people: every attribute by its number, no script, nothing loaded from elsewhere."""

from html import escape
from importlib.resources import files
from typing import Any

from models_onnx.card.attributes import ATTRIBUTES, Attribute
from models_onnx.card.check import Card, attribute_of

_STYLE = (files("models_onnx") / "card" / "page.css").read_text(encoding="utf-8")
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


def card_html(card: Card) -> str:
    """The whole page; a card that is not whole is shown with its gaps."""
    attributes = ATTRIBUTES[card["kind"]]
    model = card["model"]
    sections = "".join(
        _section(card, name, [each for each in attributes if each.section == name])
        for name in dict.fromkeys(each.section for each in attributes)
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Model card: {escape(model['title'])}</title><style>{_STYLE}</style></head><body>"
        '<a class="skip" href="#card">To the card</a>'
        f"<header><h1>{escape(model['title'])}</h1><p>Model card of <code>{escape(model['id'])}</code> version "
        f"{escape(model['version'])}: {len(attributes)} source attributes of 45 CFR 170.315(b)(11).</p></header>"
        f'<main id="card">{sections}{_facts(card)}</main></body></html>\n'
    )


def _section(card: Card, name: str, attributes: list[Attribute]) -> str:
    rows = "".join(_attribute(each, attribute_of(card, each)) for each in attributes)
    return f"<section><h2>{escape(SECTIONS[name])}</h2><dl>{rows}</dl></section>"


def _attribute(attribute: Attribute, value: dict[str, Any]) -> str:
    if "not_available" in value:
        said = f"<em>Not available as of {escape(value['as_of'])}:</em> {escape(value['not_available'])}"
    else:
        said = escape(str(value.get("words", ""))) or "<strong>Blank</strong>"
    return (
        f'<dt id="a{attribute.number}"><span class="soft">{attribute.number} {escape(attribute.cite)}</span> '
        f"{escape(attribute.title)}</dt><dd>{said}</dd>"
    )


def _facts(card: Card) -> str:
    product = card.get("product", {})
    rows = "".join(
        f"<dt>{label}</dt><dd>{escape(str(product[name]))}</dd>" for name, label in _FACTS.items() if product.get(name)
    )
    waivers = "".join(
        f"<dt>Waiver of {escape(waiver['gate'])} until {escape(waiver['expires'])}</dt><dd>{escape(waiver['reason'])} "
        f"By: {escape(waiver['by'])}.</dd>"
        for waiver in product.get("waivers", [])
    )
    return f"<section><h2>What else a reader needs</h2><dl>{rows}{waivers}</dl></section>"
