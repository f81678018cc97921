"""The OpenAPI document of the server's addresses, made by FastAPI and added to.

The server answers with plain ASGI and Starlette routes (docs/decisions/0008-openapi.md), and hook calls and feedback
are read by readers of their own, so FastAPI cannot see their bodies. They are described here: requests by pydantic
models, cards by the very structs that are sent. A test sends every example to the server and holds every answer against
the document.
"""

from collections.abc import Iterable, Mapping
from importlib.metadata import version as installed_version
from typing import Any, Final

import msgspec
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from msgspec import Raw, structs
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema
from starlette.responses import PlainTextResponse

from cards.card import Card
from cds_hooks.protocol.hooks import Context, Hook
from cds_hooks.services import Service

TITLE: Final = "CDS Hooks server"
_REFERENCE: Final = "#/components/schemas/{model}"


class _Body(BaseModel):
    """A part of the document; members that it does not name are allowed, as the protocol has it."""

    model_config = ConfigDict(extra="allow")


class FhirAuthorization(_Body):
    """The right to read from the client's FHIR server."""

    access_token: str
    token_type: str = Field(description="Always Bearer.")
    expires_in: int | None = None
    scope: str
    subject: str
    patient: str | None = None


class HookRequest(_Body):
    """A hook call."""

    hook: str
    hookInstance: str = Field(description="A UUID that is unique to this call.")
    context: dict[str, Any] = Field(description="What the hook says it has: patientId always, userId mostly.")
    prefetch: dict[str, Any] | None = Field(
        default=None, description="By key of GET /cds-services: a FHIR R4 resource or Bundle; null for none found."
    )
    fhirServer: str | None = None
    fhirAuthorization: FhirAuthorization | None = None
    extension: dict[str, Any] | None = None


class DiscoveryEntry(_Body):
    """One service at one hook."""

    hook: str
    id: str
    title: str
    description: str
    usageRequirements: str | None = None
    prefetch: dict[str, str]


class DiscoveryAnswer(_Body):
    """The services that this client may call."""

    services: list[DiscoveryEntry]


class Issue(_Body):
    """One issue of an OperationOutcome."""

    severity: str
    code: str
    details: dict[str, Any]
    diagnostics: str
    expression: list[str] | None = None


class OperationOutcome(_Body):
    """Why a call was not answered (FHIR R4): what was wrong, where, and what to do."""

    resourceType: str
    issue: list[Issue]


class Liveness(_Body):
    """The process lives."""

    status: str = Field(description='"ok".')


class Readiness(_Body):
    """Whether this process can take calls."""

    status: str = Field(description='"ok", or in a sentence why not.')
    services: int = Field(description="How many services there are.")


class AcceptedSuggestion(_Body):
    """A suggestion that the clinician accepted."""

    id: str


class OverrideReasonGiven(_Body):
    """Why a clinician overrode a card."""

    reason: dict[str, Any] | None = None
    userComment: str | None = None


class FeedbackEntry(_Body):
    """What a clinician did with one card."""

    card: str = Field(description="The uuid of the card.")
    outcome: str = Field(description="accepted or overridden")
    outcomeTimestamp: str
    acceptedSuggestions: list[AcceptedSuggestion] | None = None
    overrideReason: OverrideReasonGiven | None = None


class FeedbackReport(_Body):
    """What clinicians did with cards of one service."""

    feedback: list[FeedbackEntry]


class OutcomeEntry(_Body):
    """One report: by prediction, by patient and time, about an order, or that everything was sent."""

    prediction: str | None = Field(default=None, description="The decision's id, or the uuid of one of its cards.")
    patient: str | None = None
    card: str | None = None
    model: str | None = Field(default=None, description="The model whose prediction it decides.")
    event: str | None = Field(default=None, description="What happened: death, admission, or as a model names it.")
    outcome: str | None = Field(default=None, description="yes, no, or unknown, which takes back what was said.")
    at: str | None = Field(default=None, description="When it happened, or until when the patient was followed.")
    suggestion: str | None = None
    order: str | None = Field(default=None, description="accepted, changed, still-ordered or withdrawn")
    completeThrough: str | None = Field(default=None, description="Up to this day every such event was sent.")


class OutcomeReport(_Body):
    """What happened after decisions of this client."""

    outcomes: list[OutcomeEntry]


class RefusedOutcome(_Body):
    """A report that belongs to no decision of this client."""

    index: int
    reason: str
    text: str


class OutcomeAnswer(_Body):
    """How many reports were new, how many known before, and which were not stored."""

    stored: int
    known: int
    refused: list[RefusedOutcome]


_MODELS: Final[tuple[type[_Body], ...]] = (
    HookRequest, DiscoveryAnswer, OperationOutcome, FeedbackReport, OutcomeReport, OutcomeAnswer,
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
    "404": "There is no service of this id.",
    "412": "Required data is neither in prefetch nor obtainable.",
    "413": "The body is larger than the limit.",
    "429": "The client has as many calls under way as it may have.",
    "500": "The server failed; the operator's log has the place under the id that the answer gives.",
    "503": "The decision could not be recorded, so no advice is given.",
}


