"""How the kit shapes a request as each client sends it: Epic's ways from the note on EHR dialects, as a whole."""

from typing import Any

from cds_hooks.kit.contract.requests import DIALECTS, NOTHING_FOUND

Json = dict[str, Any]
BASE = "https://ehr.example/interconnect/api/FHIR/R4"
FIRST, SECOND = {"text": "problem list"}, {"text": "other"}


def test_the_published_form_is_sent_as_it_is() -> None:
    request: Json = {"hook": "patient-view", "prefetch": {"a": None}}
    standard = DIALECTS["standard"]
    assert (standard.name, standard.headers) == ("standard", {})
    assert standard.shape(request) is request


def test_epic_sends_flat_extensions_access_absolute_references_and_its_own_empty_searches() -> None:
    epic = DIALECTS["epic"]
    assert (epic.name, epic.headers) == ("epic", {"content-type": "application/json; charset=utf-8"})
    condition = {"resourceType": "Condition", "category": [FIRST, SECOND], "subject": {"reference": "Patient/1"}}
    empty = {"resourceType": "Bundle", "type": "searchset"}
    request = {
        "hook": "patient-view", "context": {"patientId": "1"},
        "prefetch": {"patient": {"resourceType": "Patient", "id": "1"},
                     "conditions": empty | {"total": 1, "entry": [{"resource": condition}]},
                     "none": empty | {"entry": []}, "nothing": None},
    }  # fmt: skip
    shaped = epic.shape(request)
    moved = condition | {"category": FIRST, "subject": {"reference": f"{BASE}/Patient/1"}}
    assert shaped == {
        "hook": "patient-view", "context": {"patientId": "1"}, "fhirServer": BASE,
        "fhirAuthorization": {"access_token": "contract-kit-token", "token_type": "Bearer", "expires_in": 300,
                              "scope": "Patient.Read (R4) Observation.Search (Labs) (R4)",
                              "subject": "00000000-0000-4000-8000-000000000000"},
        "extension": {"com.epic.cdshooks.request.bpa-trigger-action": "60",
                      "com.epic.cdshooks.request.cds-hooks-specification-version": "1.0",
                      "com.epic.cdshooks.request.fhir-version": "R4", "com.epic.cdshooks.request.criteria-id": "2852",
                      "com.epic.cdshooks.request.epic-version": "11.3"},
        "prefetch": {"patient": {"resourceType": "Patient", "id": "1"},
                     "conditions": empty | {"total": 1, "entry": [{"resource": moved}]},
                     "none": empty | {"total": 0, "entry": [NOTHING_FOUND]}, "nothing": None},
    }  # fmt: skip
    assert "prefetch" not in epic.shape({"hook": "patient-view"})
    assert epic.shape({"prefetch": "none"})["prefetch"] == "none"
    assert NOTHING_FOUND["resource"]["issue"][0]["details"]["coding"][0]["code"] == "4101"  # type: ignore[index]
    assert NOTHING_FOUND["search"] == {"mode": "outcome"}
