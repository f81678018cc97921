"""What is read of resources in other spellings, of other releases, with modifiers, and of one id sent twice."""

import json
from pathlib import Path
from typing import Any

import msgspec

from fhir.record.record import record_from_resources
from fhir.record.resources import Condition
from tests.each import for_rows
from tests.fhir.builders import AS_OF

Json = dict[str, Any]
_ROWS = [json.loads(line) for line in Path(__file__).with_name("forms.jsonl").read_text(encoding="utf-8").splitlines()]
_WHOSE = {"subject": {"reference": "Patient/p1"}, "patient": {"reference": "Patient/p1"}}


@for_rows("row", _ROWS, [row["row"] for row in _ROWS])
def test_the_facts_of_resources_as_they_are_sent(row: Json) -> None:
    record = record_from_resources([_WHOSE | resource for resource in row["sent"]], "p1", AS_OF)
    facts = {
        f"{fact['resourceType']}/{fact['id']}": fact
        for fact in json.loads(msgspec.json.encode(list(record.every_fact())))
        if fact.get("status") != "not-done"
    }
    assert facts.keys() == row["facts"].keys()
    for name, elements in row["facts"].items():
        assert {element: facts[name].get(element) for element in elements} == elements
    assert [refusal.reason for refusal in record.refusals if not refusal.analyte] == row["said"]


@for_rows("kinds")
def test_two_contents_under_one_id_are_two_facts_and_that_is_said(kinds: list[Json]) -> None:
    sent = [{"resourceType": "Condition", "id": "1", **_WHOSE, **elements} for elements in kinds]
    record = record_from_resources(sent, "p1", AS_OF)
    assert len(record.facts(Condition)) == 2
    assert [(refusal.reason, refusal.subject) for refusal in record.refusals] == [("same-id", "Condition/1")]
