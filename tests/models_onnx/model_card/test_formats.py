"""The card for people, in FHIR and as CHAI's XML: complete, valid, and without anything that runs or is loaded."""

import json
import os
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest

from models_onnx.equations.card import equation_card
from models_onnx.errors import CardIncomplete
from models_onnx.model_card.attributes import PREDICTIVE
from models_onnx.model_card.formats import NAMESPACE, card_html, chai_xml, encode_card_as
from tests.models_onnx.model_card.xsd import Schema

# Sections of CHAI's card v0.2 in order, as facts of its public schema.
SECTIONS = [
    "BasicInfo", "ReleaseInfo", "ModelSummary", "UsesAndDirections", "Warnings", "TrustIngredients", "KeyMetrics",
    "Resources", "Bibliography",
]  # fmt: skip


def chai(card: dict[str, Any]) -> Element:
    """CHAI's card, parsed."""
    return fromstring(chai_xml(card, "validated", "2026-11-20"))  # noqa: S314 - our own output


def test_chais_card_has_its_sections_in_order_and_no_empty_element(card: dict[str, Any]) -> None:
    root = chai(card)
    assert [child.tag.removeprefix(f"{{{NAMESPACE}}}") for child in root] == SECTIONS
    assert [child.tag for child in root.iter() if not len(child) and not (child.text or "").strip()] == []


def test_every_result_of_chais_card_is_json_with_a_kind(card: dict[str, Any]) -> None:
    values = [json.loads(str(found.text)) for found in chai(card).iter(f"{{{NAMESPACE}}}ValueJson")]
    assert len(values) > 10
    assert {value["kind"] for value in values} <= {"single", "text"}


def test_chais_card_is_valid_against_the_published_schema(card: dict[str, Any], data_folder: Path) -> None:
    path = Path(os.environ.get("CHAI_SCHEMA") or data_folder / "chai" / "schema.xsd")
    if not path.is_file():
        pytest.skip("CHAI's schema v0.2 is not here; set CHAI_SCHEMA to mc-schema/v0.2/schema.xsd")
    schema = Schema(path)
    assert schema.problems(chai(card)) == []
    broken = chai(card)
    broken.remove(broken[3])
    assert schema.problems(broken)[0] == "AppliedModelCard/UsesAndDirections is missing"


def test_chais_card_is_refused_for_an_incomplete_or_evidence_based_card(card: dict[str, Any]) -> None:
    with pytest.raises(CardIncomplete, match="evidence-based"):
        chai_xml(equation_card("fib4"), "active", "2026-11-20")
    card["details"]["funding"]["words"] = ""
    with pytest.raises(CardIncomplete, match="attribute 2 "):
        chai_xml(card, "active", "2026-11-20")


class Reader(HTMLParser):
    """Tags, attributes and what is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br", "line", "rect", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag


def test_the_page_shows_every_attribute_and_loads_nothing(card: dict[str, Any]) -> None:
    page = Reader(card_html(card))
    assert page.open == []
    assert not {"script", "img", "link", "iframe", "object"} & set(page.tags)
    assert {f"a{attribute.number}" for attribute in PREDICTIVE} <= {
        value or "" for name, value in page.attributes if name == "id"
    }
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "src"]


def test_words_of_a_card_are_never_markup(card: dict[str, Any]) -> None:
    card["purpose"]["users"]["words"] = "<script>alert(1)</script> & nurses"
    text = card_html(card)
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; nurses" in text


def test_a_card_with_gaps_is_shown_with_its_gaps(card: dict[str, Any]) -> None:
    card["purpose"]["users"]["words"] = ""
    assert "<strong>Blank</strong>" in card_html(card)


def test_a_card_is_written_in_the_form_that_was_asked_for(card: dict[str, Any]) -> None:
    day = date(2026, 11, 20)
    assert json.loads(encode_card_as(card, "json", "validated", day)) == card
    assert encode_card_as(card, "html", "validated", day) == card_html(card).encode()
    assert encode_card_as(card, "chai", "validated", day) == chai_xml(card, "validated", "2026-11-20")
