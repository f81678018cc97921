"""Repairs of resources, worked out by hand: what is mended, and what stays exactly as it came."""

from typing import Any

import msgspec

from fhir.record.repair import repair_bytes, repair_resource, with_numeric_doses
from tests.each import for_rows

Json = dict[str, Any]


@for_rows(
    "value",
    [
        None,
        "text",
        [1],
        {},
        {"resource": "text"},
        {"resourceType": "Fnord", "status": None, "category": {"a": None}},
        {"resourceType": None, "code": None},
        {"resourceType": "Observation", "status": "final", "code": {"text": "K"}, "unread": None, "other": [None]},
        {"resourceType": "Fnord", "resource": {"resourceType": "Observation", "status": None}},
    ],
)
def test_what_needs_no_repair_or_is_not_read_stays(value: Any) -> None:
    assert repair_resource(value) == value


@for_rows(
    ("value", "expected"),
    [
        ({"resource": {"resource": {"resourceType": "Observation", "status": None}}}, {"resourceType": "Observation"}),
        ({"resourceType": "Observation", "status": "final", "code": {"coding": None, "text": "K"}, "note": None},
         {"resourceType": "Observation", "status": "final", "code": {"text": "K"}}),
        ({"resourceType": "Observation", "note": [None, {"text": "n"}, None]},
         {"resourceType": "Observation", "note": [{"text": "n"}]}),
        ({"resourceType": "Observation", "note": {"text": "n"}, "code": [{"coding": {"code": "1"}}]},
         {"resourceType": "Observation", "note": [{"text": "n"}], "code": {"coding": [{"code": "1"}]}}),
        ({"resourceType": "Observation", "status": ["final"], "issued": ["2026", "2027"], "code": []},
         {"resourceType": "Observation", "status": "final", "issued": ["2026", "2027"], "code": []}),
        ({"resourceType": "Condition", "clinicalStatus": "active", "verificationStatus": ["confirmed"]},
         {"resourceType": "Condition", "clinicalStatus": {"coding": [{"code": "active"}]},
          "verificationStatus": {"coding": [{"code": "confirmed"}]}}),
        ({"resourceType": "AllergyIntolerance",
          "category": ["food", {"coding": [{"code": "medication"}, {"code": "food"}]}, {"coding": {"code": "biologic"}},
                       {"code": "environment"}, {"text": "in words"}, {"coding": [], "text": "empty coding"},
                       {"coding": ["text"], "code": "beside"}, {"coding": [{"display": "no code"}]}, {"fnord": 1},
                       {"code": 5}, None, 3]},
         {"resourceType": "AllergyIntolerance",
          "category": ["food", "medication", "biologic", "environment", "in words", "empty coding", "beside",
                       {"coding": [{"display": "no code"}]}, {"fnord": 1}, {"code": 5}, 3]}),
        ({"resourceType": "Condition", "subject": {"reference": {"a": 1}}},
         {"resourceType": "Condition", "subject": {}}),
        ({"resourceType": "AllergyIntolerance", "category": "food"},
         {"resourceType": "AllergyIntolerance", "category": ["food"]}),
        ({"resourceType": "Observation", "valueQuantity": {"value": "6.4", "unit": "mmol/L"}},
         {"resourceType": "Observation", "valueQuantity": {"value": 6.4, "unit": "mmol/L"}}),
        ({"resourceType": "Observation", "component": {"valueQuantity": {"value": "120"}}},
         {"resourceType": "Observation", "component": [{"valueQuantity": {"value": 120}}]}),
        ({"resourceType": "Observation", "valueQuantity": {"unit": "mmol/L"}},
         {"resourceType": "Observation", "valueQuantity": {"unit": "mmol/L"}}),
        ({"resourceType": "Observation", "valueQuantity": "6.4"},
         {"resourceType": "Observation", "valueQuantity": "6.4"}),
        ({"resourceType": "Condition", "abatementAge": {"value": "6"}, "valueQuantity": {"value": "6"}},
         {"resourceType": "Condition", "abatementAge": {"value": "6"}, "valueQuantity": {"value": "6"}}),
        ({"resourceType": "Condition", "subject": {"reference": True}},
         {"resourceType": "Condition", "subject": {}}),
        ({"resourceType": "MedicationRequest",
          "dosageInstruction": {"text": "t", "doseQuantity": {"value": 1}, "rateRatio": {"numerator": None}}},
         {"resourceType": "MedicationRequest",
          "dosageInstruction": [{"text": "t", "doseAndRate": [{"doseQuantity": {"value": 1}, "rateRatio": {}}]}]}),
        ({"resourceType": "MedicationRequest", "dosageInstruction": [{"doseAndRate": [], "doseRange": {"low": {}}}]},
         {"resourceType": "MedicationRequest", "dosageInstruction": [{"doseAndRate": [{"doseRange": {"low": {}}}]}]}),
        ({"resourceType": "MedicationRequest",
          "dosageInstruction": [{"doseAndRate": [{"doseQuantity": {"value": 2}}], "doseQuantity": {"value": 1}}]},
         {"resourceType": "MedicationRequest",
          "dosageInstruction": [{"doseAndRate": [{"doseQuantity": {"value": 2}}], "doseQuantity": {"value": 1}}]}),
        ({"resourceType": "MedicationRequest", "dosageInstruction": [{"text": "t", "doseAndRate": []}]},
         {"resourceType": "MedicationRequest", "dosageInstruction": [{"text": "t", "doseAndRate": []}]}),
        ({"resourceType": "MedicationAdministration", "dosage": {"doseQuantity": {"value": 1}, "route": "oral"}},
         {"resourceType": "MedicationAdministration",
          "dosage": {"doseQuantity": {"value": 1}, "route": {"coding": [{"code": "oral"}]}}}),
        ({"resourceType": "Bundle",
          "entry": {"resource": {"resourceType": "Condition", "clinicalStatus": "active", "code": None}}},
         {"resourceType": "Bundle",
          "entry": [{"resource": {"resourceType": "Condition", "clinicalStatus": {"coding": [{"code": "active"}]}}}]}),
        ({"resourceType": "MedicationRequest",
          "contained": [{"resource": {"resourceType": "Medication", "code": "1"}}]},
         {"resourceType": "MedicationRequest",
          "contained": [{"resourceType": "Medication", "code": {"coding": [{"code": "1"}]}}]}),
    ],
)  # fmt: skip
def test_a_fault_is_mended_and_nothing_else(value: Any, expected: Any) -> None:
    assert repair_resource(value) == expected
    assert msgspec.json.decode(repair_bytes(msgspec.json.encode(value))) == expected


