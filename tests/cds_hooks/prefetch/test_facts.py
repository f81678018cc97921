"""The prefetch of a recorded call, and what is remembered of it beside the templates, which all calls share."""

import json
from typing import Any

import msgspec

from cds_hooks.prefetch.facts import FactsOfCall, OfBasis
from cds_hooks.prefetch.state import Templates
from cds_hooks.prefetch.template import Template


def _call(states: dict[str, Any], **facts: Any) -> FactsOfCall:
    basis = OfBasis(prefetch=msgspec.Raw(json.dumps(states).encode()))
    return FactsOfCall(json.dumps({"context": {}, **facts}).encode(), None, basis, "p1")


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
