"""What could not be read is counted where somebody looks for it: problems, numeric results, and by client and code."""

from typing import Any

import pytest

from cards.rules.engine.rule_book import rule_book
from cds_hooks.metrics import Metrics
from fhir.mapping.conditions import find_condition, unread_problems
from fhir.mapping.medications.active import active_medications, unreadable_codes
from tests.cards.rules.cases import check, reasons
from tests.cards.rules.patients import draft_of, drafts_of
from tests.fhir.record.charts import record_of

LOCAL = "https://hospital.example/problems"
SUBJECT = {"reference": "Patient/p1"}
APIXABAN = {"drug": "1364445", "dose": "1 tablet", "times": 2}


def _problem(number: int, text: str | None = None, *codings: dict[str, str]) -> dict[str, Any]:
    code = {"coding": list(codings), **({"text": text} if text else {})}
    return {"resourceType": "Condition", "id": str(number), "subject": SUBJECT, "code": code}


UNKNOWN = (
    _problem(1, "Gwiddle syndrome"),
    _problem(2, "Gwiddle syndrome"),
    _problem(3, None, {"system": LOCAL, "code": "A7"}),
    _problem(4, "Fnordosis", {"system": "http://snomed.info/sct", "code": "999999999999"}),
    _problem(5, "Atrial fibrillation"),
)


def test_a_problem_list_is_not_searched_without_a_word_about_what_could_not_be_read() -> None:
    record = record_of(*UNKNOWN)
    assert not record.refusals
    assert find_condition(record, "hf") is None
    assert unread_problems(record) == ("Gwiddle syndrome", "A7", "Fnordosis")
    (refusal,) = record.refusals
    assert refusal.text == "3 problems could not be read: Gwiddle syndrome; A7; Fnordosis."


def test_a_problem_that_is_understood_and_in_no_group_is_not_counted() -> None:
    record = record_of(_problem(1, None, {"system": "http://snomed.info/sct", "code": "195662009"}))
    assert find_condition(record, "hf") is None
    assert not record.refusals


@pytest.mark.parametrize(("problems", "is_counted"), [(UNKNOWN, True), (UNKNOWN[4:], False)])
def test_a_rule_about_a_condition_reaches_no_limit_only_where_all_problems_were_read(
    problems: tuple[dict[str, Any], ...], is_counted: bool
) -> None:
    outcome = check(record_of(*problems), drafts_of(draft_of(APIXABAN)), signing=True)
    looking = {rule.id for rule in rule_book().rules if any(use.startswith("condition:") for use in rule.band_uses)}
    looked = {subject for subject, reason in reasons(outcome) if reason == "within-limits"} & looking
    counted = [silence for silence in outcome.silences if silence.reason == "problems-unreadable"]
    assert bool(looked) is not is_counted
    assert bool(counted) is is_counted
    assert all("3 problems could not be read" in silence.text for silence in counted)
    (scope,) = [silence.text for silence in outcome.silences if silence.reason == "scope"]
    assert scope.endswith("3 problems could not be read.") is is_counted


def test_what_is_not_understood_is_counted_by_client_and_public_code_only() -> None:
    record = record_of(*UNKNOWN, _problem(6, "Jane Doe's problem"))
    find_condition(record, "hf")
    metrics = Metrics()
    metrics.not_understood("ehr", record.refusals)
    labels = {key[1:]: count for key, count in metrics.counts.items()}
    assert labels == {
        ("ehr", "problems", "text"): 2,
        ("ehr", "problems", "local"): 1,
        ("ehr", "problems", "999999999999"): 1,
    }


def test_a_medication_that_no_table_knows_is_counted_by_client_and_public_code() -> None:
    def order(number: int, text: str, **coding: str) -> dict[str, object]:
        concept = {"text": text, "coding": [coding] if coding else []}
        return {
            "resourceType": "MedicationRequest", "id": f"m{number}", "status": "active", "intent": "order",
            "authoredOn": "2026-11-01", "medicationCodeableConcept": concept, "subject": SUBJECT,
        }  # fmt: skip

    record = record_of(
        order(1, "Xyzalforte"),
        order(2, "Zorblax", system="http://www.nlm.nih.gov/research/umls/rxnorm", code="99999999"),
        order(3, "Quux", system="urn:of-the-hospital", code="Q1"),
        order(4, "Metformin 500 mg"),
    )
    assert unreadable_codes(record) == ()  # nobody has looked at the list yet
    active_medications(record)
    metrics = Metrics()
    metrics.not_understood("ehr", (), unreadable_codes(record))
    assert {key[1:]: count for key, count in metrics.counts.items()} == {
        ("ehr", "medications", "text"): 1,
        ("ehr", "medications", "99999999"): 1,
        ("ehr", "medications", "local"): 1,
    }
