"""The OpenAPI document: the addresses of the server, with the schemas of the structs that are read and sent.

A test sends every example to the server and holds every answer against the document.
"""

from collections.abc import Iterable, Mapping
from importlib.metadata import version as installed_version
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct, structs

from cards.card import Card
from cds_hooks.call.protocol.feedback import FeedbackEntry
from cds_hooks.call.protocol.hooks import Context, Hook
from cds_hooks.call.protocol.request import HookRequest
from cds_hooks.call.routes.feedback import OutcomeAnswer
from cds_hooks.call.services import Service
from cds_hooks.errors import OperationOutcome
from cds_hooks.evidence.outcomes.report import Report

TITLE: Final = "CDS Hooks server"
_REFERENCE: Final = "#/components/schemas/{name}"


class DiscoveryEntry(Struct):
    """One service at one hook, as `Service.discovery` writes it."""

    hook: str
    id: str
    title: str
    description: str
    prefetch: dict[str, str]
    usageRequirements: str = ""


class DiscoveryAnswer(Struct):
    """The services that this client may call."""

    services: list[DiscoveryEntry]


class CardsAnswer(Struct):
    """The answer to a hook call; what this server says beyond the protocol is in `extension` under its key."""

    cards: list[Card]
    extension: dict[str, Any]


class FeedbackReport(Struct):
    """What clinicians did with cards of one service."""

    feedback: list[FeedbackEntry]


class OutcomeReport(Struct):
    """What happened after decisions of this client."""

    outcomes: list[Report]


class Health(Struct):
    """Whether this process lives, or can take calls."""

    status: Annotated[str, Meta(description='"ok", or in a sentence why not.')]
    services: Annotated[int, Meta(description="How many services there are.")] = 0


_STRUCTS: Final = (
    HookRequest, DiscoveryAnswer, CardsAnswer, OperationOutcome, FeedbackReport, OutcomeReport, OutcomeAnswer, Health,
)  # fmt: skip

_EXAMPLE_PATIENT: Final = {
    "resourceType": "Patient",
    "id": "example",
    "gender": "female",
    "birthDate": "1953-04-12",
}
_EXAMPLE_TEXTS: Final = {
    "patientId": "example",
    "userId": "Practitioner/example",
    "encounterId": "stay-1",
    "performer": "Practitioner/example",
}
_ERRORS: Final = {
    "400": "The body is not what the hook prescribes.",
    "401": "The call does not come from a trusted client.",
    "403": "The client is not registered for this service or hook.",
    "404": "No service with this id exists.",
    "412": "Required data is neither in prefetch nor obtainable.",
    "413": "The body is larger than the limit.",
    "429": "The client has as many calls under way as it may have.",
    "500": "The server failed; the operator's log has the place under the id that the answer gives.",
    "503": "The decision could not be recorded, so no advice is given.",
}


def describe(services: Mapping[str, Service]) -> dict[str, Any]:
    """Return the document: hook calls, feedback, discovery, and the addresses for the operator."""
    _, schemas = msgspec.json.schema_components(_STRUCTS, ref_template=_REFERENCE)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": installed_version("cds-hooks-onnx"),
            "description": "Clinical decision support over CDS Hooks 2.0.1 and FHIR R4.",
        },
        "paths": {**_paths(services), **_operator_paths()},
        "components": {"schemas": schemas},
    }


def _operator_paths() -> dict[str, Any]:
    """Return what routes/health.py answers."""
    lives = "Answers as long as the process runs."
    ready = "Answers 503 while the record cannot be written and while the server is about to end."
    counts = "For the operator only: at the address of CDS_OPERATOR_LISTEN, or with CDS_OPERATOR_TOKEN."
    page = {"200": {"description": "The counts.", "content": {"text/plain": {"schema": {"type": "string"}}}}}
    healthy, ill = _answer("They can.", "Health"), {"503": _json("It cannot answer calls.", "Health")}
    return {
        "/livez": {"get": _operation("Whether the process lives", _answer("It lives.", "Health"), description=lives)},
        "/readyz": {"get": _operation("Whether calls can be answered and recorded", healthy | ill, description=ready)},
        "/metrics": {"get": _operation("What the server counted, for Prometheus", page, description=counts)},
    }


