"""What must not matter does not: order, repetition, unrelated resources, other words for the same order."""

import copy
import random
from datetime import datetime
from typing import Any

import orjson
import pytest

from cards.compose.orders import check_orders
from fhir.record.record import PatientRecord, read_record
from fhir.record.resources import decoder
from tests.cards.rules.cases import (
    JUDGED,
    Case,
    all_cases,
    check,
    check_case,
    drafts_of_case,
    every_case,
    findings,
    originals,
    reasons,
    resources_of_case,
    uuids,
)
from tests.cards.rules.patients import PATIENT_ID, bundle_of, drafts_of, record_of, without
from tests.each import for_rows

Json = dict[str, Any]


def _record(bundle: Json, as_of: datetime) -> PatientRecord:
    return read_record({"all": decoder.decode(orjson.dumps(bundle))}, PATIENT_ID, as_of)


def _same(bundle: Json, case: Case, as_of: datetime) -> None:
    signing = case.get("hook") != "order-select"
    record = without(_record(bundle, as_of), case["patient"])
    outcome = check_orders(record, drafts_of_case(case), JUDGED, uuids(), original=originals(bundle), signing=signing)
    before = check_case(case, as_of)
    assert findings(outcome) == findings(before)
    assert sorted(reasons(outcome)) == sorted(reasons(before))
    assert [card.summary for card in outcome.cards] == [card.summary for card in before.cards]
    labels = [[one.label for one in card.suggestions] for card in outcome.cards]
    assert labels == [[one.label for one in card.suggestions] for card in before.cards]


UNRELATED: list[Json] = [
    {"resourceType": "Observation", "id": "unrelated-1", "status": "final",
     "code": {"coding": [{"system": "http://loinc.org", "code": "2093-3"}]},
     "subject": {"reference": f"Patient/{PATIENT_ID}"}, "effectiveDateTime": "2026-11-01",
     "valueQuantity": {"value": 190, "unit": "mg/dL"}},
    {"resourceType": "Observation", "id": "entered-in-error", "status": "entered-in-error",
     "code": {"coding": [{"system": "http://loinc.org", "code": "98979-8"}]},
     "subject": {"reference": f"Patient/{PATIENT_ID}"}, "effectiveDateTime": "2026-11-20",
     "valueQuantity": {"value": 5, "unit": "mL/min/{1.73_m2}"}},
    {"resourceType": "Condition", "id": "refuted",
     "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "Z99.2"}]},
     "verificationStatus": {"coding": [{"code": "refuted"}]}, "subject": {"reference": f"Patient/{PATIENT_ID}"}},
    {"resourceType": "MedicationRequest", "id": "stopped", "status": "cancelled", "intent": "order",
     "medicationCodeableConcept": {"text": "ketoconazole 200 MG Oral Tablet"},
     "subject": {"reference": f"Patient/{PATIENT_ID}"}, "authoredOn": "2026-11-01"},
    {"resourceType": "Immunization", "id": "unrelated-2", "patient": {"reference": f"Patient/{PATIENT_ID}"}},
]  # fmt: skip


@pytest.mark.slow
@every_case()
def test_order_repetition_and_unrelated_or_retracted_resources_do_not_matter(
    rule: str, case: Case, as_of: datetime
) -> None:
    bundle = bundle_of(case["patient"], as_of)
    bundle["entry"] += copy.deepcopy(bundle["entry"])
    bundle["entry"] += [{"resource": one} for one in UNRELATED]
    random.Random(case["id"]).shuffle(bundle["entry"])
    _same(bundle, case, as_of)


FIRST_OF_EACH = list(dict(reversed(all_cases())).items())


@for_rows(("rule", "case"), FIRST_OF_EACH, ids=[rule for rule, _ in FIRST_OF_EACH])
def test_a_draft_of_another_kind_beside_it_does_not_matter(rule: str, case: Case, as_of: datetime) -> None:
    xray = {"resourceType": "ServiceRequest", "id": "x", "status": "draft", "code": {"text": "chest x-ray"}}
    drafts = drafts_of(xray, *resources_of_case(case))
    signing = case.get("hook") != "order-select"
    outcome = check(record_of(case["patient"], as_of), drafts, [*JUDGED, "ServiceRequest/x"], signing=signing)
    assert findings(outcome) == findings(check_case(case, as_of))
    assert ("ServiceRequest/x", "not-recognised") in reasons(outcome)