def describe(services: Mapping[str, Service]) -> dict[str, Any]:
    """The document: hook calls, feedback, discovery, and the addresses for the operator."""
    found = get_openapi(
        title=TITLE,
        version=installed_version("cds-hooks-onnx"),
        description="Clinical decision support over CDS Hooks 2.0.1 and FHIR R4.",
        routes=_operator_routes(),
    )
    found["paths"] = {**_paths(services), **found["paths"]}
    found["components"]["schemas"].update(_schemas())
    return found


def _operator_routes() -> list[APIRoute]:
    """What routes/operations.py answers, for FastAPI to describe."""
    unavailable: dict[int | str, dict[str, Any]] = {503: {"model": Readiness, "description": "It cannot answer calls."}}
    return [
        APIRoute("/livez", _live, summary="Whether the process lives", response_model=Liveness),
        APIRoute(
            "/readyz",
            _ready,
            summary="Whether calls can be answered and recorded",
            response_model=Readiness,
            responses=unavailable,
        ),
        APIRoute(
            "/metrics",
            _metrics,
            summary="What the server counted, for Prometheus",
            response_class=PlainTextResponse,
        ),
    ]


def _live() -> None:
    """Answers as long as the process runs."""


def _ready() -> None:
    """Answers 503 while the record cannot be written and while the server is about to end."""


def _metrics() -> None:
    """For the operator only: at the address of CDS_OPERATOR_LISTEN, or with CDS_OPERATOR_TOKEN."""


def _paths(services: Mapping[str, Service]) -> dict[str, Any]:
    service = {
        "name": "service_id",
        "in": "path",
        "required": True,
        "schema": {
            "type": "string",
            "enum": [entry["id"] for service in services.values() for entry in service.discovery()],
        },
    }
    return {
        "/cds-services": {
            "get": {
                "summary": "The services, their hooks and what each asks for",
                "responses": {"200": _json("The services.", "DiscoveryAnswer"), **_failures("401")},
            }
        },
        "/cds-services/{service_id}": {
            "parameters": [service],
            "post": {
                "summary": "Call a service",
                "requestBody": _body("HookRequest", hook_examples(services.values())),
                "responses": {"200": _json("Cards, or none and the reasons.", "CardsAnswer"), **_failures(*_ERRORS)},
            },
        },
        "/cds-services/{service_id}/feedback": {
            "parameters": [service],
            "post": {
                "summary": "Report what clinicians did with cards",
                "requestBody": _body("FeedbackReport", feedback_examples()),
                "responses": {"200": {"description": "Stored."}, **_failures("400", "401", "403", "404", "413", "503")},
            },
        },
        "/outcomes": {
            "post": {
                "summary": "Report what happened after decisions",
                "requestBody": _body("OutcomeReport", outcome_examples()),
                "responses": {
                    "200": _json("What was stored.", "OutcomeAnswer"),
                    **_failures("400", "401", "413", "429", "503"),
                },
            },
        },
    }


def hook_examples(services: Iterable[Service]) -> dict[str, Any]:
    """One call for each service and hook: a patient of whom nothing else is known."""
    return {
        f"{service.id}, {hook.name}": {"value": _example_call(service, hook)}
        for service in services
        for hook in service.answers.values()
    }


def feedback_examples() -> dict[str, Any]:
    """One report for each outcome."""
    card = "0190a1b2-c3d4-7e5f-8a6b-0123456701ff"
    entry = {"card": card, "outcomeTimestamp": "2026-11-20T09:05:31Z"}
    accepted = {**entry, "outcome": "accepted", "acceptedSuggestions": [{"id": card}]}
    overridden = {**entry, "outcome": "overridden", "overrideReason": {"userComment": "Discussed last week."}}
    return {
        "accepted": {"value": {"feedback": [accepted]}},
        "overridden": {"value": {"feedback": [overridden]}},
    }


def outcome_examples() -> dict[str, Any]:
    """One body for each form of a report."""
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
    required = [each for each in structs.fields(context) if each.required]
    return {"userId": _EXAMPLE_TEXTS["userId"]} | {each.encode_name: _example(each) for each in required}


def _example(field: structs.FieldInfo) -> Any:
    if field.type is Raw:
        return {"resourceType": "Bundle", "type": "collection", "entry": []}
    return _EXAMPLE_TEXTS.get(field.encode_name, "example") if field.type is str else []


def _schemas() -> dict[str, Any]:
    _, made = models_json_schema([(model, "validation") for model in _MODELS], ref_template=_REFERENCE)
    _, cards = msgspec.json.schema_components([Card], ref_template="#/components/schemas/{name}")
    answer = {
        "type": "object",
        "required": ["cards", "extension"],
        "properties": {
            "cards": {"type": "array", "items": {"$ref": _REFERENCE.format(model="Card")}},
            "extension": {"type": "object", "description": "What this server says beyond the protocol, under its key."},
        },
    }
    return {**made["$defs"], **cards, "CardsAnswer": answer}


def _json(description: str, model: str) -> dict[str, Any]:
    schema = {"$ref": _REFERENCE.format(model=model)}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _body(model: str, examples: dict[str, Any]) -> dict[str, Any]:
    schema = {"$ref": _REFERENCE.format(model=model)}
    return {"required": True, "content": {"application/json": {"schema": schema, "examples": examples}}}


def _failures(*statuses: str) -> dict[str, Any]:
    return {status: _json(_ERRORS[status], "OperationOutcome") for status in statuses}
