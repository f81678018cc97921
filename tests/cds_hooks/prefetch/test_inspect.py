"""Given, null, failed and missing are four things, whatever the client calls its keys."""

from typing import Any

import orjson

from cds_hooks.prefetch.needs import Needs, templates_for
from cds_hooks.prefetch.state import PrefetchState, inspect_prefetch
from cds_hooks.protocol.hooks import LIBRARY
from cds_hooks.protocol.request import read_request
from tests.fhir.builders import bundle
from tests.fhir_charts import PATIENT, lab

TEMPLATES = templates_for(
    Needs.of(
        analytes=("creatinine", "body_weight"), resources=("Condition", "MedicationRequest", "Procedure"),
        required=("labs",),
    )
).for_protocol("2.0")  # fmt: skip
AS_OF = 1795165200.0  # 2026-11-20T09:00:00Z
CONDITION = {"resourceType": "Condition", "id": "c1", "subject": {"reference": "Patient/p1"}}
FAILED = {"severity": "error", "code": "exception"}


def _bundle(*resources: dict[str, Any], **members: Any) -> dict[str, Any]:
    return bundle(*resources) | members


def _outcome(issue: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def _brought(**prefetch: Any) -> PrefetchState:
    body = {
        "hook": "patient-view",
        "hookInstance": "8a1f0ba6-7f0c-4d0a-9c1c-0f7c6d3a0b11",
        "context": {"userId": "Practitioner/1", "patientId": "p1"},
        "prefetch": prefetch,
    }
    request = read_request(orjson.dumps(body), {"patient-view": LIBRARY["patient-view"]})
    return inspect_prefetch(request.prefetch, TEMPLATES, AS_OF)


def _state(value: Any, key: str = "conditions") -> tuple[str, str, str]:
    (found,) = (each for each in _brought(**{key: value}).states if each.template.key == key)
    return found.state, found.reason, found.cause


def test_a_key_that_did_not_come_is_missing() -> None:
    assert {each.state for each in _brought().states} == {"unobtainable"}
    assert {each.reason for each in _brought().states} == {"not-sent"}


def test_fewer_entries_than_the_total_are_a_part() -> None:
    assert _state(_bundle(CONDITION, total=7)) == ("given", "partial", "cut")
    assert _state(_bundle(total=7)) == ("null", "partial", "cut")


def test_resources_are_recognised_whatever_the_key() -> None:
    state = _brought(a=PATIENT, b=_bundle(CONDITION), c=_bundle(lab(1)))
    assert {each.template.key: each.state for each in state.states} == {
        "patient": "given", "labs": "given", "body": "unobtainable", "conditions": "given",
        "medications": "unobtainable", "procedures": "unobtainable",
    }  # fmt: skip


def test_weights_among_the_laboratory_results_are_there() -> None:
    state = _brought(labs=_bundle(lab(1), lab(70, "29463-7")))
    states = {each.template.key: each for each in state.states}
    assert (states["body"].state, states["body"].sent_as) == ("given", "labs")
    assert "body_weight" in state.looked_up
    assert {each.template.key: each for each in _brought(labs=_bundle(lab(1))).states}["body"].state == "unobtainable"


def test_what_is_missing_is_said_unless_its_policy_is_to_omit_it() -> None:
    state = _brought(patient=PATIENT, labs=None, body=None)
    assert [refusal.subject for refusal in state.refusals] == ["prefetch.conditions", "prefetch.medications"]
    assert state.note == "**Checked without** problems and medication orders (not sent by the EHR)."
    assert b'"procedures":{"state":"unobtainable","reason":"not-sent"}' in bytes(state.basis)


def test_what_is_old_is_said_as_old() -> None:
    others = dict.fromkeys(("labs", "body", "conditions", "procedures", "medications"), None)
    old = _bundle(CONDITION, meta={"lastUpdated": "2026-11-17T09:00:00Z"})
    state = _brought(**others | {"patient": PATIENT, "conditions": old})
    assert state.note == "**Not from today:** problems (the EHR looked it up 3 days ago)."


def test_a_whole_prefetch_is_looked_at_and_nothing_more() -> None:
    whole = dict.fromkeys((template.key for template in TEMPLATES), None) | {"patient": PATIENT}
    first = _brought(**whole)
    assert first is _brought(**whole)
    assert (first.gaps, first.refusals, first.note) == ((), (), None)
    assert first is _brought(**whole, unexpected=_outcome(FAILED))  # PRE-05: a key that nobody asked for
