"""A call can send a FHIR server instead of its data."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cds_hooks.kit.simulator import request
from cds_hooks.kit.simulator.chart import Chart, ChartError
from cds_hooks.kit.simulator.request import OPEN_SERVER_TOKEN, refuse_unknown_keys, with_fhir_server, without_keys
from tests.fhir.builders import medication_order

REQUEST = {"hook": "patient-view", "context": {"patientId": "p1"}, "prefetch": {"patient": {}, "labs": None}}


def test_the_server_takes_the_place_of_prefetch() -> None:
    request = with_fhir_server(REQUEST, "http://127.0.0.1:8090/fhir", "t", [])
    assert "prefetch" not in request
    assert request["fhirServer"] == "http://127.0.0.1:8090/fhir"
    assert (request["fhirAuthorization"]["access_token"], request["fhirAuthorization"]["patient"]) == ("t", "p1")


def test_the_server_takes_the_place_of_single_keys() -> None:
    request = with_fhir_server(REQUEST, "http://127.0.0.1:8090/fhir", None, ["labs"])
    assert request["prefetch"] == {"patient": {}}
    assert request["fhirAuthorization"]["access_token"] == OPEN_SERVER_TOKEN


def test_a_key_that_is_not_there_cannot_be_left_out() -> None:
    assert without_keys(REQUEST, []) == REQUEST
    with pytest.raises(ChartError, match="there is no prefetch key lab; there are patient, labs"):
        refuse_unknown_keys([REQUEST], ["lab"])


# The requests and feedback of a simulated client, whole: each hook, and what each hook lacks.
Json = dict[str, Any]
PATIENT: Json = {"resourceType": "Patient", "id": "p1"}


def _order(identity: str, **more: Any) -> Json:
    return {"resourceType": "ServiceRequest", "id": identity, "status": "active"} | more


def test_drafts_of_a_patient() -> None:
    allergy = {"resourceType": "AllergyIntolerance", "status": "x"}
    assert request.as_draft(allergy, "p1") == {
        "resourceType": "AllergyIntolerance", "status": "draft", "id": "draft-1", "intent": "order",
        "patient": {"reference": "Patient/p1"},
    }  # fmt: skip
    medication = {"resourceType": "Medication"}
    assert request.drafts_for(Chart([PATIENT]), [medication, {"resourceType": "MedicationRequest"}]) == [
        {"resourceType": "Medication"},
        medication_order(None, status="draft", id="draft-2"),
    ]
    order = {"resourceType": "MedicationRequest", "id": "x" * 60, "medicationReference": {"reference": "urn:uuid:m1"}}
    other = {"resourceType": "Medication", "id": "m1"}
    chart = Chart([PATIENT, {"resourceType": "Medication", "id": "m2"}, other, order])
    again = request.draft_from_chart(chart, f"MedicationRequest/{'x' * 60}")
    assert again == [order | {"id": f"draft-of-{'x' * 55}"}, other]
    by_path = order | {"id": "o", "medicationReference": {"reference": "https://ehr.example/Medication/m1"}}
    assert request.draft_from_chart(Chart([by_path, other]), "MedicationRequest/o")[1:] == [other]
    assert request.draft_from_chart(Chart([_order("s1"), other]), "ServiceRequest/s1") == [
        {"resourceType": "ServiceRequest", "id": "draft-of-s1", "status": "active"}
    ]
    for reference in ("ServiceRequest/s2", "Task/s1", "s1"):
        with pytest.raises(ChartError, match="is not in the chart"):
            request.draft_from_chart(Chart([_order("s1")]), reference)


def test_feedback_on_the_cards_of_an_answer() -> None:
    cards = [
        {"uuid": "1", "suggestions": [{"uuid": "s1"}, {"uuid": "s2"}],
         "overrideReasons": [{"code": "r1"}, {"code": "r2"}]},
        {"uuid": "2"},
        {"summary": "without a uuid"},
    ]  # fmt: skip
    when = datetime(2026, 11, 20, 9, 0, 0, 500, tzinfo=UTC)
    assert request.build_feedback({"cards": cards}, request.CardOutcome.accepted, when) == {
        "feedback": [{"card": "1", "outcomeTimestamp": "2026-11-20T09:00:00+00:00", "outcome": "accepted",
                      "acceptedSuggestions": [{"id": "s1"}]},
                     {"card": "2", "outcomeTimestamp": "2026-11-20T09:00:00+00:00", "outcome": "overridden"}],
    }  # fmt: skip
    assert request.build_feedback({"cards": cards}, request.CardOutcome.overridden, when) == {
        "feedback": [{"card": "1", "outcomeTimestamp": "2026-11-20T09:00:00+00:00", "outcome": "overridden",
                      "overrideReason": {"reason": {"code": "r1"}}},
                     {"card": "2", "outcomeTimestamp": "2026-11-20T09:00:00+00:00", "outcome": "overridden"}],
    }  # fmt: skip
    assert request.build_feedback({}, request.CardOutcome.accepted, when) == {"feedback": []}
