"""What a chart's resources say in words: facts with their status, notes with their titles, and what is left out."""

from datetime import date
from typing import Any

from cds_hooks.add_ons.text.chart import note_text, read_attachment, read_chart
from tests.cds_hooks.add_ons.text.charts import Resource, condition, note
from tests.each import for_rows

ON = date(2026, 11, 2)
PENICILLIN: Resource = {"resourceType": "AllergyIntolerance", "id": "a1", "code": {"text": "Penicillin"}}
ORDER: Resource = {"resourceType": "MedicationRequest", "id": "m1", "medicationCodeableConcept": {"text": "Apixaban"}}
SISTER: Resource = {"resourceType": "FamilyMemberHistory", "id": "f1"}
PRESSURE: Resource = {"resourceType": "Observation", "id": "o1", "code": {"text": "Blood pressure"}}
UNCONFIRMED: dict[str, Any] = {"verificationStatus": {"coding": [{"code": "unconfirmed"}]}}


def _systolic(value: int) -> dict[str, Any]:
    return {"code": {"text": "Systolic"}, "valueQuantity": {"value": value, "unit": "mmHg"}}


@for_rows(
    ("resource", "kind", "text", "status"),
    [
        (condition("c1", "Gout", abatementDateTime="2020-05-01"), "past", "Gout (past)", ""),  # it is called active
        (condition("c1", "Gout", "resolved"), "past", "Gout (resolved)", ""),
        (condition("c1", "Asthma", "remission"), "problem", "Asthma (in remission)", "remission"),
        (condition("c1", "Gout", **UNCONFIRMED), "problem", "Gout (not confirmed)", "unconfirmed"),
        (condition("c1", "Asthma", "remission", **UNCONFIRMED), "problem", "Asthma (in remission, not confirmed)",
         "unconfirmed"),
        (condition("c1", "", code={"coding": [None, {"code": "x"}, {"display": "Gout"}]}), "problem", "Gout", ""),
        (PENICILLIN | {"reaction": [{"manifestation": [{"coding": []}, {"text": "rash"}]}]}, "allergy",
         "Penicillin (rash)", ""),
        (ORDER, "drug", "Apixaban", ""),  # an order without a status is of what is taken
        (ORDER | {"status": "stopped", "statusReason": []}, "stopped", "Apixaban: stopped", ""),
        (ORDER | {"status": "stopped", "statusReason": [{}]}, "stopped", "Apixaban: stopped", ""),
        (PRESSURE | {"component": [{"code": {"text": "Diastolic"}}, _systolic(140)]}, "result",
         "Blood pressure Systolic 140 mmHg", ""),
        (PRESSURE | {"valueQuantity": {"value": 90, "comparator": "<"}}, "result", "Blood pressure <90", ""),
        (SISTER | {"condition": [{"code": {}}, {"code": {"text": "gout"}}]}, "family", "relative: gout", ""),
    ],
)  # fmt: skip
def test_a_resource_is_one_fact_with_its_status(resource: Resource, kind: str, text: str, status: str) -> None:
    (fact,) = read_chart([resource], ON).facts
    assert (fact.kind, fact.text, fact.status) == (kind, text, status)


@for_rows(
    ("mime", "text"),
    [(None, "<p>No fever</p>"), ("text/plain", "<p>No fever</p>"), ("application/xml", "No fever"),
     ("application/xhtml+xml", "No fever"), ("text/html", "No fever")],
)  # fmt: skip
def test_markup_is_left_out_where_the_type_says_that_it_is_some(mime: str | None, text: str) -> None:
    attachment = note("d1", "<p>No fever</p>")["content"][0]["attachment"] | {"contentType": mime}
    assert read_attachment(attachment).strip() == text
    assert note_text(note("d1", "x") | {"content": [{"attachment": attachment}]}).strip() == text
