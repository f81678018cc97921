"""An order written on /try, how the drafts there are told in words, and what an accepted suggestion makes of them."""

from datetime import date
from typing import Any

import pytest

from cds_hooks.pages.tester import orders
from cds_hooks.pages.tester.orders import Orderable, compose, follow, name_of, search_orderables
from fhir.terminology.medications import table_rows
from tests.fhir.builders import medication_order, service_request

METFORMIN = Orderable(
    "MedicationRequest",
    "metformin hydrochloride 500 MG Oral Tablet",
    "http://www.nlm.nih.gov/research/umls/rxnorm",
    "861007",
)
TODAY = date(2026, 11, 20)


def test_a_dose_stands_in_the_order_in_words_and_an_order_without_one_has_none() -> None:
    order = compose(METFORMIN, "1 tablet twice a day", TODAY)
    assert {name: value for name, value in order.items() if name != "id"} == {
        "resourceType": "MedicationRequest",
        "status": "draft",
        "intent": "order",
        "authoredOn": "2026-11-20",
        "medicationCodeableConcept": {
            "coding": [{"system": METFORMIN.system, "code": "861007", "display": METFORMIN.name}],
            "text": METFORMIN.name,
        },
        "dosageInstruction": [{"text": "1 tablet twice a day"}],
    }
    assert (order["id"][:6], len(order["id"])) == ("draft-", 14)
    assert "dosageInstruction" not in compose(METFORMIN, "", TODAY)
    test = compose(Orderable("ServiceRequest", "Chest X-ray"), "2", TODAY)
    assert {name: value for name, value in test.items() if name != "id"} == service_request(
        "Chest X-ray", status="draft", patient=None, authoredOn="2026-11-20"
    )


@pytest.mark.parametrize(
    ("draft", "name"),
    [
        ({"medicationCodeableConcept": {"text": "A", "coding": [{"display": "B"}]}}, "A"),
        ({"code": {"coding": [{"display": "B", "code": "1"}]}}, "B"),
        ({"vaccineCode": {"coding": [{"code": "1"}]}}, "1"),
        ({"medicationReference": {"display": "C"}}, "C"),
        ({"code": "none", "resourceType": "ServiceRequest"}, "ServiceRequest"),
        ({}, "order"),
    ],
)
def test_a_draft_is_named_by_its_text_its_display_or_its_code(draft: dict[str, Any], name: str) -> None:
    assert name_of(draft) == name


def _named(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    orderables = {name.lower(): Orderable("ServiceRequest", name) for name in names}
    monkeypatch.setattr(orders, "_orderables", lambda: orderables)


def test_at_most_forty_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    _named(monkeypatch, *(f"drug {number}" for number in range(41)))
    assert len(search_orderables("drug")) == 40


def test_what_can_be_ordered_is_found_by_its_whole_name_alone() -> None:
    assert search_orderables("  METFORMIN hydrochloride  500 mg oral tablet ") == [METFORMIN]
    assert len(search_orderables("metformin hydrochloride 500 mg oral")) > 1
    (ingredient,) = search_orderables("warfarin")
    assert (ingredient.kind, ingredient.code) == ("MedicationRequest", "11289")
    laboratory = [each for each in search_orderables("potassium") if each.kind == "ServiceRequest"]
    assert laboratory
    assert all(each.system == "http://loinc.org" and ";" not in each.code and each.code for each in laboratory)


def test_a_laboratory_test_can_be_ordered_and_what_is_measured_at_the_bedside_cannot() -> None:
    laboratory = [each for each in orders._orderables().values() if each.name.endswith("(laboratory)")]
    assert laboratory
    assert [each.name for each in laboratory if not each.code] == []
    rows = {f"{row['words']} (laboratory)".lower(): row["kind"] for row in table_rows("analytes.csv")}
    assert {rows[each.name.lower()] for each in laboratory} == {"lab"}


def _order(number: str, name: str, text: str) -> dict[str, Any]:
    dosage = [{"text": text}]
    return medication_order(name, status=None, intent=None, patient=None, id=number, dosageInstruction=dosage)


def test_actions_of_a_suggestion_change_the_drafts() -> None:
    first, second = _order("1", "ibuprofen", "400 mg"), _order("2", "naproxen", "")
    drafts = [first, second]
    weaker, new = _order("1", "ibuprofen", "200 mg"), _order("3", "sodium", "")
    for actions, after in (
        (["no action", {"type": "create"}, {"type": "other", "resource": weaker}], drafts),
        ([{"type": "update", "resource": weaker}], [second, weaker]),
        ([{"type": "delete", "resourceId": "MedicationRequest/2"}], [first]),
        ([{"type": "delete", "resource": first}], [second]),
        ([{"type": "delete", "resourceId": "MedicationRequest/9"}, {"type": "delete"}], drafts),
        ([{"type": "create", "resource": new}], [*drafts, new]),
    ):
        assert follow(drafts, actions) == after, actions
    assert drafts == [first, second]
    (made,) = follow([], [{"type": "create", "resource": {"resourceType": "ServiceRequest"}}])
    assert (made["resourceType"], made["id"][:6], len(made["id"])) == ("ServiceRequest", "draft-", 14)
