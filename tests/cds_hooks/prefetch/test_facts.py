"""The prefetch of a recorded call, and what is remembered of it beside the templates, which all calls share."""

import json
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from cds_hooks.prefetch import facts, state
from cds_hooks.prefetch.facts import FactsOfCall, OfBasis, write_facts
from cds_hooks.prefetch.state import NO_PREFETCH, Templates, inspect_prefetch
from cds_hooks.prefetch.template import Template
from cds_hooks.protocol.hooks import OrderSignContext
from tests.each import for_rows


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


DRAFT, SECOND = ({"resourceType": "MedicationRequest", "id": name} for name in "ab")
DRAFTED = msgspec.Raw(json.dumps([DRAFT, SECOND]).encode())


@for_rows("drafts", [None, DRAFTED, [DRAFT, SECOND], [DRAFT]])
def test_the_drafts_of_the_context_and_the_orders_asked_for_are_the_same_in_a_replay(drafts: Any) -> None:
    """Whatever the decision records of the orders; `SECOND` alone was asked for."""
    user = "Practitioner/7"
    context = OrderSignContext(user_id=user, patient_id="p1", draft_orders=DRAFTED)
    request: Any = SimpleNamespace(context=context, wants_timings=False)
    orders = {"drafts": drafts} if drafts else None
    response = user.encode() if drafts else b""
    content = write_facts(request, (), NO_PREFETCH, {"MedicationRequest/b": SECOND}, orders, response, ())
    assert b"p1" not in content
    assert (b"Practitioner/7" in content) is bool(drafts), "the user is kept where the response names them"
    assert (b"sent_as_drafts" in content) is (drafts == [DRAFT, SECOND])
    recorded = {"drafts": msgspec.Raw(msgspec.json.encode(drafts))} if drafts else None
    call = FactsOfCall(content, None, OfBasis(orders=recorded), "p1")
    assert json.loads(bytes(call.context))["draftOrders"] == [DRAFT, SECOND]
    assert [entry["resource"] for entry in json.loads(call.sent[1])["entry"]] == [SECOND]


def test_orders_that_no_decision_recorded_are_none() -> None:
    assert json.loads(bytes(_call({}, context={"draftOrders": {}}).context))["draftOrders"] == {}
    assert json.loads(_call({}, sent_as_drafts=["MedicationRequest/b"]).sent[1])["entry"] == []
