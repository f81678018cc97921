"""The card in FHIR R4, whole: the device that a model version is, and the document that holds the card."""

from typing import Any

import pytest

from models_onnx.equations.card import equation_card
from models_onnx.model_card.formats import device_id, fhir_bundle

SYSTEM = "https://cds-hooks-onnx.org/models"


def resources(card: dict[str, Any], state: str = "active") -> list[dict[str, Any]]:
    """The resources of the Bundle, whose other members are looked at."""
    document = fhir_bundle(card, state, "ab" * 32, "2026-11-20T09:00:00Z", "https://cds.example")
    entries = document.pop("entry")
    assert document == {"resourceType": "Bundle", "type": "collection"}
    found: list[dict[str, Any]] = [entry["resource"] for entry in entries]
    assert [entry["fullUrl"] for entry in entries] == [
        f"https://cds.example/{resource['resourceType']}/{resource['id']}" for resource in found
    ]
    return found


def test_the_device_is_a_published_equation_or_a_risk_model(card: dict[str, Any]) -> None:
    score = equation_card("gad7")
    device, _ = resources(score)
    assert device == {
        "resourceType": "Device",
        "id": "gad7-1",
        "identifier": [
            {"system": SYSTEM, "value": "gad7@1"},
            {"system": f"{SYSTEM}/sha256", "value": "ab" * 32},
        ],
        "status": "active",
        "manufacturer": "the cds-hooks-onnx project (translation of the published equation; not its authors)",
        "deviceName": [{"name": "GAD-7", "type": "model-name"}],
        "modelNumber": "gad7",
        "type": {"text": "Software: published rule or equation"},
        "version": [{"value": "1"}],
        "url": "https://cds.example/models/gad7",
        "note": [{"text": "Release state: active."}],
        "safety": [{"text": score["product"]["statement"]}],
    }
    model, _ = resources(card, "retired")
    assert model["type"] == {"text": "Software: risk model"}
    assert (model["status"], model["note"]) == ("inactive", [{"text": "Release state: retired."}])
    assert model["manufacturer"] == card["details"]["developer"]["words"]


def test_the_document_is_about_the_device_and_leads_to_the_page() -> None:
    _, document = resources(equation_card("gad7"))
    first, page = document.pop("content")
    assert document == {
        "resourceType": "DocumentReference",
        "id": "card-gad7-1",
        "status": "current",
        "docStatus": "final",
        "type": {"text": "Model card: source attributes of a decision support intervention (45 CFR 170.315(b)(11))"},
        "subject": {"reference": "Device/gad7-1", "display": "GAD-7"},
        "date": "2026-11-20T09:00:00Z",
        "description": "Model card of GAD-7, version 1",
    }
    assert first["format"] == {
        "system": SYSTEM, "code": "cds-hooks-onnx/model-card/1", "display": "Model card as JSON",
    }  # fmt: skip
    assert (first["attachment"]["contentType"], first["attachment"]["title"]) == (
        "application/json", "card of gad7 1",
    )  # fmt: skip
    assert page == {
        "attachment": {
            "contentType": "text/html", "url": "https://cds.example/models/gad7", "title": "For people",
        }
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "version", "identifier"),
    [
        ("a_b", "1.0+2", "a-b-1.0-2"), ("x" * 62, "1", f"{'x' * 62}-1"), ("x" * 63, "12", f"{'x' * 63}-"),
        ("x" * 70, "1", "x" * 64), ("a/b", "é٣", "a-b---"),
    ],
)  # fmt: skip
def test_an_id_has_at_most_64_signs(name: str, version: str, identifier: str) -> None:
    assert device_id({"model": {"id": name, "version": version}}) == identifier


def test_a_card_without_a_statement_says_what_every_card_does() -> None:
    card = equation_card("gad7")
    del card["product"]["statement"]
    device, _ = resources(card)
    assert device["safety"] == [{"text": "Gives information to consider; not for emergencies."}]
