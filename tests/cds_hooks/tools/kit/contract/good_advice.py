"""What the good server says."""

import copy
import json
import re
from uuid import uuid4

from tests.cds_hooks.tools.kit.contract.habits import Habits, Json, resources

TOPIC = {"code": "contractkit", "system": "https://good.example/topics", "display": "Contract kit"}
REASON = {
    "code": "limited-time",
    "system": "http://terminology.hl7.org/CodeSystem/non-adherence-reason-codes",
    "display": "Not now",
}


def advice(habits: Habits, call: Json, prefetch: Json) -> Json:
    patient = prefetch.get("patient")
    text = json.dumps(patient.get("name", "nobody") if isinstance(patient, dict) else "nobody")
    conditions = len(list(resources(prefetch.get("conditions"))))
    if habits.has("fetched data changes the advice") and "fhirServer" in call:
        conditions += 1
    told = text if habits.has("text of the chart is raw") else re.sub(r"([\\<\[\]])", r"\\\1", text)
    card: Json = {
        "uuid": "6a2e7a3e-5b8f-4bd7-9b0e-0f6d6f5a1c11" if habits.has("uuids are used again") else str(uuid4()),
        "summary": f"{conditions} problems on the list", "indicator": "info",
        "detail": f"**Patient** {told}\n\n| a | b |\n|---|---|\n| `<b>` | <https://good.example> |",
        "source": {"label": "Good server", "url": "https://good.example/about", "icon": f"{habits.base}/icon.png",
                   "topic": dict(TOPIC)},
        "suggestions": _suggestions(habits, call), "selectionBehavior": "any", "overrideReasons": [dict(REASON)],
        "links": [{"label": "More", "url": f"https://good.example/more?c={uuid4()}", "type": "absolute"},
                  {"label": "App", "url": "https://good.example/app", "type": "smart", "appContext": '{"a":1}'}],
        "extension": {"com.example.kind": {"anything": [], "null": None}},
    }  # fmt: skip
    response: Json = {"cards": [card]}
    updates = [each for each in card["suggestions"] if each["actions"][0]["type"] == "update"]
    habits.seen.add(card["uuid"])
    if updates:
        response["systemActions"] = [copy.deepcopy(updates[0]["actions"][0])]
    return response


def _suggestions(habits: Habits, call: Json) -> list[Json]:
    order = {
        "resourceType": "ServiceRequest", "id": str(uuid4()), "status": "draft", "intent": "order",
        "code": {"text": "Visit"}, "subject": {"reference": f"Patient/{call['context']['patientId']}"},
        "quantityQuantity": {"value": 1, "unit": "visit"},
    }  # fmt: skip
    actions: list[Json] = [{"type": "create", "description": "Order a visit", "resource": order}]
    for draft in resources(call["context"].get("draftOrders")):
        if draft.get("resourceType") == "MedicationRequest" and draft.get("id"):
            kept = {key: value for key, value in draft.items() if key != "note" or not habits.has("notes are lost")}
            actions.append(
                {"type": "update", "description": "Make it urgent", "resource": kept | {"priority": "urgent"}}
            )
            name = f"MedicationRequest/{draft['id']}"
            if habits.has("deletes what nobody sent"):
                name = "MedicationRequest/another"
            actions.append({"type": "delete", "description": "Take it back", "resourceId": name})
    return [
        {"label": action["description"], "uuid": str(uuid4()), "isRecommended": not number, "actions": [action]}
        for number, action in enumerate(actions)
    ]
