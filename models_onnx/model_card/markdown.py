"""The model card as Markdown: for people, and with the metadata block of a Hugging Face model card (README.md)."""

import json
from itertools import groupby

from models_onnx.model_card.attributes import ATTRIBUTES, PREDICTIVE, Card, attribute_of
from models_onnx.model_card.formats import SECTIONS, VALIDITY
from models_onnx.model_card.schema import refuse_incomplete_card


def card_markdown(card: Card) -> str:
    """Returns every attribute by its number, under the headings of the card; a blank one says so."""
    model, attributes = card["model"], ATTRIBUTES[card["kind"]]
    lines = [
        f"# {one_line(model['title'])}",
        "",
        f"Model card of `{model['id']}` version {model['version']}: {len(attributes)} source attributes of 45 CFR "
        "170.315(b)(11).",
    ]
    for section, members in groupby(attributes, key=lambda attribute: attribute.section):
        lines += ["", f"## {SECTIONS[section]}"]
        for attribute in members:
            value = attribute_of(card, attribute)
            words = value.get("words") or "**Blank**"
            if "not_available" in value:
                words = f"*Not available as of {value.get('as_of')}:* {value['not_available']}"
            lines += ["", f"**{attribute.number}. {attribute.title}** ({attribute.cite}): {one_line(words)}"]
    return "\n".join(lines) + "\n"


def hugging_face_card(card: Card, license_id: str = "other") -> str:
    """Returns the Markdown behind the metadata that the hub reads (YAML, whose subset JSON is used here).

    Raises:
        CardIncomplete: An attribute is blank, so that nothing unfinished is published.
    """
    refuse_incomplete_card(card)
    model, product = card["model"], card.get("product", {})
    metadata = {
        "license": license_id,
        "library_name": "onnx",
        "pipeline_tag": "tabular-classification",
        "tags": ["medical", "clinical-decision-support", "cds-hooks", *product.get("keywords", ())],
        "model-index": [{"name": model["id"], "results": _results(card)}],
    }
    block = "\n".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in metadata.items())
    return f"---\n{block}\n---\n\n{card_markdown(card)}"


def _results(card: Card) -> list[dict[str, object]]:
    """Returns the figures on people it was not trained on, as the hub's results; none of a published equation."""
    if card["kind"] != "predictive":
        return []
    attribute = next(item for item in PREDICTIVE if item.path == "performance.internal_validity")
    figures = attribute_of(card, attribute).get("figures", {}).get("all", {})
    metrics = [
        {"type": name, "name": words, "value": figures[name]["value"]}
        for name, words in VALIDITY.items()
        if isinstance(figures.get(name), dict)
    ]
    task = {"type": "tabular-classification", "name": card["model"]["title"]}
    dataset = {"type": "other", "name": "people whom the model was not trained on"}
    return [{"task": task, "dataset": dataset, "metrics": metrics}] if metrics else []


def one_line(words: str) -> str:
    """Returns the words in one line, without what Markdown or HTML would take for markup."""
    return " ".join(words.split()).replace("<", "&lt;").replace("|", "\\|")
