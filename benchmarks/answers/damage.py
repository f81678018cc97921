"""Damages a request as real clients do: keys that are missing or empty, resources with wrong elements."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]

OUTCOME: Json = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "timeout", "diagnostics": "The search took too long."}],
}
EMPTY: Json = {"resourceType": "Bundle", "type": "searchset", "total": 0}


def damaged_prefetches(prefetch: Json) -> Iterator[tuple[str, Json]]:
    """Yield the prefetch in many damaged forms, each with a title."""
    for key in prefetch:
        yield f"without {key}", {name: value for name, value in prefetch.items() if name != key}
        yield f"{key} null", prefetch | {key: None}
        yield f"{key} an OperationOutcome", prefetch | {key: OUTCOME}
        if key != "patient":
            yield f"{key} empty", prefetch | {key: EMPTY}
            yield f"{key} partly failed", prefetch | {key: _with_outcome(prefetch[key])}
    yield (
        "every key but the patient null",
        {key: value if key == "patient" else None for key, value in prefetch.items()},
    )
    yield "every key under another name", {f"own{number}": value for number, value in enumerate(prefetch.values())}
    yield "one more key", prefetch | {"mine": {"resourceType": "Coverage", "id": "c", "status": "active"}}
    for title, change in CHANGES.items():
        yield title, {key: _changed(value, change) for key, value in prefetch.items()}


def broken_requests(request: Json) -> Iterator[tuple[str, str]]:
    """Bodies that are no correct request of this service, each with a title."""
    for key in ("hook", "hookInstance", "context", "prefetch"):
        yield f"without {key}", json.dumps({name: value for name, value in request.items() if name != key})
    for key in request["context"]:
        context = {name: value for name, value in request["context"].items() if name != key}
        yield f"without context.{key}", json.dumps(request | {"context": context})
    yield "another hook", json.dumps(request | {"hook": "appointment-book"})
    yield "hookInstance no UUID", json.dumps(request | {"hookInstance": "1"})
    yield "context a list", json.dumps(request | {"context": []})
    yield "prefetch a text", json.dumps(request | {"prefetch": "none"})
    yield "another patient", json.dumps(request | {"context": request["context"] | {"patientId": "somebody-else"}})
    yield "cut off", json.dumps(request)[:-40]
    yield "no object", json.dumps([request])
    yield "empty", ""


def _with_outcome(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    entry = {"resource": OUTCOME, "search": {"mode": "outcome"}}
    return value | {"entry": [*value.get("entry", []), entry]}


def _changed(value: Any, change: Callable[[Json], None]) -> Any:
    """Return a copy with every second resource of a Bundle changed; a Patient stays as it is."""
    if not isinstance(value, dict) or value.get("resourceType") != "Bundle":
        return value
    changed = copy.deepcopy(value)
    for entry in changed.get("entry", [])[::2]:
        if isinstance(entry.get("resource"), dict):
            change(entry["resource"])
    return changed


def _value_is_text(resource: Json) -> None:
    if "valueQuantity" in resource:
        resource["valueQuantity"]["value"] = "a lot"


def _value_implausible(resource: Json) -> None:
    if isinstance((quantity := resource.get("valueQuantity") or {}).get("value"), int | float):
        quantity["value"] *= 1000


def _unit_unknown(resource: Json) -> None:
    if "valueQuantity" in resource:
        resource["valueQuantity"] |= {"unit": "cubits", "code": "cubits"}


def _without_unit(resource: Json) -> None:
    for name in ("unit", "code", "system"):
        resource.get("valueQuantity", {}).pop(name, None)


def _without_date(resource: Json) -> None:
    for name in ("effectiveDateTime", "authoredOn", "onsetDateTime", "recordedDate", "performedDateTime", "period"):
        resource.pop(name, None)


def _date_no_date(resource: Json) -> None:
    for name in ("effectiveDateTime", "authoredOn", "onsetDateTime", "recordedDate", "performedDateTime"):
        if name in resource:
            resource[name] = "yesterday"


def _date_ahead(resource: Json) -> None:
    for name in ("effectiveDateTime", "authoredOn", "onsetDateTime", "recordedDate", "performedDateTime"):
        if name in resource:
            resource[name] = f"2031{resource[name][4:]}"


def _without_code(resource: Json) -> None:
    for name in ("code", "medicationCodeableConcept", "medicationReference"):
        resource.pop(name, None)


def _code_as_text_only(resource: Json) -> None:
    for name in ("code", "medicationCodeableConcept"):
        concept = resource.get(name)
        if isinstance(concept, dict):
            codings = concept.get("coding") or [{}]
            resource[name] = {"text": concept.get("text") or codings[0].get("display") or ""}


def _code_is_list(resource: Json) -> None:
    for name in ("code", "medicationCodeableConcept"):
        if name in resource:
            resource[name] = [resource[name]]


def _entered_in_error(resource: Json) -> None:
    if "status" in resource:
        resource["status"] = "entered-in-error"


def _without_type(resource: Json) -> None:
    resource.pop("resourceType", None)


def _of_another_patient(resource: Json) -> None:
    for name in ("subject", "patient"):
        if name in resource:
            resource[name] = {"reference": "Patient/somebody-else"}


CHANGES: dict[str, Callable[[Json], None]] = {
    "every second value a text": _value_is_text,
    "every second value implausible": _value_implausible,
    "every second unit unknown": _unit_unknown,
    "every second unit missing": _without_unit,
    "every second date missing": _without_date,
    "every second date no date": _date_no_date,
    "every second date ahead": _date_ahead,
    "every second code missing": _without_code,
    "every second code as text only": _code_as_text_only,
    "every second code a list": _code_is_list,
    "every second resource entered in error": _entered_in_error,
    "every second resource without a type": _without_type,
    "every second resource of another patient": _of_another_patient,
}
