"""Damages a request as real clients do: keys that are missing or empty, resources with wrong elements."""

import copy
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Json = dict[str, Any]
Change = Callable[[Json], None]
"""Changes a resource in place."""

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


def _changed(value: Any, change: Change) -> Any:
    """Return a copy with every second resource of a Bundle changed; a Patient stays as it is."""
    if not isinstance(value, dict) or value.get("resourceType") != "Bundle":
        return value
    changed = copy.deepcopy(value)
    for entry in changed.get("entry", [])[::2]:
        if isinstance(entry.get("resource"), dict):
            change(entry["resource"])
    return changed


def _without(*names: str) -> Change:
    def change(resource: Json) -> None:
        for name in names:
            resource.pop(name, None)

    return change


def _replaced(names: Iterable[str], new: Callable[[Any], Any]) -> Change:
    """Give each of the members that a resource has another value."""

    def change(resource: Json) -> None:
        for name in resource.keys() & names:
            resource[name] = new(resource[name])

    return change


def _times_a_thousand(quantity: Json) -> Json:
    value = quantity.get("value")
    return quantity | {"value": value * 1000} if isinstance(value, int | float) else quantity


def _without_unit(quantity: Json) -> Json:
    return {name: value for name, value in quantity.items() if name not in ("unit", "code", "system")}


def _as_text_only(concept: Any) -> Any:
    if not isinstance(concept, dict):
        return concept
    codings = concept.get("coding") or [{}]
    return {"text": concept.get("text") or codings[0].get("display") or ""}


_VALUE = ("valueQuantity",)
_CONCEPTS = ("code", "medicationCodeableConcept")
_DATES = ("effectiveDateTime", "authoredOn", "onsetDateTime", "recordedDate", "performedDateTime")
CHANGES: dict[str, Change] = {
    "every second value a text": _replaced(_VALUE, lambda quantity: quantity | {"value": "a lot"}),
    "every second value implausible": _replaced(_VALUE, _times_a_thousand),
    "every second unit unknown": _replaced(_VALUE, lambda quantity: quantity | {"unit": "cubits", "code": "cubits"}),
    "every second unit missing": _replaced(_VALUE, _without_unit),
    "every second date missing": _without(*_DATES, "period"),
    "every second date no date": _replaced(_DATES, lambda _: "yesterday"),
    "every second date ahead": _replaced(_DATES, lambda date: f"2031{date[4:]}"),
    "every second code missing": _without(*_CONCEPTS, "medicationReference"),
    "every second code as text only": _replaced(_CONCEPTS, _as_text_only),
    "every second code a list": _replaced(_CONCEPTS, lambda concept: [concept]),
    "every second resource entered in error": _replaced(("status",), lambda _: "entered-in-error"),
    "every second resource without a type": _without("resourceType"),
    "every second resource of another patient": _replaced(
        ("subject", "patient"), lambda _: {"reference": "Patient/somebody-else"}
    ),
}
