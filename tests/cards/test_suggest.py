"""Suggestions: what a client's own draft keeps, what is changed in it, and what is never offered."""

import gzip
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from fhir.resources.R4B import get_fhir_model_class

from cards.card import Action
from cards.orders import OrderOutcome
from cards.rules.patient.orders import read_drafts
from tests.cards.rules.cases import Case, accepted, all_cases, check, check_case, every_case, findings, reasons
from tests.cards.rules.patients import draft_of, drafts_of, record_of

Json = dict[str, Any]
TWO_GRAMS = {"drug": "861007", "dose": "2 tablet", "times": 2}
APIXABAN = {"age": 86, "conditions": ["afib"], "labs": [["creatinine", 2], ["body_weight", 42]]}


def actions_of(outcome: OrderOutcome, label: str) -> tuple[Action, ...]:
    """The actions of the suggestion with this label."""
    return next(one.actions for card in outcome.cards for one in card.suggestions if one.label == label)


def corrected(patient: Json, resource: Json, label: str, as_of: datetime) -> Json:
    """The draft as a suggestion updates it, checked to be silent when it comes back."""
    record = record_of(patient, as_of)
    outcome = check(record, drafts_of(resource))
    (action,) = actions_of(outcome, label)
    assert action.type == "update"
    for _, after in accepted(outcome, [resource]):
        assert findings(check(record, after)) == []
    assert action.resource is not None
    return action.resource


def test_a_timing_code_does_not_stay_beside_another_frequency(as_of: datetime) -> None:
    draft = draft_of({"drug": "1232086", "dose": "1 tablet"})
    draft["dosageInstruction"][0]["timing"] = {"code": {"coding": [{"code": "QD"}], "text": "once daily"}}
    patient = {"conditions": ["afib"], "crcl": 40}
    after = corrected(patient, draft, "Change to 15 mg with the evening meal", as_of)
    assert after["dosageInstruction"][0]["timing"] == {
        "repeat": {"frequency": 1, "period": 1, "periodUnit": "d", "when": ["CV"]}
    }


def test_a_draft_known_by_its_full_url_only_is_replaced_not_updated(as_of: datetime) -> None:
    draft = draft_of({"drug": "1364445", "dose": "1 tablet", "times": 2})
    del draft["id"]
    outcome = check(record_of(APIXABAN, as_of), read_drafts([{"fullUrl": "urn:uuid:7", "resource": draft}]))
    create, remove = actions_of(outcome, "Change to 2.5 mg twice daily")
    assert (remove.type, remove.resource_id) == ("delete", "MedicationRequest/7")
    assert create.type == "create"
    assert create.resource is not None
    assert create.resource["id"].startswith("uuid-")


def test_a_draft_that_nobody_can_name_gets_no_suggestion_that_would_leave_two_orders(as_of: datetime) -> None:
    draft = draft_of({"drug": "1364445", "dose": "1 tablet", "times": 2})
    del draft["id"]
    outcome = check(record_of(APIXABAN, as_of), drafts_of(draft))
    assert len(outcome.cards) == 1
    assert outcome.cards[0].suggestions == ()
    assert ("renal-apixaban", "suggestion-withheld") in reasons(outcome)


def test_a_new_order_is_for_the_same_patient_encounter_and_requester(as_of: datetime) -> None:
    draft = draft_of(TWO_GRAMS) | {"encounter": {"reference": "Encounter/9"}}
    outcome = check(record_of({"labs": [["egfr", 20]]}, as_of), drafts_of(draft))
    create, remove = actions_of(outcome, "Replace by linagliptin 5 mg daily")
    assert remove.resource_id == "MedicationRequest/draft-1"
    assert create.resource is not None
    for name in ("subject", "encounter", "requester", "authoredOn"):
        assert create.resource[name] == draft[name]
    assert (create.resource["status"], create.resource["intent"]) == ("draft", "order")


def test_a_substitute_that_the_patient_takes_already_is_withheld(as_of: datetime) -> None:
    patient = {"labs": [["egfr", 20]]}
    drafts = drafts_of(
        draft_of(TWO_GRAMS), draft_of({"drug": "1100702", "dose": "1 tablet", "times": 1}, identity="draft-2")
    )
    outcome = check(record_of(patient, as_of), drafts, ["draft-1"])
    assert [one.label for one in outcome.cards[0].suggestions] == ["Cancel this order"]


@pytest.fixture(scope="module")
def r4_schema(spec_folder: Path) -> Any:
    """The official JSON Schema of FHIR R4."""
    with gzip.open(spec_folder / "fhir-r4.schema.json.gz") as file:
        return jsonschema.Draft6Validator(json.load(file))


@pytest.mark.slow
def test_every_order_that_is_sent_passes_the_r4_schema_and_r4b(r4_schema: Any, as_of: datetime) -> None:
    sent = 0
    for _, case in all_cases():
        for card in check_case(case, as_of).cards:
            for action in (action for one in card.suggestions for action in one.actions):
                if action.resource is not None:
                    sent += 1
                    get_fhir_model_class(action.resource["resourceType"]).model_validate(action.resource)
                    kind = {"$ref": f"#/definitions/{action.resource['resourceType']}"}
                    narrowed = r4_schema.evolve(schema={**r4_schema.schema, "oneOf": [kind]})
                    assert [error.message for error in narrowed.iter_errors(action.resource)] == []
    assert sent > 50


@every_case("fires", every=3)
def test_a_correction_names_the_product_that_the_case_names(rule: str, case: Case, as_of: datetime) -> None:
    if "product" not in case:
        return
    codes = [
        action.resource["medicationCodeableConcept"]["coding"][0]["code"]
        for card in check_case(case, as_of).cards
        for one in card.suggestions
        for action in one.actions
        if action.resource is not None and action.resource["resourceType"] == "MedicationRequest"
    ]
    assert codes[:1] == [case["product"]]  # the worst finding first; another may stop the order that is there
