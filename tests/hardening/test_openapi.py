"""Schemathesis against a live server: calls that a description of the protocol allows, and calls that it does not.

The description is of CDS Hooks 2.0.1 as the checklist has it, not of what our reader takes.
"""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode, openapi

from cds_hooks.tools.kit.contract.definitions import FIELDS
from tests.cds_hooks.calls import ORDERS, PLANNING

Json = dict[str, Any]
SECONDS = 180
pytestmark = pytest.mark.slow
_STRING: Json = {"type": "string", "minLength": 1}
_BUNDLE: Json = {
    "type": "object",
    "required": ["resourceType"],
    "properties": {
        "resourceType": {"const": "Bundle"},
        "type": {"enum": ["collection", "searchset"]},
        "total": {"type": "integer"},
        "entry": {"type": "array", "items": {"type": "object", "properties": {"resource": {"type": "object"}}}},
    },
}
_TYPES: dict[str, Json] = {"string": _STRING, "object": _BUNDLE, "array": {"type": "array", "items": _STRING}}


def _context(hook: str) -> Json:
    fields = [each for each in FIELDS if each.hook == hook]
    return {
        "type": "object",
        "required": [each.name for each in fields if each.required],
        "properties": {each.name: _TYPES[each.type] for each in fields},
    }


def _call(hook: str) -> Json:
    authorization = dict.fromkeys(("access_token", "scope", "subject"), _STRING)
    return {
        "type": "object",
        "required": ["hook", "hookInstance", "context"],
        "properties": {
            "hook": {"const": hook},
            "hookInstance": {"type": "string", "format": "uuid"},
            "context": _context(hook),
            "prefetch": {"type": "object", "additionalProperties": {"anyOf": [{"type": "null"}, _BUNDLE]}},
            "fhirServer": {"const": "http://127.0.0.1:9/fhir"},
            "fhirAuthorization": {
                "type": "object",
                "required": [*authorization, "token_type", "expires_in"],
                "properties": {
                    **authorization,
                    "token_type": {"const": "Bearer"},
                    "expires_in": {"type": "integer"},
                    "patient": _STRING,
                },
            },
            "extension": {"type": "object"},
        },
    }


_FEEDBACK: Json = {
    "type": "object",
    "required": ["feedback"],
    "properties": {
        "feedback": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["card", "outcome", "outcomeTimestamp"],
                "properties": {
                    "card": {"type": "string", "format": "uuid"},
                    "outcome": {"enum": ["accepted", "overridden"]},
                    "acceptedSuggestions": {
                        "type": "array",
                        "items": {"type": "object", "required": ["id"], "properties": {"id": _STRING}},
                    },
                    "overrideReason": {
                        "type": "object",
                        "properties": {
                            "reason": {"type": "object", "properties": {"code": _STRING, "system": _STRING}},
                            "userComment": _STRING,
                        },
                    },
                    "outcomeTimestamp": {"type": "string", "format": "date-time"},
                },
            },
        }
    },
}


def _post(body: Json) -> Json:
    return {
        "post": {
            "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
            "responses": {"200": {"description": "done"}, "default": {"description": "refused"}},
        }
    }


_GET: Json = {"get": {"responses": {"200": {"description": "found"}}}}
DESCRIPTION: Json = {
    "openapi": "3.1.0",
    "info": {"title": "CDS Hooks", "version": "2.0.1"},
    "paths": {
        "/cds-services": _GET,
        f"/cds-services/{PLANNING}": _post(_call("patient-view")),
        f"/cds-services/{ORDERS}": _post({"oneOf": [_call("order-select"), _call("order-sign")]}),
        "/cds-services/discharge-medications": _post(_call("encounter-discharge")),
        f"/cds-services/{PLANNING}/feedback": _post(_FEEDBACK),
    },
}


# A GET without parameters has nothing in it that could be wrong.
_OPERATIONS = [
    (path, method.upper(), mode)
    for path, methods in DESCRIPTION["paths"].items()
    for method in methods
    for mode in GenerationMode
    if method == "post" or mode is GenerationMode.POSITIVE
]
_SCHEMA = openapi.from_dict(DESCRIPTION)
CALLS = settings(
    max_examples=25,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize(("path", "method", "mode"), _OPERATIONS)
def test_whatever_fits_the_description_or_not_is_answered_and_never_a_failure_of_ours(
    server: str, path: str, method: str, mode: GenerationMode
) -> None:
    @CALLS
    @given(st.data())
    def send(data: st.DataObject) -> None:
        case: Case[Any] = data.draw(_SCHEMA[path][method].as_strategy(generation_mode=mode))
        answer = case.call(base_url=server, timeout=SECONDS)
        assert answer.status_code < 500, answer.text
        document = json.loads(answer.content)
        if answer.status_code >= 400:
            assert document["resourceType"] == "OperationOutcome"

    send()
