"""The prefetch of a recorded call, and what is remembered of it beside the templates, which all calls share."""

import json
from typing import Any

import msgspec
import pytest

from cds_hooks.prefetch import facts, state
from cds_hooks.prefetch.facts import FactsOfCall, OfBasis
from cds_hooks.prefetch.state import Templates, inspect_prefetch
from cds_hooks.prefetch.template import Template


def _call(states: dict[str, Any], **of_call: Any) -> FactsOfCall:
    basis = OfBasis(prefetch=msgspec.Raw(json.dumps(states).encode()))
    return FactsOfCall(json.dumps({"context": {}, **of_call}).encode(), None, basis, "p1")


def _templates() -> Templates:
    return Templates(
        [
            Template("patient", "Patient/{{context.patientId}}", "Patient", "the patient"),
            Template("labs", "Observation?patient={{context.patientId}}", "Observation", "laboratory results"),
        ]
    )


FAILED = {"patient": "given", "labs": {"state": "failed", "reason": "forbidden", "cause": "403"}}


def test_each_key_has_the_state_with_which_it_was_recorded() -> None:
    patient, labs = _call(FAILED, texts={"labs": "forbidden"}).filled(_templates()).state.states
    assert (patient.state, patient.reason, patient.is_known) == ("given", "", True)
    assert (labs.state, labs.reason, labs.cause, labs.text) == ("failed", "forbidden", "403", "forbidden")
    assert len(_call({"labs": "null"}).filled(_templates()).state.states) == 1, "a key that was not recorded has none"


def test_whole_states_alone_are_remembered_and_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (facts, state):
        monkeypatch.setattr(module, "MOST_STATES", 1)
    templates = _templates()
    other = [{"subject": "mine", "reason": "prefetch-failed", "text": "It failed."}]
    assert len(_call({"patient": "given"}, other=other).filled(templates).state.other) == 1
    _call({"patient": "given"}, texts={"patient": "forbidden"}).filled(templates)
    assert templates.state_by_pattern == {}
    for states in ({"patient": "given"}, {"patient": "null"}):
        _call(states).filled(templates)
        inspect_prefetch({"patient": None, "labs": None}, templates, 0.0)
        assert list(templates.state_by_pattern) == [json.dumps({"patient": "given"})]
    assert len(_call({"patient": "given"}, other=other).filled(templates).state.other) == 1


def test_orders_that_no_decision_recorded_are_none() -> None:
    assert json.loads(bytes(_call({}, context={"draftOrders": {}}).context))["draftOrders"] == {}
    assert json.loads(_call({}, sent_as_drafts=["MedicationRequest/b"]).sent[1])["entry"] == []
