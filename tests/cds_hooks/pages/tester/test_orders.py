"""An order composed on /try, and how the drafts there are told in words."""

from datetime import date
from typing import Any

import pytest

from cds_hooks.decision_history import Reason
from cds_hooks.pages.tester.feedback import Change, accepted_feedback, apply_actions, next_request, override_feedback
from cds_hooks.pages.tester.orders import (
    Catalogue,
    Dosing,
    Orderable,
    UnusableOrder,
    compose,
    dose_of,
    name_of,
    orders_of,
)
from fhir.terminology.medications import table_rows
from tests.cds_hooks.services.equation_calls import NOW
from tests.fhir.builders import service_request

METFORMIN = Orderable(
    "MedicationRequest",
    "metformin hydrochloride 500 MG Oral Tablet",
    "http://www.nlm.nih.gov/research/umls/rxnorm",
    "861007",
)
TODAY = date(2026, 11, 20)


def _composed(**dosing: Any) -> dict[str, Any]:
    return compose(METFORMIN, Dosing(**dosing), TODAY)


def test_a_dose_with_its_days_is_an_order_of_fhir() -> None:
    order = _composed(dose="2,5", unit="mg", frequency="2d", days="7", as_needed=True)
    (dosage,) = order["dosageInstruction"]
    assert dosage["text"] == "2.5 mg twice a day as needed"
    assert dosage["timing"] == {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}}
    assert dosage["doseAndRate"][0]["doseQuantity"]["value"] == 2.5
    assert dosage["asNeededBoolean"] is True
    assert order["dispenseRequest"]["expectedSupplyDuration"]["value"] == 7
    assert order["authoredOn"] == "2026-11-20"


@pytest.mark.parametrize(("dose", "is_taken"), [("0", False), ("x", False), ("999999", True), ("1000000", False)])
def test_a_dose_is_a_number_above_zero_and_below_a_million(dose: str, is_taken: bool) -> None:
    if is_taken:
        assert _composed(dose=dose)["dosageInstruction"]
    else:
        with pytest.raises(UnusableOrder, match="above 0"):
            _composed(dose=dose)


