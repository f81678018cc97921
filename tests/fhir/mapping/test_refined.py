"""Words beside a code: what they make narrower counts, what they deny or another organ does not; palliative care."""

import csv
from pathlib import Path
from typing import Any

from fhir.mapping.allergies import allergies
from fhir.mapping.condition_concepts import read_concept
from fhir.mapping.conditions import find_condition
from fhir.record.datatypes import CodeableConcept, Coding
from fhir.record.record import record_from_resources
from tests.each import for_rows
from tests.fhir.builders import AS_OF, ICD10, SNOMED, SUBJECT

_FILE = Path(__file__).with_name("refined.csv")
_ROWS = list(csv.DictReader(_FILE.read_text(encoding="utf-8").splitlines()))


@for_rows("row", _ROWS, [f"{row['words']} {row['code']}" for row in _ROWS])
def test_the_groups_of_words_beside_a_code(row: dict[str, str]) -> None:
    system = SNOMED if row["code"].isdigit() else ICD10
    coding = (Coding(system=system, code=row["code"]),) if row["code"] else ()
    groups = {meant.group for meant in read_concept(CodeableConcept(coding, row["words"])).meant}
    assert groups >= set(filter(None, [row["means"]]))
    assert groups.isdisjoint([row["does_not_mean"]])


def _visit(words: str, start: str) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"code": "HH"},
        "type": [{"text": words}],
        "period": {"start": start},
    }


def _procedure(words: str, when: str) -> dict[str, Any]:
    return {"resourceType": "Procedure", "status": "completed", "code": {"text": words}, "performedDateTime": when}


@for_rows(
    ("resource", "is_palliative"),
    [
        (_procedure("Palliative care", "2026-03-01"), True),
        (_procedure("Palliative care", "2024-03-01"), False),
        (_procedure("Palliative radiotherapy", "2026-10-01"), False),
        (_procedure("Insertion of catheter for infusion of palliative substances", "2026-10-01"), False),
        (_visit("Home hospice care", "2026-10-01"), True),
        (_visit("Home hospice care", "2024-10-01"), False),
        (_visit("Hospice volunteer visit", "2026-10-01"), False),
    ],
)
def test_what_was_done_in_the_last_year_says_who_is_palliative(resource: dict[str, Any], is_palliative: bool) -> None:
    record = record_from_resources([{"id": "x", "subject": SUBJECT, **resource}], "p1", AS_OF)
    assert (find_condition(record, "palliative_or_hospice") is not None) is is_palliative


@for_rows(("reaction", "is_critical"))
def test_swelling_of_the_face_and_throat_is_angioedema_in_other_words(reaction: str, is_critical: bool) -> None:
    entry = {
        "resourceType": "AllergyIntolerance",
        "id": "a",
        "patient": SUBJECT,
        "code": {"text": "ramipril"},
        "reaction": [{"manifestation": [{"text": reaction}]}],
    }
    (allergy,) = allergies(record_from_resources([entry], "p1", AS_OF))
    assert (allergy.severity == "critical") is is_critical
