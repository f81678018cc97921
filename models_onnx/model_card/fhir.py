"""The card in FHIR R4: a Device for the model version and a DocumentReference that holds the card."""

import base64
import hashlib
import json
from typing import Any

from models_onnx.model_card.attributes import ATTRIBUTES
from models_onnx.model_card.schema import Card, attribute_of, refuse_incomplete_card

SYSTEM = "https://cds-hooks-onnx.org/models"
_MIME = "application/json"


def fhir_bundle(card: Card, state: str, sha256: str, date: str, base_url: str) -> dict[str, Any]:
    """A collection Bundle of the two; `date` is an instant, `base_url` where the server is reached.

    CardIncomplete where the card is not whole.
    """
    refuse_incomplete_card(card)
    device = _device(card, state, sha256, base_url)
    document = _document(card, device, date, base_url)
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"fullUrl": f"{base_url}/{each['resourceType']}/{each['id']}", "resource": each}
            for each in (device, document)
        ],
    }


def device_id(card: Card) -> str:
    """Of letters, digits, '-' and '.' and at most 64 long, as FHIR wants it."""
    wanted = f"{card['model']['id']}-{card['model']['version']}"
    return "".join(sign if sign.isalnum() or sign in "-." else "-" for sign in wanted)[:64]


def _device(card: Card, state: str, sha256: str, base_url: str) -> dict[str, Any]:
    model = card["model"]
    return {
        "resourceType": "Device",
        "id": device_id(card),
        "identifier": [
            {"system": SYSTEM, "value": f"{model['id']}@{model['version']}"},
            {"system": f"{SYSTEM}/sha256", "value": sha256},
        ],
        "status": "inactive" if state == "retired" else "active",
        "manufacturer": _words(card, _first(card)),
        "deviceName": [{"name": model["title"], "type": "model-name"}],
        "modelNumber": model["id"],
        "type": {
            "text": "Software: " + ("risk model" if card["kind"] == "predictive" else "published rule or equation")
        },
        "version": [{"value": model["version"]}],
        "url": f"{base_url}/models/{model['id']}",
        "note": [{"text": f"Release state: {state}."}],
        "safety": [{"text": text} for text in _safety(card)],
    }


def _document(card: Card, device: dict[str, Any], date: str, base_url: str) -> dict[str, Any]:
    content = json.dumps(card, ensure_ascii=False, sort_keys=True).encode()
    model = card["model"]
    return {
        "resourceType": "DocumentReference",
        "id": f"card-{device['id']}"[:64],
        "status": "current",
        "docStatus": "final",
        "type": {"text": "Model card: source attributes of a decision support intervention (45 CFR 170.315(b)(11))"},
        "subject": {"reference": f"Device/{device['id']}", "display": model["title"]},
        "date": date,
        "description": f"Model card of {model['title']}, version {model['version']}",
        "content": [
            {
                "attachment": {
                    "contentType": _MIME,
                    "data": base64.b64encode(content).decode(),
                    "size": len(content),
                    # FHIR R4 asks for SHA-1 here; what is trusted is the signature of the release.
                    "hash": base64.b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode(),
                    "title": f"card of {model['id']} {model['version']}",
                },
                "format": {"system": SYSTEM, "code": card["format"], "display": "Model card as JSON"},
            },
            {
                "attachment": {
                    "contentType": "text/html",
                    "url": f"{base_url}/models/{model['id']}",
                    "title": "For people",
                }
            },
        ],
    }


def _safety(card: Card) -> list[str]:
    said = card["product"].get("statement")
    return [said] if said else ["Gives information to consider; not for emergencies."]


def _first(card: Card) -> str:
    return "1" if card["kind"] == "predictive" else "E2"


def _words(card: Card, number: str) -> str:
    attribute = next(each for each in ATTRIBUTES[card["kind"]] if each.number == number)
    return str(attribute_of(card, attribute)["words"])