@pytest.mark.parametrize(
    ("dosage", "words"),
    [
        ([{"text": "one at night"}], "one at night"),
        ([{"doseAndRate": [{"doseQuantity": {"value": 5, "unit": "mg"}}]}], "5 mg"),
        (
            [
                {
                    "doseAndRate": [{"doseQuantity": {"value": 5, "unit": "mg"}}],
                    "timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}},
                }
            ],
            "5 mg twice a day",
        ),
        ([{"timing": {"repeat": {"frequency": 5, "period": 9, "periodUnit": "d"}}}], ""),
        ([{"timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}}}, {"text": "b"}], "twice a day; b"),
        ([{"doseAndRate": "none", "timing": "none"}, "no dosage"], ""),
        ("none", ""),
    ],
)
def test_a_draft_is_told_by_its_text_or_by_its_dose_and_rhythm(dosage: Any, words: str) -> None:
    assert dose_of({"dosageInstruction": dosage}) == words


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


@pytest.mark.parametrize(
    ("unit", "quantity"),
    [
        ("tablet", {"value": 2, "unit": "tablet"}),
        ("mcg", {"value": 2, "unit": "mcg", "system": "http://unitsofmeasure.org", "code": "ug"}),
        ("mL", {"value": 2, "unit": "mL", "system": "http://unitsofmeasure.org", "code": "mL"}),
        ("g", {"value": 2, "unit": "g", "system": "http://unitsofmeasure.org", "code": "g"}),
        ("spoon", {"value": 2, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}),
    ],
)
def test_a_dose_has_the_code_of_its_unit_where_there_is_one(unit: str, quantity: dict[str, Any]) -> None:
    (dosage,) = _composed(dose="2.0", unit=unit)["dosageInstruction"]
    assert dosage["doseAndRate"] == [{"doseQuantity": quantity}]
    assert dosage["text"] == f"2 {quantity['unit']} once a day"


def test_an_order_without_a_dose_has_its_rhythm_alone() -> None:
    order = _composed(frequency="hourly")
    assert order["dosageInstruction"] == [
        {"text": "once a day", "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}}
    ]
    assert (order["resourceType"], order["status"], order["intent"]) == ("MedicationRequest", "draft", "order")
    assert order["medicationCodeableConcept"] == {
        "coding": [{"system": METFORMIN.system, "code": "861007", "display": METFORMIN.name}],
        "text": METFORMIN.name,
    }
    assert "dispenseRequest" not in order
    assert order["id"].startswith("draft-")
    assert len(order["id"]) == 14
    assert _composed(days=" 7 ")["dispenseRequest"] == {
        "expectedSupplyDuration": {"value": 7, "unit": "d", "system": "http://unitsofmeasure.org", "code": "d"}
    }


def test_a_test_has_no_dose_and_an_order_in_words_no_code() -> None:
    test = compose(Orderable("ServiceRequest", "Chest X-ray", "", ""), Dosing(dose="2", days="7"), TODAY)
    assert {name: value for name, value in test.items() if name != "id"} == service_request(
        "Chest X-ray", status="draft", patient=None, authoredOn="2026-11-20"
    )


@pytest.mark.parametrize(("dosing", "field"), [({"dose": "many"}, "dose"), ({"days": "-1"}, "days")])
def test_a_number_that_is_none_is_said_at_its_field(dosing: dict[str, str], field: str) -> None:
    with pytest.raises(UnusableOrder) as refused:
        _composed(**dosing)
    assert refused.value.field == field
    assert str(refused.value) == f"{field.title()}: write a number above 0, such as 1 or 2.5."
    assert UnusableOrder("x").field == "order"


def _catalogue(*names: str) -> Catalogue:
    catalogue = Catalogue()
    catalogue.__dict__["_by_name"] = {name.lower(): Orderable("ServiceRequest", name, "", "") for name in names}
    return catalogue


def test_names_that_begin_with_the_text_come_first_and_then_shorter_ones() -> None:
    catalogue = _catalogue(
        "Serum iron", "Iron binding", "Iron", "Environment", "Free (iron) x", "Free [Iron] x", "Zinc"
    )
    assert [each.name for each in catalogue.search("IRON")] == [
        "Iron",
        "Iron binding",
        "Serum iron",
        "Free (iron) x",
        "Free [Iron] x",
    ]
    assert [each.name for each in catalogue.search(" iron  b ")] == ["Iron binding"]
    assert [each.name for each in catalogue.search("b iron")] == ["Iron binding"]
    assert catalogue.search("  ") == []
    assert catalogue.search("ron") == []


def test_at_most_forty_are_found() -> None:
    assert len(_catalogue(*(f"drug {number}" for number in range(41))).search("drug")) == 40


def test_what_can_be_ordered_is_found_by_its_whole_name() -> None:
    catalogue = Catalogue()
    assert catalogue.orderable("  METFORMIN hydrochloride  500 mg oral tablet ") == METFORMIN
    assert catalogue.orderable("metformin hydrochloride 500 mg oral") is None
    ingredient = catalogue.orderable("warfarin")
    assert ingredient is not None
    assert (ingredient.kind, ingredient.code) == ("MedicationRequest", "11289")
    laboratory = [each for each in catalogue.search("potassium") if each.kind == "ServiceRequest"]
    assert laboratory
    assert all(each.system == "http://loinc.org" and ";" not in each.code and each.code for each in laboratory)


def test_the_medications_that_stand_beside_the_drafts_are_no_orders() -> None:
    drafts: list[dict[str, Any]] = [{"resourceType": "Medication"}, {"resourceType": "ServiceRequest"}, {}]
    assert orders_of(drafts) == drafts[1:]


def test_a_laboratory_test_can_be_ordered_and_what_is_measured_at_the_bedside_cannot() -> None:
    orderables = Catalogue()._by_name.values()
    laboratory = [each for each in orderables if each.name.endswith("(laboratory)")]
    assert laboratory
    assert [each.name for each in laboratory if not each.code] == []
    rows = {f"{row['words']} (laboratory)".lower(): row["kind"] for row in table_rows("analytes.csv")}
    assert {rows[each.name.lower()] for each in laboratory} == {"lab"}


# What follows from a card: feedback, the changed drafts, the next call.
def test_feedback_names_the_card_the_suggestion_or_the_reason_and_the_time() -> None:
    at = NOW.isoformat(timespec="seconds")
    assert accepted_feedback("c", "s", NOW) == {
        "card": "c", "outcome": "accepted", "outcomeTimestamp": at, "acceptedSuggestions": [{"id": "s"}],
    }  # fmt: skip
    overridden = {"card": "c", "outcome": "overridden", "outcomeTimestamp": at}
    assert override_feedback("c", None, NOW) == overridden
    reason = {"code": "n", "display": "No"}
    assert override_feedback("c", Reason("No", "n"), NOW) == overridden | {"overrideReason": {"reason": reason}}


def order(number: str, name: str, text: str) -> dict[str, Any]:
    """A drafted medication."""
    return {
        "resourceType": "MedicationRequest",
        "id": number,
        "medicationCodeableConcept": {"text": name},
        "dosageInstruction": [{"text": text}],
    }


def test_actions_of_a_suggestion_change_the_drafts_in_words() -> None:
    first, second = order("1", "ibuprofen", "400 mg"), order("2", "naproxen", "")
    drafts = [first, second]
    weaker = order("1", "ibuprofen", "200 mg")
    for actions, after, changes in (
        (["no action", {"type": "create"}, {"type": "other", "resource": weaker}], drafts, []),
        (
            [{"type": "update", "resource": weaker}],
            [second, weaker],
            [Change("ibuprofen", "ibuprofen, 400 mg", "ibuprofen, 200 mg")],
        ),
        (
            [{"type": "delete", "resourceId": "MedicationRequest/2"}],
            [first],
            [Change("naproxen", "naproxen", "removed")],
        ),
        ([{"type": "delete", "resource": first}], [second], [Change("ibuprofen", "ibuprofen, 400 mg", "removed")]),
        ([{"type": "delete", "resourceId": "MedicationRequest/9"}, {"type": "delete"}], drafts, []),
        (
            [{"type": "create", "resource": order("3", "sodium", "")}],
            [*drafts, order("3", "sodium", "")],
            [Change("sodium", "not there", "sodium")],
        ),
    ):
        assert apply_actions(drafts, actions) == (after, changes), actions
    assert drafts == [first, second]
    (new,), _ = apply_actions([], [{"type": "create", "resource": {"resourceType": "ServiceRequest"}}])
    assert (new["resourceType"], new["id"][:6], len(new["id"])) == ("ServiceRequest", "draft-", 14)


def test_the_next_call_has_the_drafts_and_is_another_instance() -> None:
    request = {"hook": "order-select", "hookInstance": "i", "context": {"patientId": "p", "draftOrders": {}}}
    drafts = [order("1", "ibuprofen", ""), {"resourceType": "Medication", "id": "m"}]
    following = next_request(request, drafts)
    assert following["hookInstance"] != "i"
    assert following["hook"] == "order-select"
    entries = [entry["resource"] for entry in following["context"]["draftOrders"]["entry"]]
    assert [entry["id"] for entry in entries] == ["1", "m"]
    assert entries[0]["subject"] == {"reference": "Patient/p"}
    assert entries[1] == drafts[1]
    assert "selections" not in following["context"]
    assert request["context"] == {"patientId": "p", "draftOrders": {}}
    selecting = {"context": {"patientId": "p", "draftOrders": {}, "selections": ["x"]}}
    assert next_request(selecting, drafts)["context"]["selections"] == ["MedicationRequest/1"]
    plain = next_request({"context": None}, drafts)
    assert (list(plain), plain["context"]) == (["context", "hookInstance"], {})