def test_the_numbers_of_doses_and_of_timings_are_read_and_no_other_text() -> None:
    order: Json = {
        "id": "7",
        "dosageInstruction": [{"text": "2", "sequence": "1", "value": "1",
                               "timing": {"repeat": {"frequency": "1", "frequencyMax": "2", "period": "3.5",
                                                     "periodMax": "4", "count": "5", "countMax": "6", "periodUnit": "7",
                                                     "duration": "8", "boundsDuration": {"value": "9"},
                                                     "boundsQuantity": {"value": "10"}}, "count": "11"},
                               "doseAndRate": [{"doseRange": {"low": {"value": "1", "unit": "2"},
                                   "high": {"value": "3"}},
                                                "rateRatio": {"numerator": {"value": "4"},
                                                    "denominator": {"value": "5"}},
                                                "rateQuantity": {"value": "6", "code": "7"},
                                                "doseQuantity": [{"value": "8"}]}]}],
    }  # fmt: skip
    assert with_numeric_doses(order) == (
        {"id": "7",
         "dosageInstruction": [{"text": "2", "sequence": "1", "value": "1",
                                "timing": {"repeat": {"frequency": 1, "frequencyMax": 2, "period": 3.5, "periodMax": 4,
                                                      "count": 5, "countMax": 6, "periodUnit": "7", "duration": "8",
                                                      "boundsDuration": {"value": "9"},
                                                      "boundsQuantity": {"value": 10}}, "count": "11"},
                                "doseAndRate": [{"doseRange": {"low": {"value": 1, "unit": "2"}, "high": {"value": 3}},
                                                 "rateRatio": {"numerator": {"value": 4}, "denominator": {"value": 5}},
                                                 "rateQuantity": {"value": 6, "code": "7"},
                                                 "doseQuantity": [{"value": 8}]}]}]},
        True,
    )  # fmt: skip
    untouched: Json = {"id": "7", "dosageInstruction": [{"text": "2"}]}
    result, is_changed = with_numeric_doses(untouched)
    assert result is untouched
    assert is_changed is False
    assert with_numeric_doses({"id": "7"}) == ({"id": "7"}, False)