def _paths(services: Mapping[str, Service]) -> dict[str, Any]:
    ids = [entry["id"] for service in services.values() for entry in service.discovery()]
    schema = {"type": "string", "enum": ids}
    of_service = {"parameters": [{"name": "service_id", "in": "path", "required": True, "schema": schema}]}
    listed = _answer("The services.", "DiscoveryAnswer") | _failures("401")
    call, report = _body("HookRequest", hook_examples(services.values())), _body("FeedbackReport", feedback_examples())
    cards = _answer("Cards, or none and the reasons.", "CardsAnswer") | _failures(*_ERRORS)
    noted = {"200": {"description": "Stored."}} | _failures("400", "401", "403", "404", "413", "503")
    stored = _answer("What was stored.", "OutcomeAnswer") | _failures("400", "401", "413", "429", "503")
    outcomes = _body("OutcomeReport", outcome_examples())
    return {
        "/cds-services": {"get": _operation("The services, their hooks and what each asks for", listed)},
        "/cds-services/{service_id}": of_service | {"post": _operation("Call a service", cards, requestBody=call)},
        "/cds-services/{service_id}/feedback": of_service
        | {"post": _operation("Report what clinicians did with cards", noted, requestBody=report)},
        "/outcomes": {"post": _operation("Report what happened after decisions", stored, requestBody=outcomes)},
    }


def _operation(summary: str, responses: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"summary": summary, **more, "responses": responses}


def _answer(description: str, model: str) -> dict[str, Any]:
    return {"200": _json(description, model)}


def hook_examples(services: Iterable[Service]) -> dict[str, Any]:
    """Return one call for each service and hook: a patient of whom nothing else is known."""
    return {
        f"{service.id}, {hook.name}": {"value": _example_call(service, hook)}
        for service in services
        for hook in service.answers.values()
    }


def feedback_examples() -> dict[str, Any]:
    """Return one report for each outcome."""
    card = "0190a1b2-c3d4-7e5f-8a6b-0123456701ff"
    entry = {"card": card, "outcomeTimestamp": "2026-11-20T09:05:31Z"}
    accepted = {**entry, "outcome": "accepted", "acceptedSuggestions": [{"id": card}]}
    overridden = {**entry, "outcome": "overridden", "overrideReason": {"userComment": "Discussed last week."}}
    return {
        "accepted": {"value": {"feedback": [accepted]}},
        "overridden": {"value": {"feedback": [overridden]}},
    }


def outcome_examples() -> dict[str, Any]:
    """Return one body for each form of a report."""
    card = "0190a1b2-c3d4-7e5f-8a6b-0123456701ff"
    reports: dict[str, dict[str, str]] = {
        "prediction": {"prediction": card, "outcome": "yes", "at": "2026-12-03"},
        "patient": {"patient": "example", "event": "admission", "at": "2026-12-03T08:15:00Z"},
        "order": {"card": card, "order": "changed"},
        "complete": {"event": "admission", "completeThrough": "2026-12-31"},
    }
    return {name: {"value": {"outcomes": [report]}} for name, report in reports.items()}


def _example_call(service: Service, hook: Hook) -> dict[str, Any]:
    prefetch = {template.key: _EXAMPLE_PATIENT if template.key == "patient" else None for template in service.templates}
    return {
        "hook": hook.name,
        "hookInstance": "7c1f7a52-5f3e-4d8e-9a41-0b8b4a6f2c11",
        "context": _example_context(hook.context),
        "prefetch": prefetch,
    }


def _example_context(context: type[Context]) -> dict[str, Any]:
    required = [field for field in structs.fields(context) if field.required]
    return {"userId": _EXAMPLE_TEXTS["userId"]} | {field.encode_name: _example(field) for field in required}


def _example(field: structs.FieldInfo) -> Any:
    if field.type is Raw:
        return {"resourceType": "Bundle", "type": "collection", "entry": []}
    return _EXAMPLE_TEXTS.get(field.encode_name, "example") if field.type in (str, str | None) else []


def _json(description: str, model: str) -> dict[str, Any]:
    schema = {"$ref": _REFERENCE.format(name=model)}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _body(model: str, examples: dict[str, Any]) -> dict[str, Any]:
    schema = {"$ref": _REFERENCE.format(name=model)}
    return {"required": True, "content": {"application/json": {"schema": schema, "examples": examples}}}


def _failures(*statuses: str) -> dict[str, Any]:
    return {status: _json(_ERRORS[status], "OperationOutcome") for status in statuses}
