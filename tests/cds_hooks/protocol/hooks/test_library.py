"""Each hook of the library: which fields it needs, of which type, and which may be prefetch tokens."""

import json
from typing import Any

import pytest
from msgspec import Raw

from cds_hooks.errors import BadRequest
from cds_hooks.kit.contract.definitions import FIELDS, HOOK_VERSIONS, Field
from cds_hooks.protocol.hooks import LIBRARY, REPLACED, Context
from cds_hooks.protocol.request import read_context
from tests.each import for_rows, rows_of

# The names of issue 3, point 2; medication-verify is in the library's main branch beside them.
NAMED = {
    "patient-view",
    "order-select",
    "order-sign",
    "order-dispatch",
    "encounter-start",
    "encounter-discharge",
    "appointment-book",
    "medication-refill",
    "allergyintolerance-create",
    "problem-list-item-create",
}
# The checklist's tables as the contract kit carries them: written down apart from the server's own.
TABLE = [field for field in FIELDS if field.hook not in REPLACED]
VALUES: dict[str, Any] = {"string": "Type/1", "object": {"resourceType": "Bundle"}, "array": ["Type/1"]}
# Each type of the wrong kind; null is one for a required field.
WRONG: dict[str, tuple[Any, ...]] = {
    "string": (5, [], {}, True),
    "object": ("x", [], 5, True),
    "array": ("x", {}, 5, [5], [None]),
}


def context_of(hook: str) -> dict[str, Any]:
    """A context with every field of the table."""
    found = {field.name: VALUES[field.type] for field in TABLE if field.hook == hook}
    if "fulfillmentTasks" in found:
        found["fulfillmentTasks"] = [{"resourceType": "Task"}]
    return found | {"patientId": "p1"} | ({"encounterId": "e1"} if "encounterId" in found else {})


def read(hook: str, context: dict[str, Any]) -> Context:
    """The context through the hook's own reader."""
    return read_context(LIBRARY[hook], Raw(json.dumps(context).encode()))


def test_every_hook_is_there_with_its_published_version() -> None:
    assert set(LIBRARY) == NAMED | {"medication-verify"}
    assert all(hook.version in HOOK_VERSIONS[name] for name, hook in LIBRARY.items())


@for_rows("hook", LIBRARY)
def test_fields_and_tokens_are_those_of_the_checklist(hook: str) -> None:
    table = [field for field in TABLE if field.hook == hook]
    optional_everywhere = {"userId": False, "encounterId": False}
    assert dict(LIBRARY[hook].fields) == optional_everywhere | {field.name: field.required for field in table}
    assert LIBRARY[hook].tokens == {field.name for field in table if field.token}


@for_rows("hook", LIBRARY)
def test_a_whole_context_is_read_with_what_nobody_knows_in_it(hook: str) -> None:
    context = read(hook, context_of(hook) | {"novel": {"a": [1]}, "extension": {}})
    assert context.patient_id == "p1"


@pytest.mark.parametrize("field", TABLE, ids=lambda field: f"{field.hook}-{field.name}")
def test_a_field_of_the_wrong_json_type_is_refused_and_named(field: Field) -> None:
    # A user who is null is absent, as clients without one send it.
    for value in WRONG[field.type] + ((None,) if field.required and field.name != "userId" else ()):
        with pytest.raises(BadRequest, match=field.name):
            read(field.hook, context_of(field.hook) | {field.name: value})


@for_rows(
    ("written", "meant"),
    rows_of(__file__, "a_patient_is_known_with_a_type_in_front_too"),
)
def test_a_patient_is_known_with_a_type_in_front_too(written: str, meant: str) -> None:
    assert read("patient-view", {"userId": "Practitioner/1", "patientId": written}).patient_id == meant


@for_rows("written", ["Practitioner/1", "/", "Patient/", "a/b"])
def test_an_id_of_something_else_is_no_patient(written: str) -> None:
    with pytest.raises(BadRequest, match="patientId` must be the id of a Patient"):
        read("patient-view", {"userId": "Practitioner/1", "patientId": written})


def test_ids_longer_than_fhir_allows_are_read() -> None:
    assert read("patient-view", {"userId": "Practitioner/1", "patientId": "é" * 194}).patient_id == "é" * 194
