"""The card as Markdown and for Hugging Face: whole, without markup of its own words, with the figures of the card."""

import json
from typing import Any

import pytest

from models_onnx.equations.card import equation_card
from models_onnx.errors import CardIncomplete
from models_onnx.model_card.attributes import PREDICTIVE, attribute_of
from models_onnx.model_card.markdown import card_markdown, hugging_face_card


def metadata(text: str) -> dict[str, Any]:
    """The block before the page; each value is JSON, which is YAML."""
    _, block, _ = text.split("---\n", 2)
    return {name: json.loads(value) for name, value in (line.split(": ", 1) for line in block.splitlines())}


def test_every_attribute_is_on_the_page_in_one_line(card: dict[str, Any]) -> None:
    lines = card_markdown(card).splitlines()
    for attribute in PREDICTIVE:
        assert sum(line.startswith(f"**{attribute.number}. {attribute.title}**") for line in lines) == 1
    card["details"]["funding"]["words"] = "<script>alert(1)</script> a\nb"
    assert "&lt;script>alert(1)&lt;/script> a b" in card_markdown(card)
    card["details"]["funding"]["words"] = ""
    assert "(1)(ii)): **Blank**" in card_markdown(card)


def test_the_metadata_for_hugging_face_has_the_figures_of_the_card(card: dict[str, Any]) -> None:
    told = metadata(hugging_face_card(card))
    assert (told["library_name"], told["pipeline_tag"]) == ("onnx", "tabular-classification")
    (model,) = told["model-index"]
    attribute = next(item for item in PREDICTIVE if item.path == "performance.internal_validity")
    figures = attribute_of(card, attribute)["figures"]["all"]
    values = {metric["type"]: metric["value"] for metric in model["results"][0]["metrics"]}
    assert values["auroc"] == figures["auroc"]["value"]
    assert values["observed_expected"] == figures["observed_expected"]["value"]


def test_an_unfinished_card_is_not_published_and_an_equation_has_no_figures(card: dict[str, Any]) -> None:
    assert metadata(hugging_face_card(equation_card("fib4")))["model-index"][0]["results"] == []
    card["details"]["funding"]["words"] = ""
    with pytest.raises(CardIncomplete, match="attribute 2 "):
        hugging_face_card(card)
